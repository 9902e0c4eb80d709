"""Device profiles in the core: what a router cannot do is refused with its reason, and never exceeded."""

from dataclasses import replace
from typing import Any

import pytest

from controller.core.circuits.circuit import CircuitState, Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.invariants import broken_invariants
from controller.core.optimising.question import Demand, DispatchOrder, answer
from digitalgrid.gridfile import Grid
from digitalgrid.profiles import BUILT_IN, DeviceProfile
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest


def with_profile(profile: DeviceProfile, *router_ids: str) -> Grid:
    grid = diamond()
    routers = tuple(
        replace(each, profile=profile.id) if each.id in router_ids else each
        for each in grid.routers
    )
    own = () if profile.id in BUILT_IN else (profile,)
    return replace(grid, routers=routers, profiles=own)


def narrow(most_w: float) -> DeviceProfile:
    return DeviceProfile("narrow", max_through_w=most_w)


def request(power_w: float, sink: str = "town", name: str = "", **more: Any) -> PowerRequest:
    return PowerRequest(name or f"{sink} {power_w}", sink, power_w, **more)


def refused(network: SimulatedNetwork, asked: PowerRequest) -> Refusal:
    before = network.core.questions.reserved()
    with pytest.raises(Refusal) as refusal:
        network.request(asked)
    assert network.core.questions.reserved() == before
    return refusal.value


def test_what_passes_a_router_is_reserved_of_its_converter_and_given_back() -> None:
    network = SimulatedNetwork.running(with_profile(narrow(3e6), "r2"))
    (circuit,) = network.request(request(2e6, source_ids=("solar",)))
    route = newest(circuit).route
    assert route.router_ids == ("r1", "r2", "r4")
    assert network.core.questions.reserved_through_w("r2") == pytest.approx(route.entering_w[1])
    # The router that is not limited is not reckoned.
    assert network.core.questions.reserved_through_w("r4") == 0.0
    network.deliver_all()
    network.release(circuit.circuit_id)
    network.deliver_all()
    assert network.core.questions.reserved_through_w("r2") == 0.0


def test_a_circuit_goes_around_a_router_that_converts_too_little_for_it() -> None:
    network = SimulatedNetwork.running(with_profile(narrow(3e6), "r2"))
    first, second = (
        network.request(request(2e6, name=each, source_ids=("solar",)))[0] for each in "ab"
    )
    assert newest(first).route.router_ids == ("r1", "r2", "r4")
    assert newest(second).route.router_ids == ("r1", "r3", "r4")
    assert broken_invariants(network.core.questions) == []


def test_a_split_uses_what_each_router_can_convert() -> None:
    network = SimulatedNetwork.running(with_profile(narrow(3e6), "r2", "r3"))
    circuits = network.request(request(4e6, allow_split=True, source_ids=("solar",)))
    assert len(circuits) == 2
    assert broken_invariants(network.core.questions) == []


def test_a_router_that_is_the_bottleneck_is_named() -> None:
    network = SimulatedNetwork.running(with_profile(narrow(1.5e6), "r2", "r3"))
    refusal = refused(network, request(4e6, source_ids=("solar",)))
    assert refusal.reason is Reason.INSUFFICIENT_CAPACITY
    assert refusal.metadata["bottleneck_routers"] == "r2,r3"
    assert "what r2, r3 can convert" in str(refusal)
    assert 0.9 * 3e6 < float(refusal.metadata["deliverable_w"]) < 3e6
    dispatch = DispatchOrder("d", (Demand("town", 4e6),), ("solar",), one_by_one=True)
    question = network.core.ask_dispatch(dispatch, network.now_ns)
    planned = answer(question)
    assert planned.bottleneck_router_ids == ("r2", "r3")
    outcomes = network.event(
        lambda core, now_ns: core.dispatch(dispatch, question, planned, now_ns)
    )
    assert sum(each.power_w for each in outcomes[0].circuits) > 2.5e6
    assert broken_invariants(network.core.questions) == []


def test_a_load_behind_a_small_router_is_told_what_that_converts() -> None:
    network = SimulatedNetwork.running(with_profile(narrow(1e6), "r4"))
    refusal = refused(network, request(2e6))
    assert refusal.reason is Reason.THROUGH_POWER_EXCEEDED
    assert "router 'r4' of load 'town' converts at most 1 MW (profile 'narrow')" in str(refusal)
    assert float(refusal.metadata["deliverable_w"]) == pytest.approx(0.97e6)
    (circuit,) = network.request(request(0.97e6))
    assert circuit.power_w == 0.97e6


def test_a_circuit_may_use_again_what_it_holds_of_a_converter() -> None:
    network = SimulatedNetwork.running(with_profile(narrow(3e6), "r2"))
    (circuit,) = network.request(request(2e6, source_ids=("solar",)))
    network.deliver_all()
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 2.7e6, now_ns))
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert newest(circuit).route.router_ids == ("r1", "r2", "r4")
    assert broken_invariants(network.core.questions) == []


