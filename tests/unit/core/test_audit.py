"""The audit log: each decision is written with the entry that says who asked, and why."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from controller.core.access import Action, Call, Principal, Role
from controller.core.book.audit import DONE
from controller.core.circuits.circuit import Constraints
from controller.core.circuits.records import AuditEntry, StateChange
from controller.core.circuits.request import PowerRequest, asked_for
from controller.core.controller import Controller
from controller.core.errors import Refusal
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_S
from tests.support.calls import CLIENT, call
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork

AT_UNIX_NS = 1_700_000_000_000_000_000


class Audited:
    """A running network, and what its store was given."""

    def __init__(self) -> None:
        self.network = SimulatedNetwork.running(diamond())
        self.network.store.pending.clear()
        self.changes: list[StateChange] = []

    def asked(self, by: Call, event: Callable[[Controller, int], object]) -> list[AuditEntry]:
        """A client's event; the entries that were written with it."""
        return self.event(lambda core, now_ns: core.answer(by, AT_UNIX_NS, event, now_ns))

    def event(self, event: Callable[[Controller, int], object]) -> list[AuditEntry]:
        try:
            self.network.event(event)
        finally:
            self.changes = [change for _, change in self.network.store.pending]
        return self.entries()

    def entries(self) -> list[AuditEntry]:
        return [entry for change in self.changes for entry in change.audit]

    def next_seq(self) -> int:
        """What the next entry will be numbered."""
        store = self.network.store
        written = [*store.audit, *(each for _, change in store.pending for each in change.audit)]
        return written[-1].seq + 1

    def settle(self) -> list[AuditEntry]:
        """Let all come to rest; the entries that the controller made by itself."""
        before = self.next_seq()
        self.network.deliver_all()
        self.network.advance(NS_PER_S)
        self.network.deliver_all()
        return [each for each in self.network.store.audit if each.seq >= before]


REQUEST = call(Action.REQUEST, "req-1", "sink=town")


def request(power_w: float = 2e6, **more: Any) -> PowerRequest:
    return PowerRequest("req-1", "town", power_w, ("solar",), **more)


def test_a_circuit_and_its_entry_are_one_change() -> None:
    here = Audited()
    (entry,) = here.asked(REQUEST, lambda core, now_ns: core.request(request(), now_ns))
    (change,) = here.changes
    assert [record.circuit_id for record in change.circuits] == [1]
    assert entry.who == "alice@office dgctl (ipv4:127.0.0.1:5)"
    assert (entry.roles, entry.proven) == (("anyone",), False)
    assert (entry.action, entry.subject, entry.asked) == ("request", "req-1", "sink=town")
    assert entry.decided == "admitted: circuit 1 over r1 r2 r4"
    assert entry.at_unix_ns == 1_700_000_000_000_000_000
    assert change.counters.next_audit_seq == entry.seq + 1


def test_a_refusal_is_written_with_its_reason() -> None:
    here = Audited()
    wanted = request(constraints=Constraints(max_hops=0))
    with pytest.raises(Refusal):
        here.asked(REQUEST, lambda core, now_ns: core.request(wanted, now_ns))
    (entry,) = here.entries()
    assert (entry.decided, entry.asked) == ("refused", "sink=town")
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
    asked = [(call(Action.REQUEST, each.request_id, asked_for(each)), each) for each in wanted]
    bob = replace(asked[2][0], principal=Principal("bob"))
    asked[2] = (bob, wanted[2])
    entries = here.event(lambda core, now_ns: core.answer_requests(asked, AT_UNIX_NS, now_ns))
    assert [(each.subject, each.decided.split(":")[0]) for each in entries] == [
        ("a", "admitted"),
        ("b", "refused"),
        ("c", "admitted"),
    ]
    assert [each.who for each in entries] == [str(CLIENT), str(CLIENT), "bob"]
    assert entries[0].asked == "sink=town, power_w=1000000.0"
    assert len(here.changes) == 1


def test_what_the_controller_decides_by_itself_says_why() -> None:
    here = Audited()
    here.asked(REQUEST, lambda core, now_ns: core.request(request(), now_ns))
    here.settle()
    here.network.cut("r1-r2")
    moves = [each for each in here.settle() if each.action == "circuit"]
    assert moves[0].who == "controller"
    assert moves[0].subject == "1"
    assert moves[0].decided == "rerouting, generation 2 over r1 r3 r4"
    assert moves[0].why == "its path is down"
    # One entry for one decision, however often the circuit is written.
    assert len(moves) == 1


def test_a_release_is_the_clients_and_its_end_the_controllers() -> None:
    here = Audited()
    here.asked(REQUEST, lambda core, now_ns: core.request(request(), now_ns))
    here.settle()
    entries = here.asked(call(Action.RELEASE, "1"), lambda core, now_ns: core.release(1, now_ns))
    assert [(each.who, each.action, each.subject) for each in entries] == [
        (str(CLIENT), "release", "1")
    ]
    ends = here.settle()
    assert [(each.who, each.decided) for each in ends] == [
        ("controller", "withdrawn, generation 1")
    ]


def test_numbers_go_on_after_a_restart() -> None:
    here = Audited()
    here.asked(REQUEST, lambda core, now_ns: core.request(request(), now_ns))
    here.settle()
    last = here.next_seq()
    here.network.kill_controller(written=0)
    here.network.start_controller()
    here.asked(call(Action.CHANGE, "1"), lambda core, now_ns: None)
    assert here.entries()[0].seq == last


def test_who_may_not_is_refused_counted_and_noted_once_and_nothing_is_made() -> None:
    here = Audited()
    viewer = Principal("eve", "ipv4:10.0.0.9:1", frozenset({Role.VIEWER}), proven=True)
    asks = replace(REQUEST, principal=viewer)
    with pytest.raises(Refusal) as refused:
        here.asked(asks, lambda core, now_ns: core.request(request(), now_ns))
    assert refused.value.reason is Reason.NOT_ALLOWED
    (entry,) = here.entries()
    assert (entry.who, entry.roles, entry.proven) == ("eve (ipv4:10.0.0.9:1)", ("viewer",), True)
    assert here.network.core.questions.circuits == {}
    here.network.event(lambda core, _: core.note_refusal(asks, refused.value, AT_UNIX_NS))
    assert len([entry for _, change in here.network.store.pending for entry in change.audit]) == 1
    (decision,) = here.network.event(
        lambda core, now: core.answer_requests([(asks, request())], AT_UNIX_NS, now)
    )
    assert isinstance(decision, Refusal) and decision.reason is Reason.NOT_ALLOWED
    assert here.network.core.questions.answered == {(Action.REQUEST, Reason.NOT_ALLOWED): 2}


def test_a_step_is_noted_with_its_call_and_a_rehearsal_is_only_counted() -> None:
    here = Audited()
    asks = call(Action.DISPATCH, "d")
    assert here.asked(asks.one_step(), lambda core, now_ns: None) == []
    assert here.asked(replace(asks, rehearsal=True), lambda core, now_ns: None) == []
    (entry,) = here.asked(asks, lambda core, now_ns: None)
    assert entry.decided == "done"
    assert here.network.core.questions.answered == {(Action.DISPATCH, DONE): 2}
