"""Missing energy: what a circuit's load was promised and did not get, by cause, to the millijoule.

The promise of a circuit begins when its sink's router commits it, stands over all its generations and between them,
and ends when the last is drained or withdrawn for good. At any instant ``promised == delivered as promised + missing``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from digitalgrid.model import CircuitGeneration, MissingCause, MissingEnergy
from digitalgrid.physics import ACTUATED_FRACTION
from digitalgrid.units import MICROWATTS_PER_W, NS_PER_MS, NS_PER_S
from router_agent.device.energy import Delivery
from router_agent.device.flow import Flow
from router_agent.device.meters import RouterBooks
from router_agent.device.promise_books import PromiseBooks

# Millijoules by which a delivery may be off the exact figure without being short: every circuit's carries of rounding,
# of taking and of charging losses, in two generations. They are carried on, and never add up.
ROUNDING_MJ = 3
# Microwatts times nanoseconds in a millijoule: what is promised is counted in whole numbers.
_UNITS_PER_MJ = 10**12
# What is missing while power comes back to a load that takes it again is its own doing for so long (ns); then a line or
# a source has failed meanwhile.
_COMES_BACK_NS = 2 * NS_PER_S
# While energy goes on missing its sink says so after so long (ns), then each time after twice as long, up to the most.
_TELL_FIRST_NS = NS_PER_S
_TELL_MOST_NS = 64 * NS_PER_S


class Granted(StrEnum):
    """How much of what is promised all generations together are granted."""

    NONE = "none"
    # Or nothing, where a source or a line has no more for it.
    PART = "part"
    FULL = "full"


G, C = Granted, MissingCause
# Why energy is missing: by why it was missing before (None: nothing was), what is granted, and whether another
# generation than the one that delivered last is taking over.
CAUSES: dict[tuple[MissingCause | None, Granted, bool], MissingCause] = {
    # Until the first power all is start.
    **{(C.START, granted, taking): C.START for granted in G for taking in (False, True)},
    # A grant that vanished, with whatever comes in its place until that is steady.
    **{
        (before, G.NONE, taking): C.FAULT
        for before in (None, C.FAULT, C.MOVE, C.CURTAILMENT)
        for taking in (False, True)
    },
    # It had refused the power, which is on its way back.
    **{
        (C.REFUSED, granted, taking): C.REFUSED
        for granted in (G.NONE, G.FULL)
        for taking in (False, True)
    },
    **{(C.REFUSED, G.PART, taking): C.CURTAILMENT for taking in (False, True)},
    **{(C.FAULT, G.FULL, taking): C.FAULT for taking in (False, True)},
    # Granted in full, and its packets do not come.
    (None, G.FULL, False): C.FAULT,
    # One generation takes over from another that could go on.
    **{
        (before, granted, True): C.MOVE
        for before in (None, C.MOVE, C.CURTAILMENT)
        for granted in (G.PART, G.FULL)
    },
    (C.MOVE, G.FULL, False): C.MOVE,
    # Less is granted than was promised, and what the buffers lack once all is granted again.
    **{(before, G.PART, False): C.CURTAILMENT for before in (None, C.FAULT, C.MOVE, C.CURTAILMENT)},
    (C.FAULT, G.PART, True): C.CURTAILMENT,
    (C.CURTAILMENT, G.FULL, False): C.CURTAILMENT,
}
del G, C


# Until the load has its power, and while it comes back to one that had refused it, no grant is no fault.
_ITS_OWN = (MissingCause.START, MissingCause.REFUSED)


@dataclass(slots=True)
class _Stretch:
    """What one circuit's generations at its sink came to while the rates stood still."""

    delivered_mj: int = 0
    # What their ingresses grant, at the load; all of one that the sink has left of itself, and might go back to.
    granted_w: float = 0.0
    # A source, or a line, gives them less than they need.
    limited: bool = False
    # The generation that wants the power now, and whether any of it came.
    newest: Flow | None = None
    newest_delivered: bool = False


