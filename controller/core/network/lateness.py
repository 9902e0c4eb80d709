"""Lateness of routers: how long each takes to answer, and what it says of its own timers. Backpressure goes by it.

A router answers what it is told in order. So what it was told and has not answered says how late it is before it is
heard of again. Being late is no fault: a late router is told less, and given more time, and stays in use.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from digitalgrid.model import Operation
from digitalgrid.units import NS_PER_MS, NS_PER_S

# A router that is later than this has more to do than it gets done between two ticks.
LATE_NS = 200 * NS_PER_MS
# Nobody is waited for longer than this on top of what is usual: what is later has stopped. With nine routers and their
# controller on a machine that has a tenth of a core for each, routers were up to 10 s late with what they were told.
MAX_PATIENCE_NS = 30 * NS_PER_S
_SHOWN_STEP_MS = 100
_SHOWN_STEP_NS = _SHOWN_STEP_MS * NS_PER_MS
# Answers are waited for four times as long as they take, and as that varies; as TCP does (RFC 6298).
_TIMES = 4
_SMOOTHING, _VARIATION_SMOOTHING = 0.125, 0.25
# For so long it is believed how late a router was or said to be.
_REMEMBERED_NS = 5 * NS_PER_S

# A transaction, and what was asked for in it.
Asked = tuple[int, Operation]


@dataclass(slots=True)
class _Router:
    # When each was asked that is not answered, in order.
    asked: dict[Asked, int] = field(default_factory=dict)
    answer_ns: float = 0.0
    variation_ns: float = 0.0
    answered_at_ns: int = 0
    says_ns: int = 0
    said_at_ns: int = 0
    heard_at_ns: int = 0


@dataclass(frozen=True, slots=True)
class Late:
    """How late a router is, in steps, so that it is news seldom; and how much it has not answered."""

    late_ms: int = 0
    unanswered: int = 0


class Lateness:
    """Routers that have a session; ``neighbors_hear`` tells of any whether a line of its is up.

    Where routers or this controller are late, what is heard from a router may be on its way for long: whether it lives
    is then its neighbours' word, which they gave while they were in time.
    """

    def __init__(self, neighbors_hear: Callable[[str], bool]) -> None:
        self._neighbors_hear = neighbors_hear
        self._routers: dict[str, _Router] = {}
        # When anybody was late, a router or this controller.
        self._late_at_ns: int | None = None
        # Those that were late with an answer, or said so, at some time in their session: of most there are none.
        self._were_late: set[str] = set()
        # Since when those have no session that had one.
        self._gone_ns: dict[str, int] = {}

    def note_asked(self, router_id: str, asked: Asked, now_ns: int) -> None:
        router = self._of(router_id)
        # One that never answers is asked for ever.
        _waits_ns(router, now_ns)
        router.asked[asked] = now_ns

    def note_answer(self, router_id: str, asked: Asked, now_ns: int) -> int | None:
        """How long it took (ns); None where nobody waits for it."""
        router = self._of(router_id)
        asked_ns = router.asked.get(asked)
        if asked_ns is None:
            return None
        for each in list(router.asked):
            # What it was asked before and did not answer was lost.
            del router.asked[each]
            if each == asked:
                break
        took_ns = now_ns - asked_ns
        if not router.answered_at_ns:
            # Of a session that begins among hundreds the first answer is all that is known, and counts in full.
            router.answer_ns, router.variation_ns = took_ns, took_ns / 2
        deviation_ns = abs(took_ns - router.answer_ns)
        router.variation_ns += _VARIATION_SMOOTHING * (deviation_ns - router.variation_ns)
        router.answer_ns += _SMOOTHING * (took_ns - router.answer_ns)
        router.answered_at_ns = now_ns
        if router.answer_ns > LATE_NS:
            self._were_late.add(router_id)
            self._late_at_ns = now_ns
        return took_ns

    def note_heard(self, router_id: str, now_ns: int, late_ns: int = 0) -> None:
        """It says anything, and with it, perhaps, how late its own timers are."""
        router = self._of(router_id)
        router.heard_at_ns = now_ns
        if late_ns or now_ns - router.said_at_ns > _REMEMBERED_NS:
            router.says_ns, router.said_at_ns = late_ns, now_ns
        if late_ns > LATE_NS:
            self._were_late.add(router_id)
            self._late_at_ns = now_ns

    def note_here(self, due_ns: int | None, now_ns: int) -> None:
        """The controller was to wake at ``due_ns``, and is awake now: what it has not heard may wait to be read."""
        if due_ns is not None and now_ns - due_ns > LATE_NS:
            self._late_at_ns = now_ns

    def note_gone(self, router_id: str, now_ns: int) -> None:
        """Its session is over: what was under way is not answered any more."""
        self.forget(router_id)
        self._gone_ns[router_id] = now_ns

    def note_back(self, router_id: str) -> None:
        """It has a session again, and has told what it had to tell."""
        self._gone_ns.pop(router_id, None)

    def note_removed(self, router_id: str) -> None:
        """It never returns."""
        self._gone_ns.pop(router_id, None)

    def forget(self, router_id: str) -> None:
        self._routers.pop(router_id, None)
        self._were_late.discard(router_id)

    def begin_term(self) -> None:
        """Of what was asked by who led before no answer comes here."""
        for router in self._routers.values():
            router.asked.clear()

    def _of(self, router_id: str) -> _Router:
        found = self._routers.get(router_id)
        if found is None:
            found = self._routers[router_id] = _Router()
        return found

    def unanswered(self, router_id: str) -> int:
        router = self._routers.get(router_id)
        return len(router.asked) if router is not None else 0

    def late_ns(self, router_id: str, now_ns: int) -> int:
        """By how much a router is late: as it answers, as the oldest question waits, or as it says itself."""
        router = self._routers.get(router_id)
        if router is None:
            return 0
        return max(_waits_ns(router, now_ns), _known_ns(router, now_ns))

    def of(self, router_id: str, now_ns: int) -> Late:
        late_ns = self.late_ns(router_id, now_ns)
        if late_ns <= LATE_NS:
            return Late()
        return Late(late_ns // _SHOWN_STEP_NS * _SHOWN_STEP_MS, self.unanswered(router_id))

    def is_late(self, router_id: str, now_ns: int) -> bool:
        return self.late_ns(router_id, now_ns) > LATE_NS

    def patience_ns(self, router_ids: Iterable[str], now_ns: int) -> int:
        """How much longer than usual any of these may take to answer; nothing where none is late."""
        longest_ns = 0
        if not self._were_late:
            return 0
        for router_id in self._were_late.intersection(router_ids):
            router = self._routers.get(router_id)
            # What waits says nothing yet: perhaps it is never answered.
            late_ns = _known_ns(router, now_ns) if router is not None else 0
            if router is not None and late_ns > LATE_NS:
                longest_ns = max(longest_ns, _TIMES * (late_ns + round(router.variation_ns)))
        return min(longest_ns, MAX_PATIENCE_NS)

    def is_behind(self, router_id: str, asked: Asked, usual_ns: int, now_ns: int) -> bool:
        """Whether a router that did not answer in time is at work, and only late: it has answered nothing that it was
        asked later, and was heard of meanwhile.
        """
        router = self._routers.get(router_id)
        asked_ns = router.asked.get(asked) if router is not None else None
        if router is None or asked_ns is None or now_ns - asked_ns > usual_ns + MAX_PATIENCE_NS:
            return False
        if now_ns - router.heard_at_ns < usual_ns:
            return True
        return self.is_crowded(now_ns) and self._neighbors_hear(router_id)

    def is_gone(self, router_id: str) -> bool:
        """Whether its session is over and none has taken its place."""
        return router_id in self._gone_ns

    def may_return(self, router_id: str, usual_ns: int, now_ns: int) -> bool:
        """Whether one that is gone is waited for. Routers dial again at once, and a session that breaks says nothing of
        the lines: their far ends hear whether it lives.
        """
        away_ns = now_ns - self._gone_ns.get(router_id, now_ns)
        patience_ns = MAX_PATIENCE_NS if self.is_crowded(now_ns) else 0
        return away_ns < usual_ns + patience_ns and self._neighbors_hear(router_id)

    def is_crowded(self, now_ns: int) -> bool:
        """Whether anybody was late lately, here or at a router: then all takes longer, and nothing fails by it."""
        return self._late_at_ns is not None and now_ns - self._late_at_ns <= MAX_PATIENCE_NS


def _known_ns(router: _Router, now_ns: int) -> int:
    """How late it was with its answers lately, or said to be."""
    answers_ns = router.answer_ns if now_ns - router.answered_at_ns <= _REMEMBERED_NS else 0
    says_ns = router.says_ns if now_ns - router.said_at_ns <= _REMEMBERED_NS else 0
    return max(round(answers_ns), says_ns)


def _waits_ns(router: _Router, now_ns: int) -> int:
    """For how long the oldest question has waited that may still be answered."""
    while router.asked:
        oldest = next(iter(router.asked))
        waits_ns = now_ns - router.asked[oldest]
        if waits_ns <= MAX_PATIENCE_NS:
            return waits_ns
        del router.asked[oldest]
    return 0
