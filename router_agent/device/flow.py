"""One circuit generation that runs through this router: its rates, its energy, what was last stated of it."""

import math
from dataclasses import dataclass, field

from digitalgrid.model import CircuitGeneration, FlowState, HopSnapshot
from digitalgrid.units import MILLIWATTS_PER_W, NS_PER_MS
from digitalgrid.wire import MARK_FILLS, MARK_IDLE, MARK_PRIMES, DemandRecord
from router_agent.device.cushion import Cushion
from router_agent.device.flow_states import FLOW_STATES, PLAYOUTS, FlowEvent, Playout, PlayoutEvent
from router_agent.device.line import Line
from router_agent.device.meters import CircuitBooks
from router_agent.device.neighbor_state import NO_DEMAND, NO_GRANT, Demand, Grant
from router_agent.device.slack import RATE_SLACK_W, covers

# Of its trickle, what may still come as no more than that: hops above were granted theirs with the losses of all its
# power, of which less is lost while it is little.
_TRICKLES_AT_MOST = 1.5
# Of what is worth having in a buffer: with less it is filled up again.
LEAN_FRACTION = 0.9


@dataclass(slots=True, eq=False)
class Flow:
    """``ingress`` and ``egress`` are lines, or None where the hop begins at a source or ends at a load."""

    hop: HopSnapshot
    ingress: Line | None
    egress: Line | None
    books: CircuitBooks
    key: CircuitGeneration = field(init=False)
    committed_ns: int = 0
    # Newer generations go first, and a promoted one before those that were there.
    precedence: tuple[int, int] = field(init=False)
    # Drain was asked for: this sink wants nothing any more.
    draining: bool = False
    # Kept for later: nothing of it is demanded at the load, and it keeps its buffer.
    idle: bool = False
    # At a sink, by its selector: it was demanded before; another served the load until then.
    taken: bool = False
    seamless: bool = False
    # It was granted no more than its trickle since it has been demanded.
    awaited: bool = True
    told_charged: bool = False

    # Nothing changes its rates but what its neighbours state, which was this: see staying.py.
    settled: bool = False
    # No other generation of its circuit is here.
    alone: bool = False
    seen_demand: Demand = NO_DEMAND
    seen_grant: Grant = NO_GRANT
    # What flows before it in order put on the line that it leaves by.
    before_a: float = 0.0

    # Rates that hold since the last event. Accepted and granted are at the far end of the egress; need and
    # ingress at this router's entrance.
    demand_w: float = 0.0
    accepted_w: float = 0.0
    need_w: float = 0.0
    # What the converter lets it take of that.
    through_w: float = math.inf
    # The need, as far as the ingress line carries it; what is stated upstream.
    asked_w: float = 0.0
    ingress_w: float = 0.0
    granted_w: float = 0.0
    # Its source, or a line from there to here, gives less than it needs: no fault, but a decision.
    limited: bool = False

    # Of a shared standby: what its line's pool leaves for trickles, and for what drains.
    trickle_room_w: float = math.inf

    # Beyond that, see surplus.py: what goes on to the far end, what must enter for that, what is stated upstream for it
    # and for this hop's own buffer, and what enters.
    surplus_w: float = 0.0
    surplus_through_w: float = 0.0
    surplus_need_w: float = 0.0
    surplus_ingress_w: float = 0.0

    buffer_mj: int = 0
    # As much is enough to play on with while packets come at short intervals, and once a tick.
    ready_mj: int = 0
    full_mj: int = 0
    # Worth having while routers are as late as they were lately; it has less than that, and asks for more.
    kept_mj: int = 0
    lean: bool = False
    # Since when it asks for more, and whether it has done so for long enough.
    asks_since_ns: int | None = None
    in_vain: bool = False
    # At a sink: since when it has all but run dry, and no packet has come.
    missed_since_ns: int | None = None
    # Parts of a millijoule that rounding owes.
    draw_carry_mj: float = 0.0
    take_carry_mj: float = 0.0
    converter_carry_mj: float = 0.0
    line_carry_mj: float = 0.0
    playout: Playout = Playout.WAITING
    play_ns: int = 0
    # Its packets go at short intervals.
    quick: bool = False
    # Since when it is filling.
    fills_since_ns: int | None = None
    # It was full while it was idle, plays from that, and is not granted anything yet.
    has_charge: bool = False
    bridges: bool = False
    # An older generation with the same ingress, whose buffer it gets; who gets this one's.
    lender: "Flow | None" = None
    heir: "Flow | None" = None
    # It has been for long, and keeps back a little of what it passes on.
    keeps_back: bool = False

    # As it was stated last: with surplus, and what of it is demanded.
    stated_need_mw: int = 0
    stated_asked_mw: int = 0
    stated_marks: int = 0
    stated_grant: Grant = NO_GRANT
    stated_granted_mw: int = 0
    # These records, until its rates are found anew.
    told_demand: DemandRecord | None = None
    told_grant: tuple[CircuitGeneration, Grant] | None = None

    state: FlowState = FlowState.SILENT
    interruption_ns: int = 0
    arrived_at_ns: int = 0
    delivered_in_tick_mj: int = 0
    delivered_w: float = 0.0
    # The demand was granted in full since the tick began.
    granted_all_tick: bool = False

    def __post_init__(self) -> None:
        self.key = self.hop.key
        self.precedence = (self.key.generation, 0)

    @property
    def need_mw(self) -> int:
        """Demand in whole milliwatts, as it is stated upstream."""
        return math.ceil((self.asked_w + self.surplus_need_w) * MILLIWATTS_PER_W)

    @property
    def asked_mw(self) -> int:
        """Of the need, what is demanded."""
        return math.ceil(self.asked_w * MILLIWATTS_PER_W)

    @property
    def granted_mw(self) -> int:
        """Of the grant, what is demanded."""
        return int(self.granted_w * MILLIWATTS_PER_W)

    @property
    def marks(self) -> int:
        """What is stated upstream beside the demand."""
        if self.idle:
            return MARK_IDLE
        if self.demand_w > 0.0 and self.playout is not Playout.STEADY:
            return MARK_PRIMES
        return MARK_FILLS if self.surplus_need_w else 0

    @property
    def primes_below(self) -> bool:
        """The downstream hop wants packets at short intervals."""
        return bool(self.stated_by_downstream().marks & MARK_PRIMES)

    @property
    def fills_below(self) -> bool:
        """A downstream hop wants more than is demanded, for its buffer."""
        return bool(self.stated_by_downstream().marks & (MARK_PRIMES | MARK_FILLS))

    @property
    def fills(self) -> bool:
        """It has less than a full buffer, and takes more than it passes on."""
        if self.idle:
            return not self.full or (self.lean and self.charged)
        steady = self.playout is Playout.STEADY
        asks = self.lean and not (self.limited or self.in_vain)
        return self.playout is Playout.FILLING or (steady and asks)

    @property
    def full(self) -> bool:
        """Enough is in its buffer, or in that which it gets, to play on with as soon as it is demanded."""
        lends = self.lender is not None and self.lender.playout is Playout.STEADY
        return self.ingress is None or self.has_charge or lends

    @property
    def charged(self) -> bool:
        """It is idle, and full like all above."""
        return self.idle and self.full and self.charged_above

    @property
    def charged_above(self) -> bool:
        """All above are idle, and full."""
        return self.ingress is None or self.stated_by_upstream().charged

    @property
    def reachable(self) -> bool:
        """Its upstream neighbour says anything of it."""
        ingress = self.ingress
        return ingress is None or (ingress.up and self.key in ingress.stated.grants)

    @property
    def granted_above_w(self) -> float:
        """What its upstream neighbour grants."""
        return self.stated_by_upstream().power_mw / MILLIWATTS_PER_W

    def is_trickle(self, power_w: float) -> bool:
        """So little may be what it was filled by, from before it was demanded: it says nothing of what it will get."""
        return power_w <= _TRICKLES_AT_MOST * self.hop.trickle_w + RATE_SLACK_W

    @property
    def plays(self) -> bool:
        """It spends what it holds as it is wanted."""
        return self.bridges or self.playout in (Playout.FILLING, Playout.STEADY)

    @property
    def drained(self) -> bool:
        """Nothing is wanted, held, or under way above."""
        empty = self.demand_w == 0.0 and not self.idle and self.buffer_mj == 0
        return empty and self._drained_above()

    @property
    def grant(self) -> Grant:
        """Grant in whole milliwatts, as it is stated downstream."""
        granted_mw = int((self.granted_w + self.surplus_w) * MILLIWATTS_PER_W)
        return Grant(granted_mw, self.drained, self.charged, self.quick, self.limited)

    @property
    def held(self) -> bool:
        """Energy stays in the buffer for now; what drains is never held."""
        return self.demand_w > 0.0 and self.playout in (Playout.PRIMED, Playout.HOLDING)

    @property
    def drains(self) -> bool:
        """What its buffer holds goes on though nothing of it is wanted any more."""
        return self.demand_w == 0.0 and not self.idle and self.buffer_mj > 0

    @property
    def is_over(self) -> bool:
        """Nothing of it is wanted, nothing comes any more, and what it holds has nowhere to go."""
        stuck = self.buffer_mj == 0 or (self.egress is not None and not self.egress.up)
        return self.demand_w == 0.0 and not self.idle and stuck and self._drained_above()

    @property
    def drain_w(self) -> float:
        """How quickly. Room on lines that others share in a standby's place is its own only for a trickle."""
        received_w = min(self.hop.received_power_w, self.trickle_room_w)
        return min(received_w, self.hop.trickle_w or received_w) if self.hop.standby else received_w

    @property
    def curtailed(self) -> bool:
        """Less is granted than it needs; what was granted before may be in its buffer still."""
        return self.demand_w > 0.0 and not covers(self.ingress_w, self.need_w)

    @property
    def is_dark(self) -> bool:
        """It is demanded, and gets, holds and passes on nothing, until its neighbours or its source have anything."""
        gets = self.ingress_w or self.surplus_w or self.surplus_need_w or self.buffer_mj
        if self.demand_w == 0.0 or gets or self.playout is not Playout.WAITING or self.draining:
            return False
        # What its sink has to tell of that is told.
        told = self.state is FlowState.STARVED or (
            self.state is FlowState.SILENT and not self.limited
        )
        return self.egress is not None or told

    @property
    def at_rest(self) -> bool:
        """Whether its rates, and what is said of it, stay as they are until something happens: time changes nothing."""
        if self.idle:
            return self.full and not self.surplus_need_w
        if self.demand_w == 0.0:
            return self.is_over
        return self.is_dark or (
            self.playout is Playout.STEADY
            and not (self.quick or self.draining or self.fills_below or self.surplus_need_w)
            and (self.egress is not None or self.state is FlowState.ACTUATED)
            and covers(self.ingress_w, self.need_w)
        )

    def apply(self, event: FlowEvent) -> None:
        """What its sink reports moves along the table; an event that the state does not know is a bug, and raised."""
        self.state = FLOW_STATES[self.state, event]

    def _play(self, event: PlayoutEvent) -> None:
        self.playout = PLAYOUTS[self.playout, event]

    def want(self, power_w: float) -> None:
        """So much of it is demanded."""
        self.awaited = self.awaited or self.demand_w == 0.0
        self.demand_w = power_w
        if not self.idle:
            return
        self.idle = False
        self.bridges = self.full or self.buffer_mj >= self.ready_mj > 0
        if self.heir is not None:
            # The way back.
            self.lender, self.heir = self.heir, None

    def rest(self, *, idle: bool) -> None:
        """Nothing of it is demanded: its buffer is kept for later, or drains."""
        self.demand_w, self.missed_since_ns = 0.0, None
        self.idle, self.bridges = idle, False
        if not idle:
            self.has_charge = False
        elif (self.state, FlowEvent.IDLED) in FLOW_STATES:
            self.apply(FlowEvent.IDLED)

    def inherit(self) -> None:
        """Get the buffer of an older generation that nobody demands any more."""
        lender = self.lender
        if lender is None or self.accepted_w == 0.0 or lender.accepted_w > 0.0:
            return
        if lender.playout is Playout.STEADY and self.playout in (Playout.WAITING, Playout.PRIMED):
            self._play(PlayoutEvent.FULL)
        self.buffer_mj, lender.buffer_mj = self.buffer_mj + lender.buffer_mj, 0
        lender.has_charge = False
        lender.heir, self.lender = self, None
        self.bridges = self.ingress_w == 0.0

    def watch_power(self) -> None:
        """As far as rates decide how it is played out: it begins anew where power is not wanted or not granted."""
        if self.bridges and self.playout is Playout.WAITING and self.buffer_mj:
            self._play(PlayoutEvent.FULL if self.full else PlayoutEvent.READY)
        self.bridges = self.bridges and self.ingress_w == 0.0 and self.buffer_mj > 0
        if not self.is_trickle(self.ingress_w):
            self.awaited = False
        if self.accepted_w == 0.0 or (self.ingress_w == 0.0 and not self.bridges):
            self._without_power()

    def spent(self) -> None:
        """Energy has gone on."""
        if self.playout is not Playout.WAITING or self.ingress_w == 0.0 or self.idle:
            return
        if self.ingress is None:
            self._play(PlayoutEvent.DRAWN)
        elif self.buffer_mj >= self.full_mj:
            self._play(PlayoutEvent.FULL)
        elif self.buffer_mj >= self.ready_mj and self.stated_by_upstream().quick:
            self._play(PlayoutEvent.READY)
        else:
            self._play(PlayoutEvent.SENT_ON)

    def cushioned(self) -> None:
        """What was held is enough: from now on it is spent as it is wanted."""
        quick = self.stated_by_upstream().quick and self.buffer_mj < self.full_mj
        self._play(PlayoutEvent.READY if quick else PlayoutEvent.FULL)

    def _without_power(self) -> None:
        if self.playout is not Playout.WAITING:
            self._play(PlayoutEvent.NO_POWER)

    def refilled(self, received_mj: int, advanced_ns: int, now_ns: int, cushion: Cushion) -> bool:
        """A power packet has come in. True where the buffer is full by it, so that no more is wanted than goes on.

        What goes on since the books were last advanced is in the buffer still.
        """
        self.buffer_mj += received_mj
        self.missed_since_ns = None
        if self.playout is Playout.STEADY:
            self.watch_lean(
                self.buffer_mj - round(self.need_w * (now_ns - advanced_ns) / NS_PER_MS)
            )
        if self.idle:
            return not self.has_charge and self.buffer_mj >= self.full_mj
        goes_on_mj = self.need_w * (now_ns - advanced_ns) / NS_PER_MS
        if self.playout is Playout.FILLING and self.buffer_mj - goes_on_mj >= self.full_mj:
            self._play(PlayoutEvent.FULL)
            return True
        if self.playout is Playout.PRIMED and self.asked_w > 0.0:
            # The upstream neighbour became steady when it began to send what this packet holds.
            # It sends what it grants, which may be less than it was asked for.
            rate_w = min(self.asked_w, self.ingress_w) or self.asked_w
            began_ns = now_ns - round(received_mj / rate_w * NS_PER_MS)
            self._play(PlayoutEvent.PACKET)
            quick = self.stated_by_upstream().quick
            hold_ns = max(cushion.quick_ns, now_ns - began_ns) if quick else cushion.tick_ns
            self.play_ns = began_ns + hold_ns + cushion.late_ns
        return False

    def watch_lean(self, level_mj: int) -> None:
        """``level_mj`` is what it has when a packet has come: no less than that until the next."""
        if level_mj >= self.kept_mj or self.ingress is None:
            self.lean = False
        elif level_mj < LEAN_FRACTION * self.kept_mj:
            self.lean = True

    def stated_by_upstream(self) -> Grant:
        """What the ingress line's far end grants; nothing while that line is down."""
        if self.ingress is None or not self.ingress.up:
            return NO_GRANT
        return self.ingress.stated.grants.get(self.key, NO_GRANT)

    def stated_by_downstream_w(self) -> float:
        """What the egress line's far end wants; nothing while that line is down."""
        return self.stated_by_downstream().power_mw / MILLIWATTS_PER_W

    def stated_by_downstream(self) -> Demand:
        if self.egress is None or not self.egress.up:
            return NO_DEMAND
        return self.egress.stated.demands.get(self.key, NO_DEMAND)

    def demanded_below(self) -> None:
        """Take up what the egress line's far end says."""
        power_mw, marks = self.stated_by_downstream()
        if marks & MARK_IDLE:
            self.rest(idle=True)
        elif power_mw:
            self.want(power_mw / MILLIWATTS_PER_W)
        else:
            self.rest(idle=False)

    def _drained_above(self) -> bool:
        if self.ingress is None:
            return self.ingress_w == 0.0
        return self.stated_by_upstream().drained


def by_precedence(flow: Flow) -> tuple[int, int, int]:
    """Sorts by circuit, then the newest generation first."""
    newness, promoted = flow.precedence
    return (flow.key.circuit_id, -newness, -promoted)
