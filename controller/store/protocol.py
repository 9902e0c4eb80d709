"""The protocol of stores, a write-ahead log of decisions: in order, through any crash, before anything is told.

One controller writes at a time, the leader. Each term of leadership has an election id higher than all before it,
which is the fencing token at the store and at the routers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from controller.core.circuits.records import (
    AuditEntry,
    CircuitRecord,
    Counters,
    RegisterRecord,
    StateChange,
    StoredState,
)
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from digitalgrid.errors import ExplainedError
from digitalgrid.metrics.histogram import Histogram
from digitalgrid.model import CircuitGeneration, ElectionId

# Of an audit log that grows for years, an answer looks at so many at most: a second of reading, or two.
AUDIT_ENTRIES_SEARCHED = 200_000
# Likewise of final registers, for one page: some tenths of a second of reading. Whoever asks may go on from there.
REGISTERS_SEARCHED = 20_000


class StoreError(ExplainedError):
    """The store cannot be opened, read or written; the message says which, where, and what to do."""


class LeadershipLost(StoreError):
    """Another controller leads, or may lead by now: what was not reported durable may or may not have been written,
    and only the store knows.
    """


@dataclass(frozen=True, slots=True)
class AuditQuestion:
    """Which entries of the audit log: of these ``subjects`` (none: of any), since then, the ``newest`` of them."""

    newest: int
    subjects: frozenset[str] = frozenset()
    since_unix_ns: int = 0

    def wants(self, entry: AuditEntry) -> bool:
        return entry.at_unix_ns >= self.since_unix_ns and (
            not self.subjects or entry.subject in self.subjects
        )


BEFORE_ALL = CircuitGeneration(0, 0)


@dataclass(frozen=True, slots=True)
class RegisterQuestion:
    """Which final registers: of this circuit (0: of any), of this request (empty: of any), of generations that ended in
    this time (0: without end); those after a key, in the order of circuits and generations, ``most`` of them.
    """

    most: int
    after: CircuitGeneration = BEFORE_ALL
    circuit_id: int = 0
    request_id: str = ""
    since_unix_ns: int = 0
    until_unix_ns: int = 0

    def wants(self, record: RegisterRecord) -> bool:
        """Whatever its place in the order."""
        return (
            self.circuit_id in (0, record.circuit_id)
            and self.request_id in ("", record.request_id)
            and record.ended_unix_ns >= self.since_unix_ns
            and not 0 < self.until_unix_ns <= record.ended_unix_ns
        )


@dataclass(frozen=True, slots=True)
class RegisterPage:
    """A part of an answer. ``searched_to``: there may be more after this key, and all up to it were looked at; None:
    that was all. It may have few records, or none, where many had to be looked at for them.
    """

    records: tuple[RegisterRecord, ...]
    searched_to: CircuitGeneration | None = None


class Store(Protocol):
    """The store in the hands of the leader, for one term. Changes become durable in the order of their tickets."""

    def load(self) -> StoredState:
        """Everything that was made durable, under an epoch higher than any before."""

    @property
    def election_id(self) -> ElectionId:
        """Orders this term after all earlier ones; known once :meth:`load` has returned."""

    def may_act(self) -> bool:
        """Whether this leader's lease still holds, by the monotonic clock: asked before each word to a router."""

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        """Begin to write. ``on_durable(ticket)`` says that all tickets up to this one are safe.

        ``on_failure`` ends the term: nothing is written after it. Both are called from the store's own thread.
        """

    def submit(self, ticket: int, change: StateChange) -> None:
        """Write this soon; returns at once."""

    def audit(self, question: AuditQuestion) -> list[AuditEntry]:
        """What is durable of the audit log, of its last :data:`AUDIT_ENTRIES_SEARCHED`, oldest first.

        From any thread, beside all that is written; returns once it is read. StoreError where that fails.
        """

    def registers(self, question: RegisterQuestion) -> RegisterPage:
        """What is durable of the final registers; likewise."""

    def close(self) -> None:
        """Write what was submitted, and let go of the store and of the lead."""


