"""Trace contexts as others write them, and what becomes of traces that cannot be made."""

import builtins
import sys
from typing import Any

import pytest

from digitalgrid.tracing.context import TraceContext, of_caller
from digitalgrid.tracing.extra import TracingUnavailable, open_spans
from digitalgrid.tracing.spans import spans_to
from tests.support.otlp import collecting

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_traceparent_is_read_as_it_is_written() -> None:
    for flags, sampled in (("01", True), ("00", False)):
        said = f"00-{TRACE}-{SPAN}-{flags}"
        context = TraceContext.of(said)
        assert context == TraceContext(int(TRACE, 16), int(SPAN, 16), sampled)
        assert str(context) == said
    later = TraceContext.of(f"07-{TRACE}-{SPAN}-03-more")
    assert later == TraceContext(int(TRACE, 16), int(SPAN, 16), True)


@pytest.mark.parametrize(
    "said",
    [
        None,
        b"",
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01-{'x' * 1000}",
        f"00-{TRACE[1:]}-{SPAN}-01",
    ],
)
def test_what_is_no_traceparent_is_as_if_nothing_was_said(said: object) -> None:
    assert TraceContext.of(said) is None


def test_a_client_says_the_span_that_it_is_in_and_nothing_where_it_traces_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert of_caller() == ()
    with collecting() as collector:
        with spans_to(collector.address, "app").current("work") as span:
            ((key, said),) = of_caller()
            context = span.get_span_context()
            assert context is not None
            assert key == "traceparent"
            assert TraceContext.of(said) == TraceContext(context.trace_id, context.span_id)
        (seen,) = collector.until(bool)
    assert (seen.service, seen.name, seen.failed) == ("app", "work", False)
    assert of_caller() == ()
    # A program that traces nothing has not loaded it.
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert of_caller() == ()


def test_who_asks_for_traces_without_the_extra_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "digitalgrid.tracing.spans")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TracingUnavailable, match=r"pip install 'digitalgrid\[tracing\]'"):
        open_spans("127.0.0.1:4317", "dgc")


def test_traces_that_the_environment_forbids_are_no_traces_that_fail_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    with pytest.raises(TracingUnavailable, match="OTEL_SDK_DISABLED forbids them"):
        open_spans("127.0.0.1:4317", "dgc")
