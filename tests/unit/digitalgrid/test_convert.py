"""What arrives as protobuf is checked; what is valid comes back as it was."""

import dataclasses
import math
from enum import IntEnum

import msgspec
import pytest

from digitalgrid.convert import (
    election_id_from_pb,
    election_id_to_pb,
    hop_from_pb,
    hop_to_pb,
    pool_to_pb,
    pools_from_pb,
)
from digitalgrid.convert_lsa import lsa_from_pb, lsa_to_pb
from digitalgrid.model import (
    DownCause,
    ElectionId,
    FlowState,
    HopSnapshot,
    LinkAdvertisement,
    LoadAdvertisement,
    Operation,
    ResultCode,
    RouterLsa,
    SourceAdvertisement,
    StandbyPool,
    SwitchCause,
)
from digitalgrid.v1 import southbound_pb2 as southbound_pb

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
LINK = LinkAdvertisement("r1-r3", "r3", 0.48, 20e3, 300.0, 1.5, False, ("duct7",))
SOURCE = SourceAdvertisement("pv1", 15e6, 20.0, True, 12.5)
LOAD = LoadAdvertisement("town", 5e6, 3, 1000.0)
LSA = RouterLsa("r1", 4, 9, 0.97, (LINK,), (SOURCE,), (LOAD,))


def test_an_lsa_comes_back_as_it_was() -> None:
    link = dataclasses.replace(LINK, via=((1.0, 2.5), (3.0, -4.0)))
    placed = dataclasses.replace(LSA, links=(link,), at=(7.5, 48.25))
    cut = dataclasses.replace(
        LSA, links=(dataclasses.replace(LINK, down_cause=DownCause.CARRIER_LOST),)
    )
    for lsa in (LSA, placed, cut):
        assert lsa_from_pb(lsa_to_pb(lsa)) == lsa


@pytest.mark.parametrize("said", [0, DownCause.ROUTER_GONE, 99])
def test_a_cause_that_no_router_of_this_release_says_is_unknown(said: int) -> None:
    message = lsa_to_pb(LSA)
    message.links[0].down_cause = said  # type: ignore[assignment]
    assert lsa_from_pb(message).links[0].down_cause is DownCause.UNKNOWN
    message.links[0].down_cause, message.links[0].up = DownCause.SILENT, True  # type: ignore[assignment]
    assert lsa_from_pb(message).links[0].down_cause is DownCause.UNKNOWN


@pytest.mark.parametrize(
    "hop",
    [
        HOP,
        msgspec.structs.replace(HOP, source_id="", ingress_link_id="r1-r8"),
        msgspec.structs.replace(HOP, egress_link_id="", load_id="town"),
        msgspec.structs.replace(HOP, standby=True, priority=-3, floor_w=1e6, trickle_w=2e5),
        msgspec.structs.replace(HOP, asked_w=3e6),
        msgspec.structs.replace(HOP, standby=True, shared_standby=True),
    ],
)
def test_a_hop_comes_back_as_it_was(hop: HopSnapshot) -> None:
    assert hop_from_pb(hop_to_pb(hop)) == hop


def test_pools_come_back_as_they_were() -> None:
    pools = (StandbyPool("r1-r3", 2e6), StandbyPool("r1-r8", 0.0))
    assert pools_from_pb("table", [pool_to_pb(pool) for pool in pools]) == pools


@pytest.mark.parametrize(
    ("link_id", "power_w", "message"),
    [
        ("", 1.0, "link_id of a pool must not be empty"),
        ("r1 r3", 1.0, "'r1 r3' must match"),
        ("r1-r8", 1.0, "'r1-r8' stands there twice"),
        ("r1-r3", -1.0, "pool of link 'r1-r3' must be 0 or more"),
        ("r1-r3", math.nan, "must be a finite number"),
        ("r1-r3", 1e300, "or less"),
    ],
)
def test_a_pool_that_makes_no_sense_is_named(link_id: str, power_w: float, message: str) -> None:
    pools = [StandbyPool("r1-r8", 1.0), StandbyPool(link_id, power_w)]
    with pytest.raises(ValueError, match=f"table: .*{message}"):
        pools_from_pb("table", [pool_to_pb(pool) for pool in pools])


