"""One request is one trace, from its client to the last router's acknowledgement: a real daemon and real routers."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from dgctl.cli import main
from digitalgrid.client import PowerClient
from digitalgrid.gridfile import load_grid
from tests.support.otlp import Collector, Seen, collecting
from topologies.emulator.health import wait_healthy
from topologies.emulator.local_backend import LocalEmulation
from topologies.emulator.plan import EmulationOptions
from topologies.emulator.ports import options_on_free_ports

RING = Path(__file__).parents[3] / "topologies" / "ring.grid.yaml"
# The way from source1 to load3, and the other one.
WAY, OTHER_WAY = {"r1", "r2", "r3"}, {"r1", "r6", "r5", "r4", "r3"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def options(tmp_path: Path, collector: Collector) -> EmulationOptions:
    return replace(options_on_free_ports(tmp_path / "run"), trace=collector.address)


@pytest.fixture
def emulation(options: EmulationOptions) -> Iterator[LocalEmulation]:
    running = LocalEmulation(load_grid(RING), options)
    try:
        running.start()
        wait_healthy(running, options.northbound, 30.0)
        yield running
    finally:
        running.stop()


def acknowledged(spans: list[Seen], name: str) -> dict[bytes, set[str]]:
    """By trace, the routers that made a span of this name."""
    found: dict[bytes, set[str]] = {}
    for span in spans:
        if span.service == "dgr" and span.name == name:
            found.setdefault(span.trace_id, set()).add(span.instance)
    return found


def ended(spans: list[Seen], name: str, routers: set[str]) -> bytes | None:
    """The trace that begins with this name, where it has ended and all these routers have acknowledged."""
    done = {span.trace_id for span in spans if span.name == "actuate"}
    begun = {span.trace_id for span in spans if span.name == name and not span.parent_id}
    for step in ("stage", "commit"):
        heard = acknowledged(spans, step)
        done = {each for each in done if heard.get(each) == routers}
    return next(iter(begun & done), None)


def test_one_request_is_one_trace_and_the_way_around_a_fault_another(
    emulation: LocalEmulation, options: EmulationOptions, collector: Collector
) -> None:
    words = ["--server", options.northbound, "--trace", collector.address]
    asked = [*words, "request", "--sink", "load3", "--power", "1MW", "--source", "source1"]
    result = CliRunner().invoke(main, [*asked, "--wait"])
    assert result.exit_code == 0, result.output
    spans = collector.until(lambda spans: ended(spans, "dgctl request", WAY) is not None)
    request = ended(spans, "dgctl request", WAY)
    of_it = [span for span in spans if span.trace_id == request]
    emulation.cut("r1-r2")
    spans = collector.until(lambda spans: ended(spans, "move", OTHER_WAY) is not None)
    move = ended(spans, "move", OTHER_WAY)
    assert move != request
    look_at_request(of_it)
    # What came of the fault is no part of the request, and says whose circuit it is.
    of_request = [span for span in spans if span.trace_id == request]
    assert {span.span_id for span in of_request} == {span.span_id for span in of_it}
    assert [span.links for span in spans if span.name == "move"] == [(request,)]
    assert not [span for span in spans if span.failed]
    look_at_release(options, collector)


def look_at_request(spans: list[Seen]) -> None:
    by_id = {span.span_id: span for span in spans}
    roots = [span for span in spans if span.parent_id not in by_id]
    assert [(span.service, span.name) for span in roots] == [("dgctl", "dgctl request")]
    made = [(span.service, span.name) for span in spans]
    for name in (
        "PowerService/RequestPower",
        "decide",
        "route",
        "store.commit",
        "program",
        "actuate",
    ):
        assert made.count(("dgc", name)) == 1, name
    for name in ("stage", "commit"):
        assert made.count(("dgc", name)) == made.count(("dgr", name)) == len(WAY)
    for span in spans:
        parent = by_id.get(span.parent_id)
        if span.service == "dgr":
            assert parent is not None
            assert (parent.service, parent.name) == ("dgc", span.name)
            assert parent.attributes["router"] == span.instance
            assert parent.attributes["result"] == span.attributes["result"] == "OK"
            # One machine, one clock.
            assert parent.begun_ns <= span.begun_ns <= span.ended_ns <= parent.ended_ns
    (program,) = (span for span in spans if span.name == "program")
    commits = [span for span in spans if (span.service, span.name) == ("dgc", "commit")]
    assert max(span.ended_ns for span in commits) <= program.ended_ns
    assert program.attributes["generation"] == "1"


def look_at_release(options: EmulationOptions, collector: Collector) -> None:
    """By a client that traces nothing: the trace begins at the controller."""
    with PowerClient(options.northbound) as client:
        (circuit,) = client.list_circuits().circuits
        client.release_circuit(circuit.circuit_id)

    def released(spans: list[Seen]) -> bool:
        found = acknowledged(spans, "withdraw")
        calls = [span for span in spans if span.name == "PowerService/ReleaseCircuit"]
        return bool(calls) and found.get(calls[0].trace_id) == OTHER_WAY

    collector.until(released)
