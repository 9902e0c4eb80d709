"""A circuit: what a client was promised, the generations that carry it, and its life cycle."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from controller.core.circuits.curtailed import Curtailed, blame_of, by_source
from controller.core.circuits.failures import Failure
from controller.core.circuits.generation import RETIRING_PHASES, Generation, Phase, Role
from controller.core.circuits.hold import Hold, HoldEvent, HoldWord
from controller.core.circuits.protection import Guard
from controller.core.circuits.route import Route
from controller.core.circuits.shortfall import Blame, Shortfall
from controller.core.errors import Refusal
from digitalgrid.model import CircuitGeneration, MissingEnergy
from digitalgrid.reasons import Reason


class CircuitState(StrEnum):
    REQUESTED = "requested"
    RESERVED = "reserved"
    STAGING = "staging"
    COMMITTING = "committing"
    ACTIVE = "active"
    DEGRADED = "degraded"
    REROUTING = "rerouting"
    WAITING = "waiting"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in _ENDED


# Asked again and again: members of enumerations are slow to come by.
_ENDED = (CircuitState.WITHDRAWN, CircuitState.FAILED)


class CircuitEvent(StrEnum):
    """What moves a circuit from state to state."""

    ADMITTED = "admitted"  # routed and reserved
    STAGE_SENT = "stage sent"
    STAGED = "staged"  # on every hop, and durable
    ACTUATED = "actuated"  # the sink measures the power
    STARVED = "starved"  # the sink measures less
    MOVING = "moving"  # a new generation is being made
    HELD = "held"  # it has a path, which its routers do not hear of until it is activated
    REVERTED = "reverted"  # the move was given up, the old generation carries on
    SWITCHED = "switched"  # its sink selected the standby, and has power
    NO_PATH = "no path"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"  # no router holds anything of it any more
    REFUSED = "refused"  # a router will never take it


S, E = CircuitState, CircuitEvent
TRANSITIONS: dict[tuple[CircuitState, CircuitEvent], CircuitState] = {
    (S.REQUESTED, E.ADMITTED): S.RESERVED,
    (S.RESERVED, E.STAGE_SENT): S.STAGING,
    (S.STAGING, E.STAGED): S.COMMITTING,
    (S.COMMITTING, E.ACTUATED): S.ACTIVE,
    (S.ACTIVE, E.STARVED): S.DEGRADED,
    # Restored, and its sink says so.
    (S.COMMITTING, E.STARVED): S.DEGRADED,
    (S.DEGRADED, E.ACTUATED): S.ACTIVE,
    (S.REROUTING, E.ACTUATED): S.ACTIVE,
    # Moved, and its source gives less than was asked for.
    (S.REROUTING, E.STARVED): S.DEGRADED,
    (S.REROUTING, E.REVERTED): S.ACTIVE,
    (S.REROUTING, E.HELD): S.RESERVED,
    # Power never stopped; after a restart this may be the first that is heard of it.
    **{(state, E.SWITCHED): S.ACTIVE for state in (S.ACTIVE, S.DEGRADED, S.COMMITTING)},
    # Restored while it was being moved.
    (S.COMMITTING, E.REVERTED): S.ACTIVE,
    **{
        (state, E.MOVING): S.REROUTING
        for state in (
            *(S.RESERVED, S.STAGING, S.COMMITTING, S.ACTIVE),
            *(S.DEGRADED, S.WAITING, S.REROUTING),
        )
    },
    **{
        (state, E.NO_PATH): S.WAITING
        for state in (
            *(S.RESERVED, S.STAGING, S.COMMITTING, S.ACTIVE),
            *(S.DEGRADED, S.REROUTING),
        )
    },
    **{(state, E.REFUSED): S.FAILED for state in (S.STAGING, S.COMMITTING)},
    **{
        (state, E.RELEASED): S.WITHDRAWING
        for state in (
            *(S.RESERVED, S.STAGING, S.COMMITTING, S.ACTIVE, S.DEGRADED),
            *(S.REROUTING, S.WAITING),
        )
    },
    (S.WITHDRAWING, E.WITHDRAWN): S.WITHDRAWN,
}
del S, E


# Of how many routers' energy books a circuit keeps apart what they say is missing: its load seldom moves.
_MOST_BOOKS = 8
# The sum of all others, which are remembered by name: nothing more is taken of them, or it would count twice. So many
# names are 10 kB of a record: a circuit whose load has been at more routers takes no new books.
_FORMER = "former"
_MOST_MERGED = 256
_STARVED = "its sink gets less than it should"


class Constraints(msgspec.Struct, frozen=True):
    """They hold over reroutes too. ``max_loss_fraction`` is (injected - delivered) / injected, per circuit.

    ``packets``: only over routers that carry power packets.
    """

    max_loss_fraction: float | None = None
    max_hops: int | None = None
    avoid_ids: tuple[str, ...] = ()
    packets: bool = False


class Timings(msgspec.Struct, gc=False):
    """Marks on the way to the first power, in nanoseconds since the request; 0 until reached."""

    stored_after_ns: int = 0
    staged_after_ns: int = 0
    committed_after_ns: int = 0
    actuated_after_ns: int = 0


class RefusedLoad(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A load that a one-by-one dispatch left out, and why."""

    load_id: str
    reason: str
    message: str
    metadata: dict[str, str] = {}

    @classmethod
    def of(cls, load_id: str, refusal: Refusal) -> "RefusedLoad":
        return cls(load_id, refusal.reason, str(refusal), refusal.metadata)

    def refusal(self) -> Refusal:
        # A newer program may have given a reason that this one does not know.
        reason = Reason.__members__.get(self.reason, Reason.NOT_SERVED)
        return Refusal(reason, self.message, metadata=self.metadata)


