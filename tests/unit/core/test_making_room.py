"""Whose turn it is to have room made, what a question costs, and plans that are out of date when they come."""

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState, Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.optimising import making_room
from controller.core.optimising.making_room import MAX_WAITING, RoomMaker
from controller.core.optimising.reoptimising import Reoptimiser
from controller.routing.assignments.room import make_room
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork

ONLY_R2 = Constraints(avoid_ids=("r3",))


def admit(network: SimulatedNetwork, name: str, power_w: float, limits: Constraints) -> Circuit:
    (circuit,) = network.request(PowerRequest(name, "town", power_w, ("solar",), limits))
    network.deliver_all()
    return circuit


def with_waiting(count: int, power_w: float) -> tuple[SimulatedNetwork, list[int]]:
    """Circuits that can only go over r2, and the line there is down."""
    network = SimulatedNetwork.running(diamond())
    circuits = [admit(network, f"w{each}", power_w, ONLY_R2) for each in range(count)]
    network.cut("r1-r2")
    for _ in range(5):
        network.deliver_all()
        network.advance(100 * NS_PER_MS)
    network.deliver_all()
    assert {each.state for each in circuits} == {CircuitState.WAITING}
    return network, [each.circuit_id for each in circuits]


def turn(network: SimulatedNetwork) -> list[int]:
    return [each.circuit_id for each in network.core._parts.room_maker._next_in_turn()]


def test_each_that_waits_has_its_turn_and_then_the_most_urgent_again() -> None:
    network, ids = with_waiting(MAX_WAITING + 3, 1e3)
    assert turn(network) == ids[:MAX_WAITING]
    assert turn(network) == ids[MAX_WAITING:]
    assert turn(network) == ids[:MAX_WAITING]


def test_those_that_no_move_could_serve_keep_nobody_from_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, ids = with_waiting(MAX_WAITING + 1, 1e3)
    monkeypatch.setattr(
        RoomMaker, "_could_be_served", lambda self, circuit: circuit.circuit_id == ids[-1]
    )
    assert turn(network) == [ids[-1]]


def test_only_the_largest_are_looked_at_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    network = SimulatedNetwork.running(diamond())
    largest = [admit(network, f"c{each}", 1e3 * (each + 1), Constraints()) for each in range(9)][
        -3:
    ]
    looked_at: list[int] = []
    can_move = Reoptimiser.can_move

    def counted(self: Reoptimiser, circuit: Circuit) -> bool:
        looked_at.append(circuit.circuit_id)
        return can_move(self, circuit)

    monkeypatch.setattr(Reoptimiser, "can_move", counted)
    monkeypatch.setattr(making_room, "MAX_LOOKED_AT", 3)
    assert network.core._parts.room_maker._largest() == largest[::-1]
    assert looked_at == [each.circuit_id for each in largest[::-1]]


def test_nobody_moves_for_a_circuit_that_is_gone_by_then() -> None:
    network, (waits,) = with_waiting(1, 4e6)
    network.mend("r1-r2")
    network.deliver_all()
    admit(network, "stays", 3e6, Constraints())
    question = network.event(lambda core, now_ns: core.ask_room(now_ns))
    assert question is not None
    plan = make_room(question.graph, question.circuits, question.wanted)
    assert plan.served and plan.moves
    network.release(waits)
    assert network.event(lambda core, now_ns: core.make_room(question, plan, now_ns)) == []


def test_no_move_is_made_of_a_plan_whose_decisive_move_no_longer_fits() -> None:
    network, _ = with_waiting(1, 5e6)
    network.mend("r1-r2")
    network.cut("r1-r3")
    network.deliver_all()
    first, second = (admit(network, each, 1.5e6, Constraints()) for each in ("a", "b"))
    network.mend("r1-r3")
    network.deliver_all()
    question = network.event(lambda core, now_ns: core.ask_room(now_ns))
    assert question is not None
    plan = make_room(question.graph, question.circuits, question.wanted)
    assert {question.circuit_ids[each.circuit] for each in plan.moves} == {
        first.circuit_id,
        second.circuit_id,
    }
    before = {
        each: network.core._reservations.total(each)
        for each in network.core._reservations.resources()
    }
    # Meanwhile somebody takes what the last of them would need.
    rival = admit(network, "rival", 4e6, Constraints(avoid_ids=("r2",)))
    assert network.event(lambda core, now_ns: core.make_room(question, plan, now_ns)) == []
    assert len(first.generations) == len(second.generations) == 1
    network.release(rival.circuit_id)
    network.deliver_all()
    assert before == {
        each: network.core._reservations.total(each)
        for each in network.core._reservations.resources()
    }
    assert network.event(lambda core, now_ns: core.make_room(question, plan, now_ns))


def test_whether_anybody_is_under_way_costs_nothing_once_all_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = SimulatedNetwork.running(diamond())
    programmer = network.core._parts.programmer
    network.request(PowerRequest("a", "town", 1e3, ("solar",)))
    assert programmer.any_under_way()
    network.deliver_all()
    circuit = admit(network, "b", 1e3, Constraints())
    assert not programmer._unsettled
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 2e3, now_ns))
    assert programmer.any_under_way()
    network.deliver_all()
    assert not programmer.any_under_way()


def test_news_that_never_end_do_not_put_the_question_off() -> None:
    network, _ = with_waiting(1, 1e3)
    maker = network.core._parts.room_maker
    asked: list[int] = []
    maker._emit = lambda _: asked.append(now_ns)
    now_ns = network.now_ns + 60 * NS_PER_S
    for _ in range(8):
        maker._mover.room_version += 1
        maker.look(now_ns)
        now_ns += NS_PER_S // 2
    assert asked
