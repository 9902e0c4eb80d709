"""A generation: one version of a circuit's route, what it is for, and the phases through which its routers take it."""

from enum import StrEnum

import msgspec

from controller.core.circuits.failures import Failure
from controller.core.circuits.route import Route, hop_snapshot, hop_snapshots
from digitalgrid.model import CircuitGeneration, FinalMeter, HopSnapshot


class Role(StrEnum):
    """What a generation is for: it carries the circuit, or waits to do so when the one that carries fails."""

    WORKING = "working"
    STANDBY = "standby"


class Phase(StrEnum):
    """Where one generation stands with its routers."""

    QUEUED = "queued"  # reserved; many others are being programmed just now
    STAGING = "staging"
    COMMITTING = "committing"  # all hops but a sink that still carries an older generation
    SWITCHING = "switching"  # the sink
    COMMITTED = "committed"  # on every hop, power not measured yet
    CARRYING = "carrying"
    DRAINING = "draining"
    WITHDRAWING = "withdrawing"


class PhaseEvent(StrEnum):
    """What moves a generation from phase to phase. One that is given up before it is committed just goes."""

    STAGE_SENT = "stage sent"
    PUT_BACK = "put back"  # nothing of it is staged any more; it begins anew
    STAGED = "staged"  # on every hop, and durable
    SINK_LEFT = "only the sink is left"  # all other hops have committed
    COMMITTED = "committed"  # every hop says so
    MEASURED = "power measured"  # by the sink, which proves every hop
    DRAIN = "drain"
    WITHDRAW = "withdraw"


P, V = Phase, PhaseEvent
PHASES: dict[tuple[Phase, PhaseEvent], Phase] = {
    (P.QUEUED, V.STAGE_SENT): P.STAGING,
    (P.STAGING, V.PUT_BACK): P.QUEUED,
    (P.STAGING, V.STAGED): P.COMMITTING,
    (P.COMMITTING, V.SINK_LEFT): P.SWITCHING,
    **{(phase, V.COMMITTED): P.COMMITTED for phase in (P.COMMITTING, P.SWITCHING)},
    **{(phase, V.MEASURED): P.CARRYING for phase in (P.COMMITTING, P.SWITCHING, P.COMMITTED)},
    **{
        (phase, V.DRAIN): P.DRAINING
        for phase in (P.COMMITTING, P.SWITCHING, P.COMMITTED, P.CARRYING)
    },
    **{
        # A withdrawal is asked for again until every hop has answered.
        (phase, V.WITHDRAW): P.WITHDRAWING
        for phase in (
            *(P.COMMITTING, P.SWITCHING, P.COMMITTED),
            *(P.CARRYING, P.DRAINING, P.WITHDRAWING),
        )
    },
}
del P, V
# As which a generation begins: anew, or as the store has it.
FIRST_PHASES = (Phase.QUEUED, Phase.COMMITTING, Phase.WITHDRAWING)
# Out of which a generation goes for good, once no router holds anything of it.
LAST_PHASES = (Phase.QUEUED, Phase.STAGING, Phase.WITHDRAWING)

# From here on routers may hold the generation beyond its lease.
COMMITTED_PHASES = frozenset({Phase.COMMITTING, Phase.SWITCHING, Phase.COMMITTED, Phase.CARRYING})
IN_FLIGHT_PHASES = frozenset({Phase.STAGING, Phase.COMMITTING, Phase.SWITCHING})
RETIRING_PHASES = frozenset({Phase.DRAINING, Phase.WITHDRAWING})


