"""The extra that traces need, asked for by whoever is told to trace."""

from typing import TYPE_CHECKING

from digitalgrid.errors import ExplainedError

if TYPE_CHECKING:
    from digitalgrid.tracing.spans import Spans


class TracingUnavailable(ExplainedError, OSError):
    """Traces were asked for, and what makes them is not installed."""


def open_spans(endpoint: str, service: str, instance: str = "") -> "Spans":
    """Spans that go to a collector (host:port). TracingUnavailable, which says what to install, where none can be."""
    try:
        from digitalgrid.tracing.spans import spans_to
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise TracingUnavailable(
            f"traces were asked for (tracing.endpoint {endpoint}), and OpenTelemetry is not installed:"
            " pip install 'digitalgrid[tracing]'"
        ) from error
    return spans_to(endpoint, service, instance)
