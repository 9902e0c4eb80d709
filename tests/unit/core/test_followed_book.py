"""A standby that is to lead goes on with the circuits that it has followed, as they were decided."""

import pytest

from controller.core.book import book as circuit_book
from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.generation import Phase
from controller.core.circuits.records import StoredState
from controller.core.circuits.request import PowerRequest
from controller.core.replica import Replica
from tests.support.grids import diamond
from tests.support.simulated_cluster import SimulatedCluster
from tests.support.there import there

WANTED = PowerRequest("a", "town", 1e6, ("solar",))


def followed_book(cluster: SimulatedCluster) -> CircuitBook:
    """That of the standby, which has heard everything, once it is to lead."""
    cluster.deliver_all()
    assert isinstance(cluster.standby, Replica)
    store = cluster.store
    stored = StoredState(store.epoch, tuple(store.records.values()), store.counters)
    return CircuitBook(stored, lambda _: None, followed=cluster.standby._book)


def test_what_was_measured_of_a_circuit_is_not_taken_for_decided() -> None:
    cluster = SimulatedCluster.running(diamond())
    (circuit,) = cluster.request(WANTED)
    cluster.deliver_all()
    cluster.report()
    cluster.deliver_all()
    measured = there(cluster.standby).questions.circuit(circuit.circuit_id)
    assert measured.state is CircuitState.ACTIVE

    taken_over = followed_book(cluster).get(circuit.circuit_id)

    assert taken_over.state is CircuitState.COMMITTING
    assert [each.phase for each in taken_over.generations.values()] == [Phase.COMMITTING]


def test_what_has_ended_is_remembered_and_what_was_forgotten_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(circuit_book, "MAX_ENDED", 2)
    cluster = SimulatedCluster.running(diamond())
    for request_id in ("a", "b", "c", "d"):
        (circuit,) = cluster.request(PowerRequest(request_id, "town", 1e6, ("solar",)))
        cluster.deliver_all()
        cluster.release(circuit.circuit_id)
        cluster.deliver_all()
        cluster.advance(10_000_000_000)

    book = followed_book(cluster)

    assert [each.request_id for each in book.circuits.values()] == ["c", "d"]
    assert book.live == {}
    assert book.of_request(WANTED) is None
    assert [each.state for each in book.of_request_id("d")] == [CircuitState.WITHDRAWN]
    assert book.next_circuit_id() == 5