class _Promise:
    """One circuit's promise to its load, while it stands."""

    def __init__(self, books: PromiseBooks, restored: bool) -> None:
        self.books = books
        # In parts of a millijoule: what is promised and not counted yet; below 0 where delivery is ahead.
        self._carry = 0
        before = MissingCause.FAULT if restored else None
        self._before = before if books.seated_generation else MissingCause.START
        # What of its power the load takes, and until when what is missing once it takes more is its own doing.
        self._taken_uw = books.power_uw
        self._share = 1.0
        self._refused_carry = 0
        self._back_ns = 0
        self._kept_since_ns: int | None = None
        # When energy was last missing.
        self._missed_ns = 0
        self._told_mj = books.missing_mj
        self._told_ns = 0
        self._tell_after_ns = _TELL_FIRST_NS

    def begin(self, power_uw: int) -> None:
        """Nothing was promised before."""
        self.books.power_uw = self._taken_uw = power_uw

    def take(self, power_uw: int, share: float, now_ns: int) -> None:
        """So much is promised from now on, and the load takes this share of it."""
        if share > self._share and self._before is None:
            self._before = MissingCause.REFUSED
            self._back_ns = now_ns + _COMES_BACK_NS
        self.books.power_uw, self._share = power_uw, share
        self._taken_uw = power_uw if share == 1.0 else round(power_uw * share)

    def count(self, stretch: _Stretch, start_ns: int, end_ns: int, tick_ns: int) -> None:
        due = self._taken_uw * (end_ns - start_ns)
        gap = self._carry + due - stretch.delivered_mj * _UNITS_PER_MJ
        granted = self._granted(stretch)
        self._count_refused(start_ns, end_ns)
        if self._before is MissingCause.REFUSED and end_ns >= self._back_ns:
            self._before = None
        if granted is Granted.NONE and self._before not in _ITS_OWN:
            # Also where the buffer lasts for a while yet.
            self._before = MissingCause.FAULT
        if abs(gap) <= ROUNDING_MJ * _UNITS_PER_MJ:
            self._carry = gap
            self.books.promised_mj += stretch.delivered_mj
        else:
            missing_mj, self._carry = divmod(gap, _UNITS_PER_MJ)
            # What comes beyond the promise, as where its power has been lowered, makes up for nothing.
            self.books.promised_mj += stretch.delivered_mj + missing_mj
            if missing_mj > 0:
                self._before = CAUSES[self._before, granted, self._taking_over(stretch)]
                self.books.add(self._before, missing_mj)
                self._missed_ns = end_ns
        if due >= _UNITS_PER_MJ:
            self._see_whether_kept(stretch, start_ns, end_ns, tick_ns)

    def count_kept(self, generation: int, delivered_mj: int, start_ns: int, end_ns: int) -> bool:
        """Likewise of the one generation that is here, is granted in full, and was kept to before: nothing but the
        energy can be otherwise than it was. False where it is, and nothing is counted.
        """
        if self._before is not None or self.books.seated_generation != generation:
            return False
        if self._share != 1.0:
            return False
        due = self.books.power_uw * (end_ns - start_ns)
        gap = self._carry + due - delivered_mj * _UNITS_PER_MJ
        if not delivered_mj or abs(gap) > ROUNDING_MJ * _UNITS_PER_MJ:
            return False
        self._carry = gap
        self.books.promised_mj += delivered_mj
        if self._kept_since_ns is None:
            self._kept_since_ns = start_ns
        return True

    def _count_refused(self, start_ns: int, end_ns: int) -> None:
        refused = (self.books.power_uw - self._taken_uw) * (end_ns - start_ns)
        if refused:
            refused_mj, self._refused_carry = divmod(self._refused_carry + refused, _UNITS_PER_MJ)
            self.books.promised_mj += refused_mj
            self.books.refused_mj += refused_mj

    def stand_still(self, duration_ns: int) -> None:
        """The router was dead for so long, and its load with it."""
        self.count(_Stretch(), 0, duration_ns, duration_ns + 1)

    def _granted(self, stretch: _Stretch) -> Granted:
        if stretch.granted_w <= 0.0:
            return Granted.PART if stretch.limited else Granted.NONE
        full_w = ACTUATED_FRACTION * self._taken_uw / MICROWATTS_PER_W
        return Granted.FULL if stretch.granted_w >= full_w else Granted.PART

    def _taking_over(self, stretch: _Stretch) -> bool:
        """A standby is none of those: it is demanded where the working generation has failed."""
        newest = stretch.newest
        if newest is None or newest.hop.standby:
            return False
        return newest.key.generation != self.books.seated_generation

    def _see_whether_kept(
        self, stretch: _Stretch, start_ns: int, end_ns: int, tick_ns: int
    ) -> None:
        """Once a generation has brought what it is granted for a whole tick, what was before it is over."""
        power_w = min(stretch.granted_w, self._taken_uw / MICROWATTS_PER_W)
        granted_mj = ACTUATED_FRACTION * power_w * (end_ns - start_ns) / NS_PER_MS
        brings = stretch.newest_delivered and stretch.delivered_mj + ROUNDING_MJ >= granted_mj
        if not brings or stretch.newest is None or stretch.granted_w <= 0.0:
            self._kept_since_ns = None
            return
        if self._kept_since_ns is None:
            self._kept_since_ns = start_ns
        if end_ns - self._kept_since_ns >= tick_ns:
            self._before = None
            self.books.seated_generation = stretch.newest.key.generation

    def is_news(self, now_ns: int, tick_ns: int) -> bool:
        """Whether to say now what is missing: once no more is, and now and then before."""
        if self.books.missing_mj == self._told_mj:
            self._told_ns, self._tell_after_ns = now_ns, _TELL_FIRST_NS
            return False
        self._told_ns = self._told_ns or now_ns
        goes_on = now_ns < self._missed_ns + tick_ns
        if goes_on and now_ns < self._told_ns + self._tell_after_ns:
            return False
        self._told_ns = now_ns
        self._tell_after_ns = min(2 * self._tell_after_ns, _TELL_MOST_NS)
        return True

    def is_kept_by(self, flow: Flow, power_uw: int) -> bool:
        """That flow delivers what is promised, nothing is missing, and nothing is to be told."""
        return (
            self._before is None
            and self._share == 1.0
            and self.books.power_uw == power_uw
            and self.books.seated_generation == flow.key.generation
            and self.books.missing_mj == self._told_mj
        )

    def ahead(self) -> int:
        """In parts of a millijoule. What rounding owes may grow by less than a millijoule before it is paid."""
        return _UNITS_PER_MJ - 1 if self._carry > (ROUNDING_MJ - 1) * _UNITS_PER_MJ else 0

    def quiet_until(self, now_ns: int) -> None:
        """It was kept until now, and all was told."""
        if self.books.missing_mj == self._told_mj:
            self._told_ns, self._tell_after_ns = now_ns, _TELL_FIRST_NS

    def told(self) -> None:
        self._told_mj = self.books.missing_mj


