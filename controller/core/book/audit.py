"""Who asked for what, when, what was decided, and why: written with the decision itself, and never changed."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.records import AuditEntry
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal

# Who decides without being asked.
CONTROLLER = "controller"


@dataclass(slots=True)
class Asked:
    """A client's request while it is decided; ``decided`` and ``why`` are filled in as that is known."""

    decided: str = "done"
    why: str = ""


class AuditTrail:
    """Gathers the entries of one event, until the book writes them beside what they tell of."""

    def __init__(self, next_seq: int, at_unix_ns: int = 0) -> None:
        self._next_seq = next_seq
        self._entries: list[AuditEntry] = []
        self._who = CONTROLLER
        self._at_unix_ns = at_unix_ns
        self._answering = False

    @property
    def next_seq(self) -> int:
        return self._next_seq

    @property
    def answering(self) -> bool:
        """Whether a client's request is being decided: its own entry tells what became of its circuits."""
        return self._answering

    @property
    def pending(self) -> bool:
        """Whether there are entries that are not with the store yet."""
        return bool(self._entries)

    def begin(self, who: str, at_unix_ns: int) -> None:
        """An event comes in: from whom, and when by the calendar."""
        self._who, self._at_unix_ns = who, at_unix_ns

    @contextmanager
    def asked(self, action: str, subject: str, asked: str) -> Iterator[Asked]:
        """Note a request with what is decided within; a Refusal is noted, and passes on."""
        entry = Asked()
        self._answering = True
        try:
            yield entry
        except Refusal as refusal:
            entry.decided, entry.why = "refused", f"{refusal.reason}: {refusal}"
            raise
        finally:
            self._answering = False
            self.note(action, subject, entry.decided, asked=asked, why=entry.why)

    @contextmanager
    def answering_many(self) -> Iterator[None]:
        """Several requests are decided within, and each is noted by itself."""
        self._answering = True
        try:
            yield
        finally:
            self._answering = False

    def note_decision(
        self, request: PowerRequest, decision: Sequence[Circuit] | Refusal, who: str = ""
    ) -> None:
        """One of several requests that came together; ``who`` asked, where not all are the event's."""
        decided, why = "refused", ""
        if isinstance(decision, Refusal):
            why = f"{decision.reason}: {decision}"
        else:
            decided = admitted(decision)
        asked = asked_for(request)
        self.note("request", request.request_id, decided, asked=asked, why=why, who=who)

    def note(
        self,
        action: str,
        subject: str,
        decided: str,
        *,
        asked: str = "",
        why: str = "",
        who: str = "",
    ) -> None:
        who = who or (self._who if asked else CONTROLLER)
        self._entries.append(
            AuditEntry(self._next_seq, self._at_unix_ns, who, action, subject, asked, decided, why)
        )
        self._next_seq += 1

    def take(self) -> tuple[AuditEntry, ...]:
        """The entries that are not with the store yet."""
        entries = tuple(self._entries)
        self._entries.clear()
        return entries


def asked_for(request: PowerRequest) -> str:
    """What a request asks for, of that which is not left to the controller."""
    limits = request.constraints
    said = {
        "sink": request.sink_id,
        "power_w": request.power_w,
        "sources": " ".join(request.source_ids),
        "max_loss_fraction": limits.max_loss_fraction,
        "max_hops": limits.max_hops,
        "avoid": " ".join(limits.avoid_ids),
        "split": request.allow_split or None,
    }
    return ", ".join(f"{key}={value}" for key, value in said.items() if value not in (None, ""))


def admitted(circuits: Iterable[Circuit]) -> str:
    """What a client got."""
    got = []
    for circuit in circuits:
        newest = circuit.newest()
        over = f" over {' '.join(newest.route.router_ids)}" if newest else ""
        got.append(f"circuit {circuit.circuit_id}{over}")
    return f"admitted: {', '.join(got)}" if got else "admitted: nothing"
