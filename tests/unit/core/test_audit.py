"""The audit log: each decision is written with the entry that says who asked, and why."""

from collections.abc import Callable
from typing import Any

import pytest

from controller.core.book.audit import CONTROLLER
from controller.core.circuits.circuit import Constraints
from controller.core.circuits.records import AuditEntry, StateChange
from controller.core.circuits.request import PowerRequest
from controller.core.controller import Controller
from controller.core.errors import Refusal
from digitalgrid.units import NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork

CLIENT = "alice@office dgctl (ipv4:127.0.0.1:5)"


class Audited:
    """A running network, and what its store was given."""

    def __init__(self) -> None:
        self.network = SimulatedNetwork.running(diamond())
        self.network.store.pending.clear()
        self.changes: list[StateChange] = []

    def asked(self, event: Callable[[Controller, int], object]) -> list[AuditEntry]:
        """An event of the client's; the entries that were written with it."""
        self.network.core.book.audit.begin(CLIENT, 1_700_000_000_000_000_000)
        try:
            self.network.event(event)
        finally:
            self.changes = [change for _, change in self.network.store.pending]
        return self.entries()

    def entries(self) -> list[AuditEntry]:
        return [entry for change in self.changes for entry in change.audit]

    def settle(self) -> list[AuditEntry]:
        """Let all come to rest; the entries that the controller made by itself."""
        before = self.network.core.book.audit.next_seq
        self.network.deliver_all()
        self.network.advance(NS_PER_S)
        self.network.deliver_all()
        return [each for each in self.network.store.audit if each.seq >= before]


def request(power_w: float = 2e6, **more: Any) -> PowerRequest:
    return PowerRequest("req-1", "town", power_w, ("solar",), **more)


def test_a_circuit_and_its_entry_are_one_change() -> None:
    here = Audited()
    (entry,) = here.asked(lambda core, now_ns: core.request(request(), now_ns))
    (change,) = here.changes
    assert [record.circuit_id for record in change.circuits] == [1]
    assert (entry.who, entry.action, entry.subject) == (CLIENT, "request", "req-1")
    assert entry.asked == "sink=town, power_w=2000000.0, sources=solar"
    assert entry.decided == "admitted: circuit 1 over r1 r2 r4"
    assert entry.at_unix_ns == 1_700_000_000_000_000_000
    assert change.counters.next_audit_seq == entry.seq + 1


def test_a_refusal_is_written_with_its_reason() -> None:
    here = Audited()
    wanted = request(constraints=Constraints(max_hops=0))
    with pytest.raises(Refusal):
        here.asked(lambda core, now_ns: core.request(wanted, now_ns))
    (entry,) = here.entries()
    assert (entry.decided, entry.asked) == (
        "refused",
        "sink=town, power_w=2000000.0, sources=solar, max_hops=0",
    )
    reason, _, message = entry.why.partition(": ")
    assert reason == "CONSTRAINTS_UNSATISFIABLE"
    assert "hop" in message
    assert here.changes[0].circuits == ()


def test_each_request_of_a_batch_has_an_entry_of_its_own() -> None:
    here = Audited()
    wanted = [
        PowerRequest("a", "town", 1e6),
        PowerRequest("b", "nowhere", 1e6),
        PowerRequest("c", "works", 1e6),
    ]
    entries = here.asked(lambda core, now_ns: core.request_batch(wanted, now_ns))
    assert [(each.subject, each.decided.split(":")[0]) for each in entries] == [
        ("a", "admitted"),
        ("b", "refused"),
        ("c", "admitted"),
    ]
    assert {each.who for each in entries} == {CLIENT}
    assert len(here.changes) == 1


def test_what_the_controller_decides_by_itself_says_why() -> None:
    here = Audited()
    here.asked(lambda core, now_ns: core.request(request(), now_ns))
    here.settle()
    here.network.cut("r1-r2")
    moves = [each for each in here.settle() if each.action == "circuit"]
    assert moves[0].who == CONTROLLER
    assert moves[0].subject == "1"
    assert moves[0].decided == "rerouting, generation 2 over r1 r3 r4"
    assert moves[0].why == "its path is down"
    # One entry for one decision, however often the circuit is written.
    assert len(moves) == 1


def test_a_release_is_the_clients_and_its_end_the_controllers() -> None:
    here = Audited()
    here.asked(lambda core, now_ns: core.request(request(), now_ns))
    here.settle()
    entries = here.asked(lambda core, now_ns: core.release(1, now_ns))
    assert [(each.who, each.action, each.subject) for each in entries] == [(CLIENT, "release", "1")]
    ends = here.settle()
    assert [(each.who, each.decided) for each in ends] == [(CONTROLLER, "withdrawn, generation 1")]


def test_numbers_go_on_after_a_restart() -> None:
    here = Audited()
    here.asked(lambda core, now_ns: core.request(request(), now_ns))
    here.settle()
    last = here.network.core.book.audit.next_seq
    here.network.kill_controller(written=0)
    here.network.start_controller()
    assert here.network.core.book.audit.next_seq == last
