"""Which orders are part of which trace, what is not traced, and that nothing is kept without bound."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from controller.core.access import Action, Call, Principal
from controller.core.circuits.circuit import Circuit, CircuitState, Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.messages import Commit, Stage, TransactionResult
from controller.tracing.orders import Orders
from controller.tracing.remembered import Remembered
from controller.tracing.tracing import MOST_AT_ONCE, Tracing
from digitalgrid.model import HopSnapshot, Operation, ResultCode
from digitalgrid.tracing.context import KEY, TraceContext
from digitalgrid.tracing.spans import Spans, context_of
from tests.support.northbound import in_loop, northbound

ASKED = TraceContext(0xABC, 0xDEF)


class Recorded:
    """Spans that stay here."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.spans = Spans("dgc", "test", self._exporter)

    def all(self) -> list[ReadableSpan]:
        self.spans.flush()
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    recorded = Recorded()
    yield recorded
    recorded.spans.close()


def circuit(circuit_id: int, state: CircuitState) -> Circuit:
    made = Circuit(circuit_id, f"req-{circuit_id}", "town", (), Constraints(), 1e6)
    made.state = state
    return made


def stage(txn_id: int, *circuit_ids: int, generation: int = 1) -> Stage:
    hops = tuple(
        HopSnapshot(
            circuit_id=each,
            generation=generation,
            admission_seq=1,
            source_id="pv",
            egress_link_id="k",
            power_w=1e6,
            ingress_power_w=1e6,
            egress_power_w=1e6,
            received_power_w=1e6,
        )
        for each in circuit_ids
    )
    return Stage(txn_id, 2000, hops)


def done(txn_id: int, operation: Operation, code: ResultCode = ResultCode.OK) -> TransactionResult:
    return TransactionResult(txn_id, operation, code, "" if code is ResultCode.OK else "no")


def test_one_order_is_part_of_every_request_that_it_is_about(recorded: Recorded) -> None:
    orders = Orders(recorded.spans, lambda: False)
    other = TraceContext(0x123, 0x456)
    circuits = {each: circuit(each, CircuitState.STAGING) for each in (1, 2, 3)}
    orders.follow_request("req-1", ASKED)
    orders.follow_request("req-2", other)
    for router_id in ("r1", "r2"):
        said = list(orders.sent(router_id, stage(7, 1, 2, 3), circuits))
        # The third was not traced, which was decided as it was asked for.
        assert [getattr(TraceContext.of(each), "trace_id", 0) for each in said] == [0xABC, 0x123]
    for router_id in ("r1", "r2"):
        orders.answered(router_id, done(7, Operation.STAGE), circuits)
        assert len(list(orders.sent(router_id, Commit(7), circuits))) == 2
    orders.answered("r1", done(7, Operation.COMMIT), circuits)
    assert recorded.named("program") == []
    orders.answered("r2", done(7, Operation.COMMIT), circuits)
    programs = recorded.named("program")
    assert {span.parent and span.parent.span_id for span in programs} == {0xDEF, 0x456}
    assert len(recorded.named("stage")) == len(recorded.named("commit")) == 4


def test_what_the_controller_does_by_itself_is_a_trace_of_its_own(recorded: Recorded) -> None:
    orders = Orders(recorded.spans, lambda: True)
    orders.follow_request("req-1", ASKED)
    circuits = {each: circuit(each, CircuitState.STAGING) for each in (1, 2)}
    list(orders.sent("r1", stage(1, 1, 2), circuits))
    for each in circuits.values():
        each.state = CircuitState.REROUTING
    said = list(orders.sent("r1", stage(2, 1, 2, generation=2), circuits))
    orders.answered("r1", done(2, Operation.STAGE), circuits)
    list(orders.sent("r1", Commit(2), circuits))
    orders.answered("r1", done(2, Operation.COMMIT), circuits)
    circuits[1].state = CircuitState.ACTIVE
    for circuit_id in (1, 2, 1):
        orders.changed(circuit_id, circuits[circuit_id])
    assert len(recorded.named("actuate")) == 1
    moves = recorded.named("move")
    assert len(said) == len(moves) == 2
    assert ASKED.trace_id not in {span.context.trace_id for span in moves if span.context}
    # Only of the first it is known which request it came of.
    linked = [[link.context.trace_id for link in span.links] for span in moves]
    assert sorted(linked) == [[], [ASKED.trace_id]]


def test_a_router_that_refuses_or_goes_away_ends_its_span_as_failed(recorded: Recorded) -> None:
    orders = Orders(recorded.spans, lambda: True)
    orders.follow_request("req-1", ASKED)
    known = {1: circuit(1, CircuitState.STAGING)}
    for router_id in ("r1", "r2"):
        list(orders.sent(router_id, stage(1, 1), known))
    orders.answered("r1", done(1, Operation.STAGE, ResultCode.LINK_DOWN), known)
    orders.lost("r2")
    known[1].state = CircuitState.FAILED
    orders.changed(1, known[1])
    spans = recorded.all()
    assert [span.name for span in spans] == ["stage", "stage", "program"]
    assert not [span for span in spans if span.status.is_ok]


def test_whether_a_call_is_traced_is_for_its_client_to_say_and_bounded(recorded: Recorded) -> None:
    never, always = (Tracing(recorded.spans, ratio, lambda: 0) for ratio in (0.0, 1.0))
    asked, unasked = str(ASKED), str(ASKED._replace(sampled=False))
    span = never.begin("RequestPower", ((KEY, asked),))
    assert span is not None
    assert context_of(span).trace_id == ASKED.trace_id
    assert never.begin("RequestPower", ()) is None
    assert never.begin("RequestPower", ((KEY, "nonsense"),)) is None
    assert always.begin("RequestPower", ((KEY, unasked),)) is None
    # However many ask to be traced, there are only so many.
    begun = [always.begin("RequestPower", ((KEY, asked),)) for _ in range(200)]
    assert sum(each is not None for each in begun) == MOST_AT_ONCE


@in_loop
async def test_how_long_a_decision_searched_is_a_part_of_it(recorded: Recorded) -> None:
    async with northbound() as api:
        api.runtime.tracing = Tracing(recorded.spans, 1.0)
        span = api.runtime.tracing.begin("RequestPower", ((KEY, str(ASKED)),))
        asking = Call(Principal("me", "here"), Action.REQUEST, "req-1", trace=span)
        request = PowerRequest("req-1", "town", 1e6)
        api.runtime.handle(asking, lambda core, now_ns: core.request(request, now_ns))
        looking = Call(Principal("me", "here"), Action.RELEASE, "1", trace=span)
        api.runtime.handle(looking, lambda core, now_ns: core.release(1, now_ns))
    # A release searches for nothing.
    (route,) = recorded.named("route")
    decided, _ = recorded.named("decide")
    assert route.parent is not None
    assert route.parent.span_id == decided.context.span_id
    assert route.attributes is not None
    assert route.attributes["searches"] == 1
    assert int(str(route.attributes["settled"])) >= 1
    assert (route.start_time or 0) < (route.end_time or 0) <= (decided.end_time or 0)


def test_what_nobody_answers_is_forgotten() -> None:
    gone: list[int] = []
    table: Remembered[str, int] = Remembered(2, gone.append)
    for number, key in enumerate("abca"):
        table[key] = number
    assert (len(table), gone) == (2, [0, 1])
    assert table.pop("c") == 2
    assert table.get("c") is None
