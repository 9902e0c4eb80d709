"""Explicit routes: a circuit is set up on the way that its client names, or refused with what is in the way."""

import pytest

from controller.core.circuits.circuit import CircuitState, Constraints
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from digitalgrid.reasons import Reason
from tests.support.active import active, path
from tests.support.grids import diamond
from tests.support.settling import settle
from tests.support.simulated_network import SimulatedNetwork

LONG = ("r1-r3", "r3-r4")


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def test_the_way_that_is_named_is_taken_though_it_loses_more(network: SimulatedNetwork) -> None:
    assert path(active(network)) == ("r1", "r2", "r4")
    named = active(network, 1e6, explicit_route=LONG)
    assert path(named) == ("r1", "r3", "r4")


def test_no_line_is_a_way_too(network: SimulatedNetwork) -> None:
    (circuit,) = network.request(PowerRequest("a", "pump", 1e5, explicit_route=()))
    assert path(circuit) == ("r1",)


def test_a_circuit_leaves_its_explicit_route_when_that_fails(network: SimulatedNetwork) -> None:
    circuit = active(network, 1e6, explicit_route=LONG)
    network.cut("r3-r4")
    settle(network)
    assert (circuit.state, path(circuit)) == (CircuitState.ACTIVE, ("r1", "r2", "r4"))


@pytest.mark.parametrize(
    ("link_ids", "why"),
    [
        (("r1-r3", "nowhere"), "no link 'nowhere' is known"),
        (("r3-r4", "r1-r3"), "does not end at router"),
        (("r1-r2",), "does not end at router"),
        (("r1-r3", "r3-r4", "r3-r4", "r3-r4"), "passes a router twice"),
        (("r3-r4",), "no source at router 'r3'"),
        ((), "no source at router 'r4'"),
    ],
)
def test_a_way_that_is_none_is_refused_with_the_reason(
    network: SimulatedNetwork, link_ids: tuple[str, ...], why: str
) -> None:
    request = PowerRequest("a", "town", 1e6, ("solar",), explicit_route=link_ids)
    with pytest.raises(Refusal, match=why) as refused:
        network.request(request)
    assert (refused.value.reason, refused.value.field) == (
        Reason.EXPLICIT_ROUTE_UNFIT,
        "explicit_route",
    )
    (rehearsed,) = network.event(lambda core, now_ns: core.request_batch([request], now_ns))
    assert str(rehearsed) == str(refused.value)


def test_a_full_line_on_the_way_is_named_and_nobody_is_displaced(network: SimulatedNetwork) -> None:
    active(network, 5e6, explicit_route=LONG)
    urgent = PowerRequest(
        "a", "town", 3e6, ("solar",), setup_priority=9, hold_priority=9, explicit_route=LONG
    )
    with pytest.raises(Refusal, match="'r3-r4' has no room"):
        network.request(urgent)


def test_constraints_hold_on_it(network: SimulatedNetwork) -> None:
    limits = Constraints(max_hops=1)
    with pytest.raises(Refusal, match="crosses 2 lines"):
        network.request(PowerRequest("a", "town", 1e6, ("solar",), limits, explicit_route=LONG))


@pytest.mark.parametrize("more", [{"allow_split": True}, {"protect": Against.LINK}])
def test_it_is_that_of_one_circuit_by_itself(
    network: SimulatedNetwork, more: dict[str, object]
) -> None:
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("a", "town", 1e6, explicit_route=LONG, **more))  # type: ignore[arg-type]
    assert refused.value.reason is Reason.EXPLICIT_ROUTE_NOT_ALONE
