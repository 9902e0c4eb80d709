"""Advertisements at the limits of what the edge lets in: the core routes on them, or does not, and never fails."""

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from digitalgrid.convert_lsa import lsa_from_pb, lsa_to_pb
from digitalgrid.limits import (
    MAX_ADVERTISED,
    MAX_AMPACITY_A,
    MAX_POWER_W,
    MAX_RESISTANCE_OHM,
    MAX_VOLTAGE_V,
    MIN_EFFICIENCY,
    MIN_VOLTAGE_V,
)
from digitalgrid.model import LinkAdvertisement, LoadAdvertisement, RouterLsa, SourceAdvertisement
from digitalgrid.physics import line_fault
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork

ROUTERS = ("r1", "r2", "r3", "r4")
LINKS = st.builds(
    LinkAdvertisement,
    st.sampled_from(["r1-r2", "r2-r4", "r1-r3", "r3-r4", "x"]),
    st.sampled_from([*ROUTERS, "r9"]),
    st.sampled_from([0.0, 1e-300, 0.4, 2e8, MAX_RESISTANCE_OHM]),
    st.sampled_from([MIN_VOLTAGE_V, 20e3, MAX_VOLTAGE_V]),
    st.sampled_from([1e-300, 300.0, MAX_AMPACITY_A]),
).filter(lambda link: not line_fault(link.resistance_ohm, link.voltage_v, link.ampacity_a))
LSAS = st.builds(
    RouterLsa,
    st.sampled_from(ROUTERS),
    st.sampled_from([0, 1, 2, 2**64 - 1]),
    st.sampled_from([0, 5, 2**64 - 1]),
    st.sampled_from([MIN_EFFICIENCY, 0.97, 1.0]),
    st.lists(LINKS, max_size=4, unique_by=lambda each: each.link_id).map(tuple),
    st.lists(
        st.builds(
            SourceAdvertisement,
            st.sampled_from(["solar", "gas", "new"]),
            st.sampled_from([0.0, 1e-300, 9e6, MAX_POWER_W]),
        ),
        max_size=2,
        unique_by=lambda each: each.source_id,
    ).map(tuple),
    st.lists(
        st.builds(
            LoadAdvertisement,
            st.sampled_from(["town", "pump", "works"]),
            st.sampled_from([0.0, 1e-300, 5e6, MAX_POWER_W]),
            st.sampled_from([-(2**31), 0, 2**31 - 1]),
        ),
        max_size=2,
        unique_by=lambda each: each.load_id,
    ).map(tuple),
).filter(lambda lsa: all(link.neighbor_id != lsa.router_id for link in lsa.links))


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(lsas=st.lists(LSAS, min_size=1, max_size=4), power_w=st.sampled_from([1.0, 1e6, 9e11]))
def test_the_core_goes_on_with_whatever_the_edge_lets_in(
    lsas: list[RouterLsa], power_w: float
) -> None:
    network = SimulatedNetwork.running(diamond())
    network.request(PowerRequest("before", "town", 1e6, ("solar",)))
    network.deliver_all()
    for number, lsa in enumerate(lsas):
        network.tell(lsa.router_id, lsa_from_pb(lsa_to_pb(lsa)))
        for sink_id in ("town", "pump", "works"):
            try:
                network.request(PowerRequest(f"{number}-{sink_id}", sink_id, power_w))
            except Refusal:
                continue
        network.deliver_all()
    # Each says anew what is true, in a session of its own.
    for router_id in ROUTERS:
        network.connect(router_id)
    network.heal()
    network.check_rest()


def test_as_many_links_as_one_router_may_have_are_taken() -> None:
    network = SimulatedNetwork.running(diamond())
    links = tuple(
        LinkAdvertisement(f"l{number}", f"n{number}", 0.1, 20e3, 300.0)
        for number in range(MAX_ADVERTISED)
    )
    network.tell("r2", RouterLsa("r2", 1, 99, 0.97, links))
    network.request(PowerRequest("request", "town", 1e6))
    network.heal()
    network.check_rest()