class Promises:
    """All promises to the loads of one router."""

    def __init__(
        self, books: RouterBooks, tick_ns: int, takes: Mapping[str, float], away_ns: int = 0
    ) -> None:
        """``takes``: by load, what share of its circuits' power it takes, as it is at any time. ``away_ns``: how long
        the router was dead before; what it had promised until then stood.
        """
        self._books = books
        self._takes = takes
        self._tick_ns = tick_ns
        self._standing: dict[int, _Promise] = {}
        # Those that nothing is delivered of, while all others are kept by flows that stand; and what each gets.
        self._lone: dict[int, _Stretch] | None = None
        for circuit_id, each in books.promises.items():
            if each.stands:
                self._standing[circuit_id] = promise = _Promise(each, restored=True)
                promise.stand_still(away_ns)

    @property
    def stand(self) -> bool:
        """Whether anything is promised here."""
        return bool(self._standing)

    def begin(self, flow: Flow) -> None:
        """A generation was committed at this, its sink."""
        circuit_id = flow.key.circuit_id
        books = self._books.begin_promise(circuit_id)
        if circuit_id not in self._standing:
            self._standing[circuit_id] = _Promise(books, restored=False)
        if not books.stands:
            self._standing[circuit_id].begin(_promised_uw(flow))
        books.generation = max(books.generation, flow.key.generation)

    def end(self, circuit_id: int) -> None:
        """Nothing is promised any more."""
        if self._standing.pop(circuit_id, None) is not None:
            self._books.end_promise(circuit_id)

    def end_up_to(self, keys: Iterable[CircuitGeneration], sinks: Sequence[Flow]) -> None:
        """These generations are over, and no promise stands for them alone."""
        wanted = {flow.key.circuit_id for flow in sinks if not flow.draining}
        for circuit_id, generation in keys:
            promise = self._standing.get(circuit_id)
            last = promise is not None and promise.books.generation <= generation
            if last and circuit_id not in wanted:
                self.end(circuit_id)

    def ahead_of(self, flow: Flow, power_uw: int) -> int | None:
        """So much of a millijoule a flow that begins to stand has ahead; None where its promise is not kept by it."""
        promise = self._standing.get(flow.key.circuit_id)
        if promise is None:
            return 0
        return promise.ahead() if promise.is_kept_by(flow, power_uw) else None

    def hold(self, held: frozenset[int], sinks: Sequence[Flow]) -> None:
        """From now on these are kept, and counted when anybody asks. To others nothing is delivered: what they lack is
        counted as ever.
        """
        lone = {key: promise for key, promise in self._standing.items() if key not in held}
        self._lone = _stretches(lone, sinks)

    def stop_standing(self, now_ns: int) -> None:
        """All are counted as time goes on, as of now."""
        self._lone = None
        for promise in self._standing.values():
            promise.quiet_until(now_ns)

    def count_lone(self, start_ns: int, end_ns: int) -> bool:
        """While the others stand: count those that get nothing; False where there is none."""
        lone = self._lone or {}
        for circuit_id, stretch in lone.items():
            self._standing[circuit_id].count(stretch, start_ns, end_ns, self._tick_ns)
        return bool(lone)

    def count(
        self,
        sinks: Sequence[Flow],
        deliveries: Sequence[Delivery],
        start_ns: int,
        end_ns: int,
    ) -> None:
        """Count a stretch of time in which the rates stood still."""
        done = self._count_kept(deliveries, start_ns, end_ns)
        done.update(self._lone or ())
        counted = {key: promise for key, promise in self._standing.items() if key not in done}
        if not counted:
            return
        stretches = _stretches(counted, sinks)
        for delivery in deliveries:
            stretch = stretches.get(delivery.flow.key.circuit_id)
            if stretch is not None:
                stretch.delivered_mj += delivery.energy_mj
                if delivery.flow is stretch.newest:
                    stretch.newest_delivered = delivery.energy_mj > 0
        for circuit_id, promise in counted.items():
            promise.count(stretches[circuit_id], start_ns, end_ns, self._tick_ns)

    def _count_kept(self, deliveries: Sequence[Delivery], start_ns: int, end_ns: int) -> set[int]:
        """Those of flows that are settled, of which there are many; returns which could be."""
        kept = set()
        for delivery in deliveries:
            flow = delivery.flow
            circuit_id, generation = flow.key
            promise = self._standing.get(circuit_id) if flow.settled and flow.alone else None
            if promise is not None and promise.count_kept(
                generation, delivery.energy_mj, start_ns, end_ns
            ):
                kept.add(circuit_id)
        return kept

    def follow(self, sinks: Sequence[Flow], now_ns: int) -> None:
        """The rates have changed: the promise is the power of the newest generation that wants any, or would if its
        load were plugged in.
        """
        newest: dict[int, Flow] = {}
        for flow in sinks:
            wants = flow.demand_w > 0.0 or (flow.taken and not self._takes[flow.hop.load_id])
            if flow.draining or not wants or flow.hop.standby:
                continue
            known = newest.get(flow.key.circuit_id)
            if known is None or _newer(flow, known):
                newest[flow.key.circuit_id] = flow
        for circuit_id, flow in newest.items():
            promise = self._standing.get(circuit_id)
            if promise is not None:
                promise.take(_promised_uw(flow), self._takes[flow.hop.load_id], now_ns)

    def news(self, now_ns: int) -> list[int]:
        """Circuits whose missing energy is to be told, though nothing else of them is."""
        watched = self._standing if self._lone is None else self._lone
        return [key for key in watched if self._standing[key].is_news(now_ns, self._tick_ns)]

    def told(self, circuit_id: int) -> MissingEnergy | None:
        """What to say of a circuit now."""
        promise = self._standing.get(circuit_id)
        if promise is not None:
            promise.told()
        books = self._books.promises.get(circuit_id)
        return books.capped().energy() if books else None

    def alone(self, sinks: Sequence[Flow]) -> Mapping[int, PromiseBooks]:
        """Promises that stand though no generation is here."""
        here = {flow.key.circuit_id for flow in sinks}
        return {key: each.books for key, each in self._standing.items() if key not in here}


