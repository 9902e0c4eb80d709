"""Circuits that stand badly are moved, make before break, and only where that pays."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from controller.core.admission.admission import Admission
from controller.core.circuits.circuit import CircuitState, Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.reservations import Reservations
from controller.core.controller import Controller
from controller.core.invariants import broken_invariants
from controller.core.optimising.moves import Move, ReoptimiseLimits
from controller.routing.assignments.reoptimise import Move as Proposal
from controller.routing.assignments.reoptimise import Plan, reoptimise
from digitalgrid.units import NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there

LIMITS = ReoptimiseLimits(most_moves=8, least_gain_fraction=0.0)


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def reoptimised(
    network: SimulatedNetwork, limits: ReoptimiseLimits = LIMITS, *, dry_run: bool = False
) -> list[Move]:
    question = network.event(
        lambda core, now_ns: core.ask_reoptimise(now_ns, limits.wait_to_restore_ns)
    )
    if question is None:
        return []
    plan = reoptimise(question.graph, question.circuits)
    moves = network.event(
        lambda core, now_ns: core.reoptimise(limits, question, plan, now_ns, dry_run=dry_run)
    )
    assert broken_invariants(network.core.questions) == []
    return moves


def detour(network: SimulatedNetwork, power_w: float = 2e6, **wanted: Any) -> int:
    """A circuit that took the long way because the short one was cut when it came."""
    network.cut("r1-r2")
    network.deliver_all()
    request = PowerRequest("detour", "town", power_w, ("solar",), **wanted)
    (circuit,) = network.request(request)
    network.deliver_all()
    network.mend("r1-r2")
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    assert newest(circuit).route.router_ids == ("r1", "r3", "r4")
    return circuit.circuit_id


def test_by_itself_nothing_follows_a_line_that_has_just_come_back(
    network: SimulatedNetwork,
) -> None:
    patient = replace(LIMITS, wait_to_restore_ns=30 * NS_PER_S)
    circuit_id = detour(network)
    assert reoptimised(network, patient) == []
    network.advance(29 * NS_PER_S)
    # It flaps: the time begins anew.
    network.cut("r1-r2")
    network.deliver_all()
    network.mend("r1-r2")
    network.deliver_all()
    network.advance(29 * NS_PER_S)
    assert reoptimised(network, patient) == []
    network.advance(2 * NS_PER_S)
    (move,) = reoptimised(network, patient)
    assert move.circuit_id == circuit_id
    network.deliver_all()
    assert path(network.core, circuit_id) == ("r1", "r2", "r4")


def test_a_line_that_flaps_while_a_better_path_is_sought_draws_nobody(
    network: SimulatedNetwork,
) -> None:
    patient = replace(LIMITS, wait_to_restore_ns=30 * NS_PER_S)
    circuit_id = detour(network)
    network.advance(31 * NS_PER_S)
    question = there(
        network.event(lambda core, now_ns: core.ask_reoptimise(now_ns, patient.wait_to_restore_ns))
    )
    plan = reoptimise(question.graph, question.circuits)
    network.cut("r1-r2")
    network.deliver_all()
    network.mend("r1-r2")
    network.deliver_all()
    (move,) = network.event(
        lambda core, now_ns: core.reoptimise(patient, question, plan, now_ns, dry_run=False)
    )
    assert (move.moving, move.reason) == (False, "it is too soon after r1-r2 came back")
    network.deliver_all()
    assert path(network.core, circuit_id) == ("r1", "r3", "r4")


def test_whoever_is_on_a_line_that_came_back_may_stay(network: SimulatedNetwork) -> None:
    network.cut("r1-r2")
    network.deliver_all()
    network.mend("r1-r2")
    network.deliver_all()
    (circuit,) = network.request(PowerRequest("direct", "town", 2e6, ("solar",)))
    network.deliver_all()
    assert newest(circuit).route.router_ids == ("r1", "r2", "r4")
    assert reoptimised(network, replace(LIMITS, wait_to_restore_ns=30 * NS_PER_S)) == []


def path(core: Controller, circuit_id: int) -> tuple[str, ...]:
    return newest(core.questions.circuits[circuit_id]).route.router_ids


def test_a_circuit_on_a_detour_comes_back_without_an_interruption(
    network: SimulatedNetwork,
) -> None:
    circuit_id = detour(network)
    before_w = newest(network.core.questions.circuits[circuit_id]).route.injected_w
    (move,) = reoptimised(network)
    assert move.moving
    assert there(move.new).router_ids == ("r1", "r2", "r4")
    network.deliver_all()
    circuit = network.core.questions.circuits[circuit_id]
    assert circuit.state is CircuitState.ACTIVE
    assert path(network.core, circuit_id) == ("r1", "r2", "r4")
    assert list(circuit.generations) == [2]
    assert before_w - newest(circuit).route.injected_w == pytest.approx(move.gain_w)
    assert circuit.interruptions == 0
    # And there it stays.
    assert reoptimised(network) == []


def test_a_dry_run_tells_and_moves_nothing(network: SimulatedNetwork) -> None:
    circuit_id = detour(network)
    (move,) = reoptimised(network, dry_run=True)
    assert (move.moving, move.reason) == (False, "")
    assert move.gain_w > 0.0
    network.deliver_all()
    assert path(network.core, circuit_id) == ("r1", "r3", "r4")


def test_what_saves_too_little_or_is_one_too_many_stays(network: SimulatedNetwork) -> None:
    detour(network)
    (move,) = reoptimised(network, replace(LIMITS, least_gain_fraction=0.9))
    assert (move.moving, move.reason) == (False, "saves too little to be worth a move")
    assert reoptimised(network, replace(LIMITS, most_moves=0)) == []


def test_constraints_hold_over_moves(network: SimulatedNetwork) -> None:
    detour(network, constraints=Constraints(avoid_ids=("r2",)))
    assert reoptimised(network) == []


def test_a_dearer_source_is_not_taken(network: SimulatedNetwork) -> None:
    (other,) = network.request(PowerRequest("other", "town", 3.5e6, ("gas",)))
    (circuit,) = network.request(PowerRequest("any", "town", 2e6))
    network.deliver_all()
    network.release(other.circuit_id)
    network.deliver_all()
    # Gas is one line from town and the sun two, but the sun costs nothing.
    assert newest(circuit).route.source_id == "solar"
    assert reoptimised(network) == []


def test_circuits_that_are_on_the_move_or_away_are_left_alone(network: SimulatedNetwork) -> None:
    assert network.event(lambda core, now_ns: core.ask_reoptimise(now_ns)) is None
    circuit_id = detour(network)
    network.event(lambda core, now_ns: core.change(circuit_id, 2.5e6, now_ns))
    assert network.event(lambda core, now_ns: core.ask_reoptimise(now_ns)) is None


def test_a_plan_that_is_outdated_harms_nobody(network: SimulatedNetwork) -> None:
    circuit_id = detour(network)
    question = there(network.event(lambda core, now_ns: core.ask_reoptimise(now_ns)))
    plan = reoptimise(question.graph, question.circuits)
    network.request(PowerRequest("first", "works", 5e6, ("solar",)))
    network.deliver_all()
    network.cut("r2-r4")
    network.deliver_all()
    (move,) = network.event(
        lambda core, now_ns: core.reoptimise(LIMITS, question, plan, now_ns, dry_run=False)
    )
    assert (move.moving, move.reason) == (False, "does not fit beside what stands now")
    assert path(network.core, circuit_id) == ("r1", "r3", "r4")


def test_any_number_of_hops_is_as_good_as_no_limit(network: SimulatedNetwork) -> None:
    circuit_id = detour(network, constraints=Constraints(max_hops=2**32 - 1))
    (move,) = reoptimised(network)
    assert (move.circuit_id, move.moving) == (circuit_id, True)


def test_a_path_that_no_longer_begins_or_ends_where_it_should_is_none(
    network: SimulatedNetwork,
) -> None:
    (circuit,) = network.request(PowerRequest("r", "town", 1e6, ("solar",)))
    hops = [(link.link_id, link.from_router_id) for link in newest(circuit).route.links]
    admission = Admission(Reservations())
    admission.adopt(network.core.questions.view)
    along = admission.route_along
    assert along("town", 1e6, "solar", hops) is not None
    assert along("town", 1e6, "gas", hops) is None
    assert along("works", 1e6, "solar", hops) is None
    assert along("town", 1e6, "solar", hops[::-1]) is None
    assert along("town", 1e6, "solar", []) is None
    assert along("pump", 0.5e6, "solar", []) is not None


def test_a_circuit_that_would_not_fit_anew_where_it_is_can_still_leave(
    network: SimulatedNetwork,
) -> None:
    """The source is taken to the last watt, and as a newcomer to its own path it would have to bear more losses."""
    for name in ("one", "two"):
        network.request(PowerRequest(name, "town", 1.5e6, ("gas",)))
    network.request(PowerRequest("rest", "town", 1.5e6, allow_split=True))
    network.deliver_all()
    question = there(network.event(lambda core, now_ns: core.ask_reoptimise(now_ns)))
    ways = {hop: arc for arc, hop in enumerate(question.hops)}
    arcs = (ways["r1-r2", "r1"], ways["r2-r4", "r2"])
    proposal = Proposal(
        question.circuit_ids.index(1), question.source_ids.index("solar"), arcs, 0.0
    )
    plan = Plan((proposal,), 0.0, 0.0, 0.0, 0.0, 1)
    whatever = ReoptimiseLimits(most_moves=1, least_gain_fraction=-inf)
    (move,) = network.event(
        lambda core, now_ns: core.reoptimise(whatever, question, plan, now_ns, dry_run=True)
    )
    assert (move.reason, there(move.new).source_id) == ("", "solar")