class Generation(msgspec.Struct, gc=False):
    """One version of a circuit's route. ``waiting_for`` are routers whose answer its phase still needs,
    ``freed`` those that are known to have let go of it.
    """

    key: CircuitGeneration
    admission_seq: int
    route: Route
    phase: Phase = Phase.QUEUED
    txn_id: int = 0
    txn_ids: tuple[int, ...] = ()
    touched_ns: int = 0
    waiting_for: frozenset[str] = frozenset()
    freed: frozenset[str] = frozenset()
    lease_ends_ns: int = 0
    deadline_ns: int = 0
    durable: bool = False
    # An older generation carries on meanwhile: the sink is switched last, when all else is ready.
    seamless: bool = False
    # The grid view that it was admitted on; None where that was another daemon's.
    view_version: int | None = None
    # As its routers were told: who gives way, and how far, where power is short. Other values need another generation.
    priority: int = 0
    floor_w: float = 0.0
    # What was asked for when it was made; its route has less where others displaced the rest. 0: as its route.
    asked_w: float = 0.0
    # Whether its sink last said that it gets less than it should.
    starved: bool = False
    role: Role = Role.WORKING
    # A router refused to stage it together with others.
    alone: bool = False
    # Of a standby: whether its sink last said that its buffers are full at every hop.
    charged: bool = False
    # Its sink's router fills it by its trickle before it demands it.
    charges_first: bool = False
    # Of a standby that shares its room: the failures under which it would carry. None: it has its own.
    covers: frozenset[Failure] | None = None
    # Once its routers have ended it: what its ends had metered (None: not heard, or never), and by each that sends on
    # what it had put on its line, and what of that was line loss (None: it has not counted that).
    injected_mj: int | None = None
    delivered_mj: int | None = None
    sent_mj: dict[str, tuple[int | None, int | None]] = {}
    # When it was decided, by the calendar; 0: an earlier release has not noted it.
    began_unix_ns: int = 0

    @property
    def shares(self) -> bool:
        """Whether it is a standby that shares its room with others."""
        return self.role is Role.STANDBY and self.covers is not None

    def hop_at(self, router_id: str) -> HopSnapshot:
        """What one of its routers must be told."""
        return hop_snapshot(
            self.route,
            self.route.router_ids.index(router_id),
            self.key,
            self.admission_seq,
            standby=self.role is Role.STANDBY,
            shared_standby=self.shares,
            priority=self.priority,
            floor_w=self.floor_w,
            asked_w=self.asked_w,
        )

    def hops(self) -> dict[str, HopSnapshot]:
        """What each of its routers must be told, by router id."""
        return hop_snapshots(
            self.route,
            self.key,
            self.admission_seq,
            standby=self.role is Role.STANDBY,
            shared_standby=self.shares,
            priority=self.priority,
            floor_w=self.floor_w,
            asked_w=self.asked_w,
        )

    def hear_final(self, router_id: str, meter: FinalMeter | None) -> None:
        """What a router that has ended it had metered of the part of it that was there; the first word stands."""
        if meter is None:
            return
        if router_id != self.route.sink_router_id:
            self.sent_mj.setdefault(router_id, (meter.sent_mj, meter.line_loss_mj))
        if router_id == self.route.router_ids[0] and self.injected_mj is None:
            self.injected_mj = meter.injected_mj
        if router_id == self.route.sink_router_id and self.delivered_mj is None:
            self.delivered_mj = meter.delivered_mj

    def lacks_final(self, router_id: str) -> bool:
        """Whether one of its routers has not said yet what it had metered of it."""
        if router_id == self.route.sink_router_id:
            return self.delivered_mj is None
        return router_id not in self.sent_mj

    @property
    def restored(self) -> bool:
        """Whether another daemon brought it onto its routers: this one knows what it was to become, from the store."""
        return not self.txn_ids

    def apply(self, event: PhaseEvent) -> None:
        """Move along the table; an event that the phase does not know is a bug, and raised."""
        following = PHASES.get((self.phase, event))
        if following is None:
            raise ValueError(
                f"generation {self.key}: {event.value!r} is not possible in phase {self.phase.value!r}"
            )
        self.phase = following

    def promote(self) -> None:
        """A standby is a working generation from now on."""
        self.role = Role.WORKING
        self.covers = None
        self.charged = False
        # What routers may be told of it must be written first.
        self.durable = False
