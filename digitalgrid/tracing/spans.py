"""Spans of one program, sent to a collector by OpenTelemetry's SDK, which a provider of our own keeps apart from the
process: nothing is global, and what is not traced makes no span.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from digitalgrid.tracing.context import TraceContext

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_log = logging.getLogger(__name__)
# It says of each attempt that it failed, which is a line a second or more.
_TALKATIVE = "opentelemetry.exporter.otlp.proto.grpc.exporter"

__all__ = ["Span", "SpanKind", "Spans", "context_of", "fail"]

# How long (s) what was recorded is kept together; and how long a collector that does not answer is waited for.
_BATCH_S = 1.0
_TIMEOUT_S = 2.0
# Spans that wait for a collector; more are left out.
_MOST_WAITING = 16_384


class Spans:
    """Makes spans, and has them sent."""

    def __init__(self, service: str, instance: str, exporter: SpanExporter) -> None:
        resource = Resource.create(
            {
                "service.name": service,
                "service.instance.id": instance,
                "service.version": version("digitalgrid"),
            }
        )
        # Whether anything is traced was decided before a span is made.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False
        )
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=_MOST_WAITING,
            schedule_delay_millis=_BATCH_S * 1000,
        )
        self._provider.add_span_processor(self._processor)
        self._tracer: Tracer = self._provider.get_tracer("digitalgrid", version("digitalgrid"))

    def start(
        self,
        name: str,
        parent: TraceContext | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int | float | bool] | None = None,
        start_ns: int | None = None,
        links: Sequence[TraceContext] = (),
    ) -> Span:
        """A span that is to be ended; without a parent, the first of a trace. Times are of the wall's clock."""
        within = Context()
        if parent is not None:
            within = set_span_in_context(NonRecordingSpan(_remote(parent)), within)
        span = self._tracer.start_span(
            name,
            within,
            kind,
            attributes,
            links=[Link(_remote(each)) for each in links],
            start_time=start_ns,
        )
        if not isinstance(span, Span):
            raise TypeError("the sampler of this provider records every span")
        return span

    @contextmanager
    def current(self, name: str) -> Iterator[Span]:
        """A whole trace's first span, in which all is done that is done inside; what was made is sent at its end."""
        span = self.start(name, kind=SpanKind.CLIENT)
        token = attach(set_span_in_context(span))
        try:
            yield span
        except BaseException as error:
            fail(span, str(error))
            raise
        finally:
            detach(token)
            span.end()
            self.close()

    def flush(self) -> None:
        """Send now what has ended."""
        self._provider.force_flush()

    def close(self) -> None:
        """Send what is left; a collector that is away is not waited for long."""
        self._provider.shutdown()


def spans_to(endpoint: str, service: str, instance: str = "") -> Spans:
    """To the collector at host:port. Headers and certificates are those of OTEL_EXPORTER_OTLP_*, as anywhere."""
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    logging.getLogger(_TALKATIVE).setLevel(logging.CRITICAL)
    exporter = OTLPSpanExporter(f"http://{endpoint}", insecure=True, timeout=_TIMEOUT_S)
    return Spans(service, instance, _Told(exporter, endpoint))


class _Told(SpanExporter):
    """An exporter of which is logged by its edges whether its collector takes what it gets."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._fails = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        fails = result is not SpanExportResult.SUCCESS
        if fails and not self._fails:
            _log.warning("traces: the collector %s takes nothing; spans are lost", self._endpoint)
        elif self._fails and not fails:
            _log.info("traces: the collector %s takes them again", self._endpoint)
        self._fails = fails
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def context_of(span: Span) -> TraceContext:
    context = span.get_span_context()
    if context is None:
        raise ValueError("a span that is no part of a trace")
    return TraceContext(context.trace_id, context.span_id)


def fail(span: Span, message: str) -> None:
    span.set_status(Status(StatusCode.ERROR, message))


def _remote(context: TraceContext) -> SpanContext:
    return SpanContext(
        context.trace_id,
        context.span_id,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
