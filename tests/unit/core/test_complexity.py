"""What each event costs does not grow with all that there is: reads are counted, not seconds."""

import pytest

from controller.core.book import book as circuit_book
from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit, CircuitState, Constraints
from controller.core.circuits.failures import FailureKind, failure
from controller.core.circuits.holdings import Holdings
from controller.core.circuits.records import Counters, StoredState
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import Resource, link_direction
from controller.core.circuits.shortfall import Blame, ShortCause
from controller.core.effects import Effect
from controller.core.programming.agenda import Agenda
from controller.core.promises.blame import note_lost_paths
from controller.core.promises.pacing import MAX_AT_ONCE
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_S
from tests.support.active import active
from tests.support.counted import CountedDict
from tests.support.grids import diamond
from tests.support.routes import route
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest


def test_what_is_due_is_found_without_a_look_at_all_that_is_not() -> None:
    agenda: Agenda[int] = Agenda()
    for key in range(10_000):
        agenda.set(key, key)
    agenda._entry = counted = CountedDict(agenda._entry)
    assert agenda.due(2) == [0, 1, 2]
    assert agenda.due(2) == [0, 1, 2]
    assert counted.reads < 20


def test_the_oldest_is_forgotten_without_a_look_at_all_that_is_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(circuit_book, "MAX_ENDED", 1_000)
    effects: list[Effect] = []
    book = CircuitBook(StoredState(1, (), Counters()), effects.append)
    for number in range(1_010):
        if number == 1_005:
            book._ended = ended = CountedDict(book._ended)
            book._settled = settled = CountedDict(book._settled)
            book.circuits = circuits = CountedDict(book.circuits)
        request = PowerRequest(f"r{number}", "town", 1e6)
        circuit = Circuit(
            number, request.request_id, "town", (), Constraints(), 1e6, state=CircuitState.WITHDRAWN
        )
        book.add(circuit, request)
        book.persist(circuit)
    assert sorted(circuits) == list(range(10, 1_010))
    assert ended.reads + settled.reads < 50
    assert circuits.reads < 1_100  # Of which a thousand are this test's own.


def test_what_stands_by_on_a_line_is_known_without_a_look_at_any_standby() -> None:
    reservations = Reservations()
    for number in range(1_000):
        cover = frozenset({failure(FailureKind.LINK, f"l{number}")})
        key = CircuitGeneration(number, 1)
        reservations.reserve(key, route(1000.0, middle="r9"), cover, standby=True)
        dedicated = CircuitGeneration(1_000 + number, 1)
        reservations.reserve(dedicated, route(1000.0), standby=True)
    reservations._covers = covers = CountedDict(reservations._covers)
    reservations._generations = generations = CountedDict(reservations._generations)
    assert reservations.standing_by(link_direction("r1-r2", "r1")) == 10_000.0
    assert covers.reads == generations.reads == 0
    # One that is let go of costs a look at its own, and at nobody else's.
    reservations.release(CircuitGeneration(1_500, 1))
    assert reservations.standing_by(link_direction("r1-r2", "r1")) == 9_990.0
    assert covers.reads + generations.reads < 100


def test_a_line_that_is_short_is_looked_at_once_for_all_whose_circuits_it_carries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summed: list[Resource] = []
    working = Holdings.working

    def counting(self: Holdings, resource: Resource) -> float:
        summed.append(resource)
        return working(self, resource)

    network = SimulatedNetwork.running(diamond())
    path = newest(active(network, 1e4)).route
    (link_id, *_) = (each.link_id for each in path.links)
    network.derate(link_id, 1.0)
    network.deliver_all()
    view, reservations, circuits = network.core.questions.view, Reservations(), []
    for number in range(40):
        circuit = Circuit(number, "", "town", (), Constraints(), 1e4)
        generation = circuit.next_generation(number, path, view.version)
        circuit.generations[1] = generation
        reservations.reserve(generation.key, generation.route)
        circuits.append(circuit)
    monkeypatch.setattr(Holdings, "working", counting)
    note_lost_paths(view, reservations, circuits, 7)
    assert {each.lost for each in circuits} == {Blame(ShortCause.LINK_SHORT, link_id, 7)}
    assert len(summed) == 2, "one for each direction"


def test_circuits_that_wait_are_searched_for_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    network = SimulatedNetwork.running(diamond())
    for number in range(4 * MAX_AT_ONCE):
        network.request(PowerRequest(f"r{number}", "works", 5e4, ("solar",)))
    network.deliver_all()
    for link_id in ("r1-r2", "r2-r4"):
        network.cut(link_id)
    network.deliver_all()
    for _ in range(10):
        network.advance(NS_PER_S)
        network.deliver_all()
    searched: list[int] = []
    admission = network.core._parts.admission
    search = admission.route

    def counting(*arguments: object, **more: object) -> object:
        searched.append(1)
        return search(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(admission, "route", counting)
    monkeypatch.setattr(admission, "explain", lambda *_, **__: "nothing")
    most = total = 0
    for _ in range(100):
        before = len(searched)
        network.now_ns = max(network.now_ns, network.core.next_deadline_ns() or 0)
        network.event(lambda core, now_ns: core.on_timer(now_ns))
        most = max(most, len(searched) - before)
        total = len(searched)
    assert total >= 4 * MAX_AT_ONCE
    # The present source, and then any that the client would take.
    assert most <= 2 * MAX_AT_ONCE
