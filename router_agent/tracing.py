"""Spans of a router: each order of a controller that is part of a trace, from its receipt until it is answered."""

from collections.abc import Callable, Sequence

from digitalgrid.model import Operation, ResultCode
from digitalgrid.tracing.context import TraceContext
from digitalgrid.tracing.spans import SpanKind, Spans, fail
from router_agent.device.mutation import Outcome

# Traces that one order can be part of; a controller names no more.
_MOST_AN_ORDER = 64

Answer = Callable[[Outcome], None]


class OrderSpans:
    """Makes of an answer one that also ends the order's spans."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def around(self, operation: Operation, traceparents: Sequence[str], answer: Answer) -> Answer:
        """The order has come; what is no ``traceparent``, or is not recorded, is left out."""
        parents = map(TraceContext.of, traceparents[:_MOST_AN_ORDER])
        spans = [
            self._spans.start(operation.name.lower(), parent, SpanKind.SERVER)
            for parent in parents
            if parent is not None and parent.sampled
        ]

        def ended(outcome: Outcome) -> None:
            for span in spans:
                span.set_attribute("result", outcome.code.name)
                if outcome.code is not ResultCode.OK:
                    fail(span, outcome.message)
                span.end()
            answer(outcome)

        return ended
