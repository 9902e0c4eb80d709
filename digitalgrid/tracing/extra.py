"""The extra that traces need, asked for by whoever is told to trace."""

import os
from typing import TYPE_CHECKING

from digitalgrid.errors import ExplainedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from digitalgrid.tracing.spans import Spans


# OpenTelemetry's own: its spans would be none.
_OFF = "OTEL_SDK_DISABLED"


class TracingUnavailable(ExplainedError, OSError):
    """Traces were asked for, and what makes them is not installed, or switched off."""


def spans_maker(endpoint: str) -> "Callable[[str, str, str], Spans]":
    """What makes spans. TracingUnavailable, which says what to install, where they were asked for and none can be."""
    try:
        from digitalgrid.tracing.spans import spans_to
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise TracingUnavailable(
            f"traces were asked for (tracing.endpoint {endpoint}), and OpenTelemetry is not installed:"
            " pip install 'digitalgrid[tracing]'"
        ) from error
    if os.environ.get(_OFF, "").strip().lower() == "true":
        raise TracingUnavailable(
            f"traces were asked for (tracing.endpoint {endpoint}), and {_OFF} forbids them: unset one of the two"
        )
    return spans_to


def open_spans(endpoint: str, service: str, instance: str = "") -> "Spans":
    """Spans that go to a collector (host:port). TracingUnavailable where none can be."""
    return spans_maker(endpoint)(endpoint, service, instance)