def _stretches(promises: Mapping[int, _Promise], sinks: Sequence[Flow]) -> dict[int, _Stretch]:
    """What these circuits are granted; nothing of it has been delivered yet."""
    stretches = {circuit_id: _Stretch() for circuit_id in promises}
    for flow in sinks:
        stretch = stretches.get(flow.key.circuit_id)
        if stretch is None or flow.draining:
            continue
        seated = promises[flow.key.circuit_id].books.seated_generation
        stretch.granted_w += _granted_w(flow, flow.key.generation == seated)
        stretch.limited = stretch.limited or flow.limited
        if flow.demand_w > 0.0 and (stretch.newest is None or _newer(flow, stretch.newest)):
            stretch.newest = flow
    return stretches


def _promised_uw(flow: Flow) -> int:
    """Also what others displaced of it."""
    return round(max(flow.hop.power_w, flow.hop.asked_w) * MICROWATTS_PER_W)


def _granted_w(flow: Flow, seated: bool) -> float:
    if seated and flow.asked_w == 0.0:
        return flow.hop.received_power_w
    if flow.demand_w == 0.0:
        return 0.0
    return flow.hop.received_power_w * min(1.0, flow.ingress_w / flow.hop.ingress_power_w)


def _newer(flow: Flow, other: Flow) -> bool:
    return flow.key.generation > other.key.generation