def test_an_election_id_keeps_its_128_bits() -> None:
    election_id = ElectionId(2**64 - 1, 2**63 + 1)
    assert election_id_from_pb(election_id_to_pb(election_id)) == election_id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"circuit_id": 0}, "circuit_id"),
        ({"generation": 0}, "generation"),
        ({"source_id": ""}, "ingress"),
        ({"source_id": "pv 1"}, "ingress 'pv 1' must match"),
        ({"egress_link_id": ""}, "egress"),
        ({"power_w": 0.0}, "power_w must be above 0"),
        ({"ingress_power_w": -1.0}, "ingress_power_w"),
        ({"egress_power_w": math.nan}, "egress_power_w must be a finite number"),
        ({"received_power_w": math.inf}, "received_power_w must be a finite number"),
        ({"floor_w": -1.0}, "floor_w must be 0 or more"),
        ({"trickle_w": math.nan}, "trickle_w must be a finite number"),
        ({"shared_standby": True}, "shared_standby, and no standby"),
    ],
)
def test_a_hop_that_makes_no_sense_is_named(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hop_from_pb(hop_to_pb(msgspec.structs.replace(HOP, **changes)))


@pytest.mark.parametrize(
    ("lsa", "message"),
    [
        (dataclasses.replace(LSA, router_id=""), "router_id must not be empty"),
        (dataclasses.replace(LSA, router_id="r 1"), "router_id 'r 1' must match"),
        (dataclasses.replace(LSA, router_id="r" * 65), "must match"),
        (dataclasses.replace(LSA, efficiency=0.0), "efficiency must be above 0"),
        (dataclasses.replace(LSA, efficiency=1.01), "efficiency must be 1 or less"),
        (dataclasses.replace(LSA, efficiency=math.nan), "efficiency must be a finite number"),
        (dataclasses.replace(LSA, at=(math.nan, 0.0)), "router 'r1': at is .*; x and y lie"),
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
        ({"link_id": "r1/r3"}, "link_id 'r1/r3' must match"),
        ({"neighbor_id": ""}, "link 'r1-r3': neighbor_id"),
        ({"neighbor_id": "r\n3"}, "neighbor_id 'r.*' must match"),
        ({"resistance_ohm": -0.1}, "resistance_ohm must be 0 or more"),
        ({"resistance_ohm": 1.1e9}, "resistance_ohm must be 1e\\+09 or less"),
        ({"voltage_v": 0.0}, "voltage_v"),
        ({"voltage_v": 1.1e9}, "voltage_v must be 1e\\+09 or less"),
        ({"ampacity_a": -5.0}, "ampacity_a"),
        ({"ampacity_a": 1e306}, "ampacity_a must be 1e\\+09 or less"),
        ({"cost_per_mwh": math.inf}, "cost_per_mwh"),
        ({"risk_groups": ("a b",)}, "risk_groups 'a b' must match"),
        ({"risk_groups": ("a", "a")}, "risk_groups 'a' stands there twice"),
        ({"via": ((0.0, 1e10),)}, "via is .*; x and y lie"),
        ({"via": ((0.0, 0.0),) * 65}, "via has 65 corners; 64 is the most"),
        ({"cost_per_mwh": -1.1e12}, "cost_per_mwh must be -1e\\+12 or more"),
    ],
)
def test_a_link_that_makes_no_sense_is_named(changes: dict[str, object], message: str) -> None:
    lsa = dataclasses.replace(LSA, links=(dataclasses.replace(LINK, **changes),))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        lsa_from_pb(lsa_to_pb(lsa))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source_id": "pv!"}, "source_id 'pv!' must match"),
        ({"max_power_w": -1.0}, "source 'pv1': max_power_w must be 0 or more"),
        ({"max_power_w": 1e307}, "source 'pv1': max_power_w must be 1e\\+12 or less"),
        ({"cost_per_mwh": 1.1e12}, "source 'pv1': cost_per_mwh must be 1e\\+12 or less"),
        ({"carbon_kg_per_mwh": -1.0}, "carbon_kg_per_mwh must be 0 or more"),
    ],
)
def test_a_source_that_makes_no_sense_is_named(changes: dict[str, object], message: str) -> None:
    source = dataclasses.replace(SOURCE, **changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        lsa_from_pb(lsa_to_pb(dataclasses.replace(LSA, sources=(source,))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"load_id": "-"}, "load_id '-' must match"),
        ({"max_power_w": 1e307}, "load 'town': max_power_w must be 1e\\+12 or less"),
        ({"value_per_mwh": math.nan}, "load 'town': value_per_mwh must be a finite number"),
        ({"value_per_mwh": -1.1e12}, "load 'town': value_per_mwh must be -1e\\+12 or more"),
    ],
)
def test_a_load_that_makes_no_sense_is_named(changes: dict[str, object], message: str) -> None:
    load = dataclasses.replace(LOAD, **changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        lsa_from_pb(lsa_to_pb(dataclasses.replace(LSA, loads=(load,))))


def test_a_source_and_a_load_may_rest() -> None:
    source = dataclasses.replace(SOURCE, max_power_w=0.0)
    load = dataclasses.replace(LOAD, max_power_w=0.0)
    lsa = dataclasses.replace(LSA, sources=(source,), loads=(load,))
    assert lsa_from_pb(lsa_to_pb(lsa)) == lsa


@pytest.mark.parametrize("ours", [Operation, ResultCode, FlowState, SwitchCause])
def test_enumerations_have_the_numbers_of_the_protocol(ours: type[IntEnum]) -> None:
    prefixes = {
        Operation: "OPERATION_",
        ResultCode: "RESULT_CODE_",
        FlowState: "FLOW_STATE_",
        SwitchCause: "SWITCH_CAUSE_",
    }
    prefix = prefixes[ours]
    protocol = southbound_pb.DESCRIPTOR.enum_types_by_name[ours.__name__]
    unspecified = f"{prefix}UNSPECIFIED"
    theirs = {each.name: each.number for each in protocol.values if each.name != unspecified}
    assert {f"{prefix}{each.name}": each.value for each in ours if each.value} == theirs
