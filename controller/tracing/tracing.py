"""Tracing of northbound calls: one head decision for each, before any span is made, and spans of its steps."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from controller.core.access import Action, Call
from controller.core.circuits.searched import Searched
from controller.core.questions import Questions
from controller.tracing.current import CALL, TRACE_ID
from controller.tracing.orders import Orders, newest_of
from digitalgrid.rate_limit import TokenBucket
from digitalgrid.tracing.context import KEY, TraceContext
from digitalgrid.tracing.spans import Span, SpanKind, Spans, context_of, fail
from digitalgrid.units import NS_PER_S

# Traces that are begun, on average and at once: each takes a quarter of a millisecond of the loop, and as much again of
# the thread that sends it, so that whoever asks for more can cause a fortieth of both.
MOST_PER_S, MOST_AT_ONCE = 50.0, 50.0
# A wait for others that is no wait (ns).
_AT_ONCE_NS = 100_000
_ABOUT_CIRCUITS = frozenset({Action.CHANGE, Action.RELEASE})


# Most calls are not traced, and pay for as little as can be.
_NOT_TRACED = nullcontext()


class Tracing:
    """Of one controller; ``sample_ratio`` is for calls whose clients do not say whether they are traced."""

    def __init__(
        self,
        spans: Spans,
        sample_ratio: float,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        most_per_s: float = MOST_PER_S,
    ) -> None:
        self._spans = spans
        self._ratio = sample_ratio
        self._clock_ns = clock_ns
        self._most = TokenBucket(most_per_s, MOST_AT_ONCE)
        self.orders = Orders(spans, lambda: self._chosen(None))

    def begin(self, name: str, metadata: Sequence[tuple[str, str | bytes]]) -> Span | None:
        """The span of a call; None where it is not traced."""
        said = None
        for key, value in metadata:
            if key == KEY:
                said = value
                break
        parent = TraceContext.of(said) if said is not None else None
        if not self._chosen(parent):
            return None
        return self._spans.start(name, parent, SpanKind.SERVER)

    def _chosen(self, parent: TraceContext | None) -> bool:
        wanted = random.random() < self._ratio if parent is None else parent.sampled
        return wanted and self._most.take(self._clock_ns())

    @contextmanager
    def call(self, span: Span) -> Iterator[None]:
        """Whatever is done inside, by this task, is part of the call."""
        token, id_token = CALL.set(span), TRACE_ID.set(f"{context_of(span).trace_id:032x}")
        try:
            yield
        except BaseException as error:
            fail(span, str(error))
            raise
        finally:
            CALL.reset(token)
            TRACE_ID.reset(id_token)
            span.end()

    def step(self, name: str) -> AbstractContextManager[None]:
        """A part of the call that this task is in."""
        call = CALL.get()
        return self._step(name, call) if isinstance(call, Span) else _NOT_TRACED

    @contextmanager
    def _step(self, name: str, call: Span) -> Iterator[None]:
        span = self._spans.start(name, context_of(call))
        try:
            yield
        finally:
            span.end()

    def deciding(self, calls: Sequence[Call], known: Questions) -> AbstractContextManager[None]:
        """The core decides these calls, all at once, and what routers are told of them may follow at once."""
        traced = [(call, call.trace) for call in calls if isinstance(call.trace, Span)]
        return self._deciding(traced, len(calls), known) if traced else _NOT_TRACED

    @contextmanager
    def _deciding(
        self, traced: Sequence[tuple[Call, Span]], together: int, known: Questions
    ) -> Iterator[None]:
        begun_ns, circuits, searches = time.time_ns(), known.circuits, known.searches
        before = searches.so_far if searches is not None else None
        newest = {}
        for call, span in traced:
            self._follow(call, context_of(span))
            if call.action in _ABOUT_CIRCUITS:
                newest[int(call.subject)] = newest_of(circuits.get(int(call.subject)))
        try:
            yield
        finally:
            searched = searches.so_far.since(before) if searches and before else None
            for call, span in traced:
                decided = self._note_decided(call, span, begun_ns, together)
                if searched is not None and searched.searches:
                    self._note_searched(decided, begun_ns, searched)
                decided.end()
            for circuit_id, newest_before in newest.items():
                self.orders.decided(circuits.get(circuit_id), circuit_id, newest_before)

    def _follow(self, call: Call, context: TraceContext) -> None:
        if call.action is Action.REQUEST:
            self.orders.follow_request(call.subject, context)
        elif call.action in _ABOUT_CIRCUITS:
            self.orders.follow_circuit(int(call.subject), context)

    def _note_decided(self, call: Call, span: Span, begun_ns: int, together: int) -> Span:
        parent = context_of(span)
        came_ns = span.start_time or begun_ns
        if together > 1 or begun_ns - came_ns > _AT_ONCE_NS:
            self._spans.start("gather", parent, start_ns=came_ns).end(begun_ns)
        decided = self._spans.start("decide", parent, start_ns=begun_ns)
        decided.set_attribute("action", str(call.action))
        decided.set_attribute("subject", call.subject)
        decided.set_attribute("together", together)
        return decided

    def _note_searched(self, decided: Span, begun_ns: int, searched: Searched) -> None:
        """Of all that were decided together; as long as they took, wherever in the decision that was."""
        attributes = {"searches": searched.searches, "settled": round(searched.looked_at)}
        route = self._spans.start(
            "route", context_of(decided), attributes=attributes, start_ns=begun_ns
        )
        route.end(begun_ns + round(searched.took_s * NS_PER_S))
