"""What arrives as protobuf is checked; what is valid comes back as it was."""

import dataclasses
import math

import pytest

from digitalgrid.convert import (
    election_id_from_pb,
    election_id_to_pb,
    hop_from_pb,
    hop_to_pb,
    lsa_from_pb,
    lsa_to_pb,
)
from digitalgrid.model import (
    ElectionId,
    HopSnapshot,
    LinkAdvertisement,
    LoadAdvertisement,
    RouterLsa,
    SourceAdvertisement,
)

HOP = HopSnapshot(
    circuit_id=7,
    generation=2,
    admission_seq=31,
    power_w=2e6,
    ingress_power_w=2.2e6,
    egress_power_w=2.1e6,
    received_power_w=2.05e6,
    source_id="pv1",
    egress_link_id="r1-r3",
)
LINK = LinkAdvertisement("r1-r3", "r3", 0.48, 20e3, 300.0, 1.5, False)
SOURCE = SourceAdvertisement("pv1", 15e6, 20.0, True)
LOAD = LoadAdvertisement("town", 5e6, 3, 1000.0)
LSA = RouterLsa("r1", 4, 9, 0.97, (LINK,), (SOURCE,), (LOAD,))


def test_an_lsa_comes_back_as_it_was() -> None:
    assert lsa_from_pb(lsa_to_pb(LSA)) == LSA


@pytest.mark.parametrize(
    "hop",
    [
        HOP,
        dataclasses.replace(HOP, source_id="", ingress_link_id="r1-r8"),
        dataclasses.replace(HOP, egress_link_id="", load_id="town"),
    ],
)
def test_a_hop_comes_back_as_it_was(hop: HopSnapshot) -> None:
    assert hop_from_pb(hop_to_pb(hop)) == hop


def test_an_election_id_keeps_its_128_bits() -> None:
    election_id = ElectionId(2**64 - 1, 2**63 + 1)
    assert election_id_from_pb(election_id_to_pb(election_id)) == election_id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"circuit_id": 0}, "circuit_id"),
        ({"generation": 0}, "generation"),
        ({"source_id": ""}, "ingress"),
        ({"egress_link_id": ""}, "egress"),
        ({"power_w": 0.0}, "power_w must be above 0"),
        ({"ingress_power_w": -1.0}, "ingress_power_w"),
        ({"egress_power_w": math.nan}, "egress_power_w must be a finite number"),
        ({"received_power_w": math.inf}, "received_power_w must be a finite number"),
    ],
)
def test_a_hop_that_makes_no_sense_is_named(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hop_from_pb(hop_to_pb(dataclasses.replace(HOP, **changes)))


@pytest.mark.parametrize(
    ("lsa", "message"),
    [
        (dataclasses.replace(LSA, router_id=""), "router_id must not be empty"),
        (dataclasses.replace(LSA, efficiency=0.0), "efficiency must be above 0"),
        (dataclasses.replace(LSA, efficiency=1.01), "efficiency must be 1 or less"),
        (dataclasses.replace(LSA, efficiency=math.nan), "efficiency must be a finite number"),
        (dataclasses.replace(LSA, links=(LINK, LINK)), "'r1-r3' stands there twice"),
        (dataclasses.replace(LSA, sources=(SOURCE, SOURCE)), "'pv1' stands there twice"),
        (dataclasses.replace(LSA, loads=(LOAD, LOAD)), "'town' stands there twice"),
    ],
)
def test_an_lsa_that_makes_no_sense_is_named(lsa: RouterLsa, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lsa_from_pb(lsa_to_pb(lsa))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"link_id": ""}, "link_id"),
        ({"neighbor_id": ""}, "link 'r1-r3': neighbor_id"),
        ({"resistance_ohm": -0.1}, "resistance_ohm must be 0 or more"),
        ({"voltage_v": 0.0}, "voltage_v"),
        ({"ampacity_a": -5.0}, "ampacity_a"),
        ({"cost_per_mwh": math.inf}, "cost_per_mwh"),
    ],
)
def test_a_link_that_makes_no_sense_is_named(changes: dict[str, object], message: str) -> None:
    lsa = dataclasses.replace(LSA, links=(dataclasses.replace(LINK, **changes),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        lsa_from_pb(lsa_to_pb(lsa))


def test_a_cell_that_makes_no_sense_is_named() -> None:
    source = dataclasses.replace(SOURCE, max_power_w=0.0)
    with pytest.raises(ValueError, match="source 'pv1': max_power_w"):
        lsa_from_pb(lsa_to_pb(dataclasses.replace(LSA, sources=(source,))))
    load = dataclasses.replace(LOAD, value_per_mwh=math.nan)
    with pytest.raises(ValueError, match="load 'town': value_per_mwh"):
        lsa_from_pb(lsa_to_pb(dataclasses.replace(LSA, loads=(load,))))