def test_circuits_leave_a_router_whose_limit_is_lowered_under_them() -> None:
    network = SimulatedNetwork.running(with_profile(narrow(3e6), "r2"))
    (circuit,) = network.request(request(2e6, source_ids=("solar",)))
    network.deliver_all()
    router = network.grid.routers["r2"]
    network.grid.grid = replace(network.grid.grid, profiles=(narrow(1e6),))
    network.event(lambda core, now_ns: core.on_lsa(router.lsa(), now_ns))
    network.deliver_all()
    network.heal()
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
    assert circuit.state is CircuitState.ACTIVE
    assert broken_invariants(network.core.questions) == []


def test_a_circuit_that_asks_for_packets_keeps_off_routers_without() -> None:
    plain = DeviceProfile("plain", packets=False)
    network = SimulatedNetwork.running(with_profile(plain, "r2"))
    packets = Constraints(packets=True)
    (circuit,) = network.request(request(1e6, source_ids=("solar",), constraints=packets))
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
    refusal = refused(network, request(1e6, "works", constraints=packets))
    assert refusal.reason is Reason.CONSTRAINTS_UNSATISFIABLE
    assert "no route meets packets" in str(refusal)
    assert network.request(request(1e6, "works"))


def test_circuits_pass_a_router_without_address_and_do_not_end_there() -> None:
    network = SimulatedNetwork.running(with_profile(BUILT_IN["pfr"], "r2", "r3"))
    (circuit,) = network.request(request(1e6, source_ids=("solar",)))
    assert newest(circuit).route.router_ids == ("r1", "r2", "r4")
    refusal = refused(network, request(1e6, "works"))
    assert (refusal.reason, refusal.field) == (Reason.ROUTER_NOT_ADDRESSED, "sink_id")
    assert "router 'r2' (profile 'pfr') of load 'works' has no address" in str(refusal)
    refusal = refused(network, request(1e6, name="gas", source_ids=("gas",)))
    assert (refusal.reason, refusal.field) == (Reason.ROUTER_NOT_ADDRESSED, "source_ids")
    dispatch = DispatchOrder("d", (Demand("works"),))
    with pytest.raises(Refusal, match="has no address"):
        network.core.ask_dispatch(dispatch, network.now_ns)


def test_a_router_that_is_left_to_its_agents_takes_no_circuits() -> None:
    left = DeviceProfile("left", autonomy="agents")
    network = SimulatedNetwork.running(with_profile(left, "r2"))
    (circuit,) = network.request(request(1e6, source_ids=("solar",)))
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
    refusal = refused(network, request(1e6, "works"))
    assert refusal.reason is Reason.ROUTER_LEFT_TO_AGENTS
    refusal = refused(network, request(9e6, source_ids=("solar",)))
    assert "r2 being left to agents" in str(refusal)
    assert refusal.metadata["bottleneck_routers"] == "r2"


def test_room_is_made_in_a_converter_that_is_full() -> None:
    """What r2 converts is taken by a circuit that could go over r3: it does, for the works at r2."""
    network = SimulatedNetwork.running(with_profile(narrow(5.2e6), "r2"))
    (works,) = network.request(request(3.3e6, "works", constraints=Constraints(max_hops=1)))
    network.deliver_all()
    network.derate("r1-r2", 110.0)
    settle(network)
    assert works.state is CircuitState.WAITING
    (passing,) = network.request(request(2e6, source_ids=("solar",)))
    network.deliver_all()
    assert newest(passing).route.router_ids == ("r1", "r2", "r4")
    network.derate("r1-r2", 300.0)
    settle(network, 4)
    assert (works.state, passing.state) == (CircuitState.ACTIVE, CircuitState.ACTIVE)
    assert newest(passing).route.router_ids == ("r1", "r3", "r4")
    assert broken_invariants(network.core.questions) == []


def test_who_holds_a_converter_gives_way_to_the_first_that_may_displace_it() -> None:
    network = SimulatedNetwork.running(with_profile(narrow(2.5e6), "r1", "r2"))
    (weak,) = network.request(request(1e6, "works", source_ids=("solar",)))
    (firm,) = network.request(
        request(1.8e6, "works", source_ids=("solar",), setup_priority=5, hold_priority=5)
    )
    settle(network)
    assert (weak.state, firm.state) == (CircuitState.WAITING, CircuitState.ACTIVE)


def settle(network: SimulatedNetwork, seconds: int = 1) -> None:
    for _ in range(20 * seconds):
        network.deliver_all()
        network.advance(50 * NS_PER_MS)
    network.deliver_all()
