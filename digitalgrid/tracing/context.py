"""Trace context as W3C writes it (``traceparent``), without any library: what is not traced pays for none."""

import re
import sys
from typing import NamedTuple

# The key in gRPC metadata, and what stands there: version, trace id, span id, flags; later versions may say more.
KEY = "traceparent"
_FORM = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
# Whoever sends more has gone wrong.
_MOST_CHARACTERS = 256
_SAMPLED = 1


class TraceContext(NamedTuple):
    """A span that others are parts of, and whether it is recorded."""

    trace_id: int
    span_id: int
    sampled: bool = True

    @classmethod
    def of(cls, said: object) -> "TraceContext | None":
        """None for what is no ``traceparent``."""
        if not isinstance(said, str) or len(said) > _MOST_CHARACTERS:
            return None
        found = _FORM.fullmatch(said)
        if found is None:
            return None
        flags = int(found[3], 16)
        return cls(int(found[1], 16), int(found[2], 16), bool(flags & _SAMPLED))

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.sampled * _SAMPLED:02x}"


def of_caller() -> tuple[tuple[str, str], ...]:
    """As metadata, the span of OpenTelemetry that this program is in. None where it traces nothing: then it has not
    loaded OpenTelemetry, and that is not done here.
    """
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return ()
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return ()
    sampled = bool(context.trace_flags & _SAMPLED)
    return ((KEY, str(TraceContext(context.trace_id, context.span_id, sampled))),)