# Circuits and what they consist of have no cycles among them: the garbage collector is spared the look at each.
class Circuit(msgspec.Struct, gc=False):
    """Three things apart: what the client wants (``admin_up``, ``power_w``), the newest generation, the state.

    ``priority`` is what it holds its power with; ``floor_w`` of ``power_w`` is kept before anybody's rest is served.
    """

    circuit_id: int
    request_id: str
    sink_id: str
    source_ids: tuple[str, ...]
    constraints: Constraints
    power_w: float
    priority: int = 0
    setup_priority: int = 0
    floor_w: float = 0.0
    admin_up: bool = True
    last_generation: int = 0
    generations: dict[int, Generation] = {}
    state: CircuitState = CircuitState.REQUESTED
    reason: str = ""
    # None where the request was another daemon's.
    requested_at_ns: int | None = None
    timings: Timings = msgspec.field(default_factory=Timings)
    attempts: int = 0
    # How often in a row it had to wait because routers would not take it, and until when it does.
    setbacks: int = 0
    retry_after_ns: int = 0
    excluded_ids: frozenset[str] = frozenset()
    interruptions: int = 0
    last_interruption_ns: int = 0
    power_since_ns: int = 0
    curtailed: Curtailed | None = None
    # As its sinks' routers count it, by the books that each keeps.
    missing: dict[str, MissingEnergy] = {}
    # Of the dispatch that made it; only the first circuit of each has them.
    refused_loads: tuple[RefusedLoad, ...] = ()
    guard: Guard = msgspec.field(default_factory=Guard)
    # When it was admitted, and when its path, its power or whether it is to stand was last decided; 0: an earlier
    # release has not noted it.
    created_unix_ns: int = 0
    changed_unix_ns: int = 0
    # Who asked for it, as he named himself.
    owner: str = ""
    # None: it was to carry at once.
    hold: Hold | None = None
    # None: it stands until somebody releases it.
    until_unix_ns: int | None = None
    # When its load got less than it should, and whose fault it was; as told until then. What of its path was lost last,
    # or who took its place, and who withheld a part of its power last: until its sink has told what that cost, which is
    # not written, so neither are these.
    shortfalls: tuple[Shortfall, ...] = ()
    told_unix_ns: int = 0
    lost: Blame | None = None
    withheld: Blame | None = None
    # Books whose word is in the sum of former ones.
    merged_books: tuple[str, ...] = ()

    def mark(self, step: str, now_ns: int) -> None:
        """Note when a step on the way to the first power was reached; a later one of its kind changes nothing."""
        if self.requested_at_ns is not None and not getattr(self.timings, step):
            setattr(self.timings, step, now_ns - self.requested_at_ns)

    def note_arrival(self, arrived_at_ns: int, interruption_ns: int) -> None:
        """Its sink measures power anew; what was noted before, and is told again, changes nothing."""
        if arrived_at_ns and arrived_at_ns == self.power_since_ns:
            return
        self.power_since_ns = arrived_at_ns
        if interruption_ns:
            self.interruptions += 1
            self.last_interruption_ns = interruption_ns

    def is_promised(self, sink_router_id: str) -> bool:
        """Whether its load was promised power and still is, for all that is known by this router."""
        newest = self.newest()
        elsewhere = newest is not None and newest.route.sink_router_id != sink_router_id
        return self.admin_up and not self.state.ended and not elsewhere and not self.is_held

    def note_missing(self, books: str, said: MissingEnergy) -> bool:
        """Whether these books say more than before; they only ever grow, and what is late is of no use."""
        known = self.missing.get(books)
        if known is not None and known.promised_mj >= said.promised_mj:
            return False
        if known is None and (books in self.merged_books or len(self.merged_books) >= _MOST_MERGED):
            return False
        # To the end: those that have been silent for longest are merged first.
        self.missing.pop(books, None)
        self.missing[books] = said
        while len(self.missing) > _MOST_BOOKS:
            self._merge_oldest()
        return True

    def _merge_oldest(self) -> None:
        former = self.missing.pop(_FORMER, MissingEnergy())
        oldest = next(iter(self.missing))
        self.merged_books = (*self.merged_books, oldest)
        self.missing = {_FORMER: former + self.missing.pop(oldest), **self.missing}

    def adopt_missing(self, known: "Circuit") -> None:
        """Take up what was heard of the same circuit here, where other books may have been merged than there."""
        if known.merged_books == self.merged_books:
            for books, said in known.missing.items():
                self.note_missing(books, said)
            return
        here, there = (each.total_missing() or MissingEnergy() for each in (known, self))
        if here.promised_mj > there.promised_mj:
            self.missing, self.merged_books = dict(known.missing), known.merged_books

    def total_missing(self) -> MissingEnergy | None:
        """None where nobody has counted any."""
        return sum(self.missing.values(), start=MissingEnergy()) if self.missing else None

    def apply(self, event: CircuitEvent, reason: str = "") -> None:
        """Move along the transition table; an event that the state does not know is a bug, and raised."""
        following = TRANSITIONS.get((self.state, event))
        if following is None:
            raise ValueError(
                f"circuit {self.circuit_id}: {event.value!r} is not possible in state {self.state.value!r}"
            )
        self.state = following
        self.reason = reason
        if following in (CircuitState.WAITING, CircuitState.WITHDRAWING, CircuitState.FAILED):
            # Nothing of it is had, or asked for any more, so no part is withheld.
            self._withhold(None)

    def explain(self, reason: str) -> bool:
        """Say why it is in its state, as that is known by now; whether that is another reason than before."""
        changed, self.reason = self.reason != reason, reason
        return changed

    def revert(self, reason: str) -> None:
        """A move was given up: the old generation carries on, with what its sink last said of it."""
        self.apply(CircuitEvent.REVERTED, reason)
        self.show_measured()

    def show_measured(self) -> bool:
        """Be what the sink of the newest generation last said, if it was said otherwise; whether that is a change."""
        newest = self.newest()
        if newest is None or newest.phase is not Phase.CARRYING:
            return False
        short = newest.starved or self.curtailed is not None
        event = CircuitEvent.STARVED if short else CircuitEvent.ACTUATED
        shown = CircuitState.DEGRADED if short else CircuitState.ACTIVE
        if self.state is shown or (self.state, event) not in TRANSITIONS:
            return False
        self.apply(event, self._why_short() if short else "")
        return True

    def curtail(self, curtailed: Curtailed | None) -> None:
        """Less than was asked for is what it gets from now on, or None: all of it again, once its sink says so."""
        self._withhold(curtailed if self.admin_up else None)
        if not self.show_measured() and self.state is CircuitState.DEGRADED:
            self.explain(self._why_short())

    def _withhold(self, curtailed: Curtailed | None) -> None:
        before, self.curtailed = self.curtailed, curtailed
        self.note_withheld(before)

    def note_withheld(self, before: Curtailed | None) -> None:
        """Remember who left it less before, where nobody does any more, or somebody else."""
        if before is not None and (self.curtailed is None or self.curtailed.by != before.by):
            self.withheld = blame_of(before)

    def left_short_by(self, source_id: str) -> bool:
        """Whether this source has less for it than was asked for, and its router shares that."""
        return self.curtailed is not None and self.curtailed.by == by_source(source_id)

    def _why_short(self) -> str:
        return _STARVED if self.curtailed is None else str(self.curtailed)

    def next_generation(
        self,
        admission_seq: int,
        route: Route,
        view_version: int,
        *,
        seamless: bool = False,
        role: Role = Role.WORKING,
        covers: frozenset[Failure] | None = None,
    ) -> Generation:
        """Its next version, with a number that none before it had, admitted on this grid view."""
        self.last_generation += 1
        return Generation(
            CircuitGeneration(self.circuit_id, self.last_generation),
            admission_seq,
            route,
            seamless=seamless,
            view_version=view_version,
            priority=self.priority,
            floor_w=min(self.floor_w, route.power_w),
            asked_w=self.power_w,
            role=role,
            covers=covers,
        )

    def newest(self) -> Generation | None:
        """The working generation that carries, or is to carry, the circuit; None while it waits or ends."""
        newest = None
        for each in self.generations.values():
            stands = each.role is Role.WORKING and each.phase not in RETIRING_PHASES
            if stands and (newest is None or each.key.generation > newest.key.generation):
                newest = each
        return newest

    @property
    def under_way(self) -> bool:
        """Whether it will stand soon, and does not yet."""
        if self.state in (CircuitState.ACTIVE, CircuitState.DEGRADED):
            # What delivers has one working generation that stays.
            return len(self.generations) > 1 and any(
                each.phase in RETIRING_PHASES for each in self.generations.values()
            )
        if self.is_held:
            return False
        return self.admin_up and self.state is not CircuitState.WAITING and not self.state.ended

    @property
    def is_held(self) -> bool:
        """Whether it is reserved for a client who has not activated it."""
        stands = self.admin_up and not self.state.ended
        return stands and self.hold is not None and self.hold.word is HoldWord.HELD

    def end_hold(self, event: HoldEvent) -> None:
        """Its client activates it, or its time is over."""
        if self.hold is None:
            raise ValueError(f"circuit {self.circuit_id} is no hold")
        self.hold = self.hold.after(event)

    def carrying(self) -> Generation | None:
        """The newest working generation that has delivered power and is not being retired."""
        live = [
            each
            for each in self.generations.values()
            if each.role is Role.WORKING and each.phase is Phase.CARRYING
        ]
        return max(live, key=lambda each: each.key.generation, default=None)

    def standby(self) -> Generation | None:
        """The generation that is to take over when the working one fails, and is not being retired: while another
        replaces it, the one that is charged, or that is there at least.
        """
        return max(
            self.standbys(),
            key=lambda each: (each.charged, each.phase is Phase.COMMITTED, each.key.generation),
            default=None,
        )

    def standbys(self) -> list[Generation]:
        """One, or two while the newer replaces the older."""
        return [
            each
            for each in self.generations.values()
            if each.role is Role.STANDBY and each.phase not in RETIRING_PHASES
        ]

    def fills_first(self, generation: Generation) -> bool:
        """Whether a generation is not demanded yet, because another one carries or is to: it fills its buffers."""
        return generation.role is Role.STANDBY or any(
            each.role is Role.WORKING
            and each.phase not in RETIRING_PHASES
            and each.key.generation < generation.key.generation
            for each in self.generations.values()
        )

    def retiring(self) -> Iterable[Generation]:
        return [each for each in self.generations.values() if each.phase in RETIRING_PHASES]
