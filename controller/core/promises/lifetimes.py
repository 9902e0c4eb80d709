"""Lifetimes: circuits that their clients asked for until a time, and that end then, whoever is left to release them."""

from collections.abc import Callable

from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.programming.agenda import Agenda
from digitalgrid.reasons import Reason

# Circuits that end in one event; others have their turn between.
_AT_ONCE = 64


class Lifetimes:
    """Knows what ends when, by the calendar: ends outlive daemons, and a clock that is set anew moves them with it.

    ``calendar_ns`` says what calendar time an event has.
    """

    def __init__(self, *, book: CircuitBook, calendar_ns: Callable[[int], int]) -> None:
        self._book = book
        self._calendar_ns = calendar_ns
        self._due: Agenda[int] = Agenda()
        for circuit in book.live.values():
            self.watch(circuit)

    def next_deadline_ns(self) -> int | None:
        due_unix_ns = self._due.next_ns()
        # By the clock of events, which the calendar is ahead of.
        return None if due_unix_ns is None else due_unix_ns - self._calendar_ns(0)

    def check(self, request: PowerRequest, now_ns: int) -> None:
        """Refuse a request that would end before it begins."""
        until_ns, calendar_ns = request.until_unix_ns, self._calendar_ns(now_ns)
        if until_ns is not None and until_ns <= calendar_ns:
            raise Refusal(
                Reason.END_PASSED,
                f"until_unix_ns is {until_ns}, and it is {calendar_ns} by the controller's clock; name a"
                " later end, or none",
                field="until_unix_ns",
                metadata={"now_unix_ns": str(calendar_ns)},
            )

    def watch(self, circuit: Circuit) -> None:
        """A circuit is there that may have an end."""
        if circuit.until_unix_ns is not None and circuit.admin_up and not circuit.state.ended:
            self._due.set(circuit.circuit_id, circuit.until_unix_ns)

    def forget(self, circuit: Circuit) -> None:
        """It is taken down."""
        self._due.drop(circuit.circuit_id)

    def over(self, now_ns: int) -> list[Circuit]:
        """Some of those whose time is over, which are to be released; the others in the next event."""
        due = self._due.due(self._calendar_ns(now_ns))[:_AT_ONCE]
        for circuit_id in due:
            self._due.drop(circuit_id)
        return [self._book.live[each] for each in due if each in self._book.live]