class StoreVitals(NamedTuple):
    """How a store fares now. ``batch_sizes``: changes in each commit of the term; ``least_lease_s``: the least that was
    left of the lease lately, None where the lead hangs on none; ``standbys`` would take the lead over; ``given``: by
    whoever led before.
    """

    batch_sizes: Histogram
    least_lease_s: float | None = None
    standbys: int = 0
    given: bool = False


class StoreRoom(NamedTuple):
    """What a store takes of its disk or quota, and what is free there (bytes)."""

    size_bytes: int
    free_bytes: int


@runtime_checkable
class WatchedStore(Store, Protocol):
    """A store that also says how it fares, to whoever watches it; others are stores all the same."""

    def vitals(self) -> StoreVitals:
        """At once, from any thread."""

    def room(self) -> StoreRoom:
        """From any thread; returns once it is known. StoreError where that fails."""


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads, and where its clients reach it (host:port)."""

    name: str
    northbound: str
    election_id: ElectionId


@dataclass(frozen=True, slots=True)
class Standby:
    """A controller that stands by, as it last said itself: where its clients reach it, since when it stands by (unix
    ms), and how many of the leader's transactions it had not taken up yet. 0 and None where it does not say so.
    """

    name: str
    northbound: str
    since_unix_ms: int = 0
    behind: int | None = None


class Follower(Protocol):
    """What a member of a cluster is told, from the membership's own threads, in order."""

    def on_state(self, state: StoredState) -> None:
        """All that is durable: at first, and again after a gap in the changes."""

    def on_change(self, change: StateChange) -> None:
        """What the leader has made durable since."""

    def on_leader(self, leader: Leader | None) -> None:
        """Who else leads now, if anybody is known to."""

    def on_standbys(self, standbys: tuple[Standby, ...]) -> None:
        """Who stands by, whoever would lead next first; a leader is told of others, a standby of itself too."""

    def on_elected(self, store: Store) -> None:
        """This member leads, until ``store`` fails or is closed. Every change before its term has been told."""

    def is_responsive(self) -> bool:
        """Whether what it is told is still taken up: a member that hangs must not lead."""


@runtime_checkable
class Membership(Protocol):
    """One controller's place in a cluster, of which one member leads at a time."""

    def join(self, follower: Follower) -> None:
        """Follow, and stand for election whenever nobody leads; returns at once. Goes on while the cluster is
        out of reach, and after each term.
        """

    def leave(self) -> None:
        """Hand the lead over, if this member has it, and stop following. The follower is told who leads now, if that is
        known.
        """


@dataclass(frozen=True, slots=True)
class StoreContents:
    """Everything in a store at one moment, for tools. The iterators can be read once."""

    schema_version: int
    # The high half of election ids; every store that takes over from another has a higher one.
    generation: int
    epoch: int
    counters: Counters
    circuits: Iterator[CircuitRecord]
    audit: Iterator[AuditEntry]
    # Read before the circuits, where they come from one file; drains before the routers.
    routers: Iterator[RouterRecord] = field(default_factory=lambda: iter(()))
    drains: Iterator[DrainRecord] = field(default_factory=lambda: iter(()))
    # Read after the circuits, and before the audit entries.
    registers: Iterator[RegisterRecord] = field(default_factory=lambda: iter(()))


class StoreAccess(Protocol):
    """A store as tools see it, beside a daemon that may be using it. StoreError where it cannot be reached or read."""

    def read(self) -> StoreContents:
        """All of it at one moment, whatever is written meanwhile."""

    def fill(self, contents: StoreContents) -> None:
        """Import contents into an empty store, under a generation higher than theirs and than the time in
        seconds. StoreError, with nothing written, where anything is there already.
        """

    def verify(self) -> list[str]:
        """A sentence on each thing that is damaged or contradicts another; none is right."""
