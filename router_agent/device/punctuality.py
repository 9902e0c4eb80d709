"""Punctuality: how late this router was woken lately, and what it therefore allows its neighbours and new streams."""

from digitalgrid.metrics.histogram import Histogram
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.config import RouterConfig
from router_agent.device.cushion import Cushion
from router_agent.device.lateness import MAX_LATE_MS, Lateness

# A machine on which a router was held up for half of the time after which it counts as dead is a crowded one: that is
# remembered for so long, for where it happened once it happens again.
STALLS_REMEMBERED_NS = 10 * NS_PER_S
# How late routers are, beyond one busy moment, is the worst of so long: buffers are kept as large as it.
USUAL_OVER_NS = 10 * NS_PER_S
# No more than this or a tick, whichever is longer: a buffer is a capacitor, and has to be paid for.
USUAL_AT_MOST_NS = 200 * NS_PER_MS
_MOST_LATE_NS = MAX_LATE_MS * NS_PER_MS


class Punctuality:
    def __init__(self, config: RouterConfig, now_ns: int) -> None:
        self._config = config
        self._lateness = Lateness(config.dead_ns, now_ns)
        self._stalls = Lateness(STALLS_REMEMBERED_NS, now_ns)
        self._usual = Lateness(USUAL_OVER_NS, now_ns)

    def note(self, due_ns: int, now_ns: int) -> bool:
        """It was to be woken at ``due_ns``, and is awake now. True where it stood still meanwhile, for longer than any
        router is late: that tells how a process was stopped, or a machine, and nothing of how late it may be again.
        """
        stood_still = now_ns - due_ns > _MOST_LATE_NS
        if stood_still:
            due_ns = now_ns
        self._lateness.note(due_ns, now_ns)
        self._usual.note(due_ns, now_ns)
        stalled = now_ns - due_ns > self._config.dead_ns // 2
        self._stalls.note(due_ns if stalled else now_ns, now_ns)
        return stood_still

    def note_tick(self, due_ns: int, now_ns: int) -> None:
        """A tick was to begin at ``due_ns``, and begins now."""
        self._lateness.note_tick(due_ns, now_ns)

    @property
    def late_ns(self) -> int:
        """How late it was woken lately, at the worst."""
        return self._lateness.recent_ns

    @property
    def ticks_late_p99_ns(self) -> int:
        return self._lateness.ticks_p99_ns

    @property
    def ticks_late_s(self) -> Histogram:
        """By how much ticks began late, since the start."""
        return self._lateness.ticks_s

    @property
    def late_again_ns(self) -> int:
        """How late it may be again: what nearly was too late for its neighbours counts for longer."""
        return max(self._lateness.recent_ns, self._stalls.recent_ns)

    @property
    def leeway_ns(self) -> int:
        """What a silent neighbour is given beyond the slack, which is for the usual."""
        late_ns = 2 * self.late_again_ns - self._config.hello_slack_ns
        return min(max(0, late_ns), _MOST_LATE_NS)

    @property
    def cushion(self) -> Cushion:
        """What streams are given that begin now, and those that run."""
        tick_ns, least_ns = self._config.tick_ns, self._config.cushion_ns
        # A neighbour may be as late in sending as this router is, and this router was late in listening.
        late_ns = min(2 * self._lateness.recent_ns, tick_ns)
        usual_ns = min(2 * self._usual.recent_ns, max(tick_ns, USUAL_AT_MOST_NS))
        return Cushion(
            tick_ns=tick_ns,
            quick_ns=self._config.prime_ns,
            late_ns=max(least_ns, late_ns),
            usual_ns=max(least_ns, usual_ns),
            least_ns=least_ns,
            round_trip_ns=least_ns,
        )
