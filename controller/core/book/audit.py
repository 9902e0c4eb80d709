"""Audit trail: who asked for what, when, what was decided, and why; written with the decision, and never changed."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from controller.core.access import CONTROLLER, Action, Call, Principal
from controller.core.book.bounds import Bound, bounds_of
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.records import AuditEntry
from controller.core.errors import Refusal

# What is counted of a call that was not refused.
DONE = "DONE"


class AuditTrail:
    """Gathers the entries of one event, until the book writes them beside what they tell of.

    ``answered`` counts calls by action, and by reason of refusal or :data:`DONE`.
    """

    def __init__(self, next_seq: int, at_unix_ns: int = 0) -> None:
        self._next_seq = next_seq
        self._entries: list[AuditEntry] = []
        self._at_unix_ns = at_unix_ns
        # What is being answered: that call's own entry tells what becomes of its circuits.
        self._call: Call | None = None
        # Who asked last, in words, with the roles: a batch is one client's.
        self._who: Principal | None = None
        self._said_of_who: tuple[str, tuple[str, ...]] = ("", ())
        self._answering = False
        self.answered: Counter[tuple[Action, str]] = Counter()
        self.refused_by = Counter(dict.fromkeys(Bound, 0))

    @property
    def next_seq(self) -> int:
        return self._next_seq

    @property
    def at_unix_ns(self) -> int:
        """When the present event came in, by the calendar."""
        return self._at_unix_ns

    @property
    def answering(self) -> bool:
        """Whether a client's call is being decided, and its entry is not written yet."""
        return self._answering

    @property
    def pending(self) -> bool:
        """Whether there are entries that are not with the store yet."""
        return bool(self._entries)

    def begin(self, at_unix_ns: int) -> None:
        """An event comes in, at this time by the calendar."""
        self._at_unix_ns = at_unix_ns

    @contextmanager
    def answer(self, call: Call) -> Iterator[None]:
        """Note a call with what is decided within: by :meth:`conclude`, or by a Refusal, which passes on."""
        self._call, self._answering = call, True
        try:
            yield
        except Refusal as refusal:
            self._call = None
            self.refuse(call, refusal)
            raise
        else:
            self.conclude("done")
        finally:
            self._call, self._answering = None, False

    @contextmanager
    def answer_many(self) -> Iterator[None]:
        """Several calls are decided within; each is noted by :meth:`accept` or :meth:`refuse`."""
        self._answering = True
        try:
            yield
        finally:
            self._answering = False

    def conclude(self, decided: str, why: str = "") -> None:
        """What was decided of the call that is being answered; what follows from it has entries of its own."""
        call, self._call, self._answering = self._call, None, False
        if call is not None:
            self.accept(call, decided, why)

    def accept(self, call: Call, decided: str, why: str = "") -> None:
        """Note a call that is not refused."""
        if call.step:
            return
        self.answered[call.action, DONE] += 1
        if call.is_audited:
            self._note(call, decided, why)

    def refuse(self, call: Call, refusal: Refusal) -> None:
        """Note why a call is refused, unless that was noted before on its way out."""
        if call.step or refusal.noted:
            return
        refusal.noted = True
        self.answered[call.action, refusal.reason] += 1
        self.refused_by.update(bounds_of(refusal.metadata))
        if call.is_audited:
            self._note(call, "refused", f"{refusal.reason}: {refusal}")

    def note(self, action: str, subject: str, decided: str, why: str) -> None:
        """What the controller decides without being asked."""
        self._add(CONTROLLER, action, subject, "", decided, why)

    def _note(self, call: Call, decided: str, why: str) -> None:
        self._add(call.principal, call.action, call.subject, call.asked, decided, why)

    def _add(
        self, who: Principal, action: str, subject: str, asked: str, decided: str, why: str
    ) -> None:
        if who is not self._who:
            self._who = who
            self._said_of_who = str(who), tuple(sorted(map(str, who.roles)))
        said, roles = self._said_of_who
        self._entries.append(
            AuditEntry(
                self._next_seq,
                self._at_unix_ns,
                said,
                str(action),
                subject,
                asked,
                decided,
                why,
                roles,
                who.proven,
            )
        )
        self._next_seq += 1

    def take(self) -> tuple[AuditEntry, ...]:
        """The entries that are not with the store yet."""
        entries = tuple(self._entries)
        self._entries.clear()
        return entries


def admitted(circuits: Iterable[Circuit]) -> str:
    """What a client got."""
    got = []
    for circuit in circuits:
        newest = circuit.newest()
        over = f" over {' '.join(newest.route.router_ids)}" if newest else ""
        if circuit.state is CircuitState.WAITING:
            over = f", which {circuit.reason}"
        got.append(f"circuit {circuit.circuit_id}{over}")
    return f"admitted: {', '.join(got)}" if got else "admitted: nothing"
