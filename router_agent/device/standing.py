"""Standing: a router in which nothing changes, whose books and frames cost nothing until something does.

It begins when every flow is at rest and every neighbour that gets power has said that it holds this end's state. Then
rates are constant, so what is moved is told by the time alone (:mod:`router_agent.device.standing_books`), and a tick
says no more than until when. It ends with whatever changes a rate, and before a buffer could run short: no packet may
be missed, and none is spent that has not come.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration
from digitalgrid.physics import added_line_loss_w
from digitalgrid.units import (
    MICROWATTS_PER_W,
    MILLIJOULES_PER_J,
    MILLIWATTS_PER_W,
    NANOWATTS_PER_W,
    NS_PER_S,
)
from router_agent.device.arrival import Energy
from router_agent.device.conversion import Conversion
from router_agent.device.energy import Delivery
from router_agent.device.flow import Flow
from router_agent.device.flow_index import FlowIndex
from router_agent.device.line import Line
from router_agent.device.meters import RouterBooks
from router_agent.device.missing import Promises
from router_agent.device.selector import MISSED_AT_NS
from router_agent.device.sink import SinkWatch
from router_agent.device.standing_books import (
    LOSS_PER_MJ,
    Charge,
    StandingBooks,
    StandingFlow,
)

_UW_PER_MW = MICROWATTS_PER_W // MILLIWATTS_PER_W
# Millijoules by which a buffer may hold less than its rates say: three losses and streams, each rounded.
_ROUNDING_MJ = 3
# Smaller flows are not worth a millijoule of rounding: in a buffer that lasts for a tick it is more than the cushion.
_LEAST_W = 1.0
# What is stated in whole milliwatts is the rate that is accepted, but for the last digits of a float.
_DIGITS_MW = 1e-3


class _Reserve:
    """How long the buffers of the flows that enter by one line last, with what has come by now."""

    def __init__(self, line: Line, flows: Sequence[tuple[Flow, StandingFlow]]) -> None:
        self._line = line
        self._flows = flows

    def look(self, now_ns: int) -> None:
        """All is in the books as of now."""
        self._stream = stream = self._line.into.stream
        self._heard_ns = stream.until_ns if stream is not None else 0
        lasts_ns, self._share = math.inf, 1.0
        for flow, standing in self._flows:
            taken_w = standing.taken_w
            spare_mj = flow.buffer_mj - _ROUNDING_MJ
            lasts_ns = min(lasts_ns, spare_mj * NS_PER_S / (taken_w * MILLIJOULES_PER_J))
            if stream is not None:
                comes_w = stream.rates_mw.get(flow.key, 0) / MILLIWATTS_PER_W
                self._share = min(self._share, comes_w / taken_w)
        self._until_ns = now_ns + int(lasts_ns) - MISSED_AT_NS

    @property
    def until_ns(self) -> int:
        stream = self._line.into.stream
        if stream is None or stream is not self._stream:
            return self._until_ns
        return self._until_ns + int(self._share * (stream.until_ns - self._heard_ns))


class Standing:
    """All flows of one router that are delivered, from ``now_ns`` on."""

    def __init__(
        self,
        flows: Sequence[tuple[Flow, StandingFlow]],
        index: FlowIndex,
        lines: Mapping[str, Line],
        sink_watch: SinkWatch,
        books: RouterBooks,
        now_ns: int,
    ) -> None:
        self._flows = [flow for flow, _ in flows]
        self._index = index
        self._lines = lines
        self._sink_watch = sink_watch
        self._router_books = books
        self._books = StandingBooks([each for _, each in flows], now_ns, now_ns, now_ns)
        books.standing = self._books
        entering: dict[Line, list[tuple[Flow, StandingFlow]]] = {}
        for flow, each in flows:
            if flow.ingress is not None:
                entering.setdefault(flow.ingress, []).append((flow, each))
        self._reserves = [_Reserve(line, among) for line, among in entering.items()]
        self._look()
        self._begin_streams()

    @property
    def until_ns(self) -> int:
        """When a buffer may run short with what has come by now."""
        return min((reserve.until_ns for reserve in self._reserves), default=MAX_INT64)

    def go_on(self, now_ns: int) -> bool:
        """Time passes. False where a buffer may be short by then: the router has stood until :attr:`advanced_ns`."""
        until_ns = self.until_ns
        if now_ns >= until_ns:
            self._pass(until_ns)
            self.settle()
            self._look()
        self._pass(min(now_ns, self.until_ns))
        return now_ns < self.until_ns

    @property
    def advanced_ns(self) -> int:
        return self._books.until_ns

    def heard(self, line: Line, energy: Sequence[Energy]) -> None:
        """What a neighbour has sent that changes nothing; more energy can only make buffers last longer."""
        if energy:
            self._books.revision += 1
            self._take(line, energy)
        if line.into.has_arrived:
            self.settle()
        self._follow(line)

    def settle(self) -> None:
        """Put into the books, and into the buffers, what has come and what was moved by now."""
        for line in self._lines.values():
            self._take(line, line.into.take_arrived())
        start_ns, end_ns = self._books.settled_ns, self._books.until_ns
        if end_ns == start_ns:
            return
        deliveries = []
        moves = self._router_books.settle_standing()
        for flow, moved in zip(self._flows, moves, strict=True):
            if flow.ingress is not None:
                flow.buffer_mj -= moved.taken_mj
            if flow.egress is None:
                flow.delivered_in_tick_mj += moved.arrives_mj
                deliveries.append(Delivery(flow, moved.arrives_mj, 1.0))
        self._sink_watch.delivered(self._index.sinks, deliveries, start_ns, end_ns)

    def end(self) -> None:
        """From now on all is counted with each tick."""
        self.settle()
        elapsed_ns = self._books.settled_ns - self._books.since_ns
        moved: dict[Line, dict[CircuitGeneration, tuple[int, int]]] = {}
        for flow, each in zip(self._flows, self._books.flows, strict=True):
            flow.take_carry_mj = max(0.0, flow.take_carry_mj + each.remainder_mj(elapsed_ns))
            flow.line_carry_mj = each.line_loss.owes_mj(elapsed_ns)
            flow.converter_carry_mj = each.converter_loss.owes_mj(elapsed_ns)
            line = flow.egress
            if line is None or line.out.stream is None:
                continue
            told_ns = line.out.stream.until_ns - self._books.since_ns
            untold = each.moved(told_ns, elapsed_ns)
            if untold.arrives_mj or untold.line_loss_mj:
                moved.setdefault(line, {})[flow.key] = untold.arrives_mj, untold.line_loss_mj
        for line in self._lines.values():
            if line.out.stream is not None:
                line.end_stream(line.out.stream, moved.get(line, {}), self._books.settled_ns)
        self._router_books.standing = None
        self._sink_watch.promises.stop_standing(self._books.settled_ns)

    def _pass(self, now_ns: int) -> None:
        if now_ns <= self._books.until_ns:
            return
        if self._sink_watch.promises.count_lone(self._books.until_ns, now_ns):
            self._books.revision += 1
        self._books.until_ns = now_ns

    def _look(self) -> None:
        """Find anew how long buffers last; the books are settled."""
        for reserve in self._reserves:
            reserve.look(self._books.settled_ns)
        for line in self._lines.values():
            self._follow(line)

    def _follow(self, line: Line) -> None:
        """A neighbour may have begun to stand, or have ended: what it sends must be known on this router's disk."""
        streams, stream = self._books.streams, line.into.stream
        if stream is streams.get(line.link.id):
            return
        self._books.revision += 1
        if stream is None:
            del streams[line.link.id]
        else:
            streams[line.link.id] = stream

    def _take(self, line: Line, arrived: Sequence[tuple[CircuitGeneration, int]]) -> None:
        """Flows that are at rest only keep what comes."""
        for key, received_mj in arrived:
            flow = self._index.by_key.get(key)
            if flow is None or flow.ingress is not line:
                self._router_books.dissipated_mj += received_mj
                continue
            (flow.heir or flow).buffer_mj += received_mj
            self._router_books.buffered_mj += received_mj

    def _begin_streams(self) -> None:
        rates_mw: dict[Line, dict[CircuitGeneration, int]] = {}
        for flow, each in zip(self._flows, self._books.flows, strict=True):
            if flow.egress is not None:
                rates_mw.setdefault(flow.egress, {})[flow.key] = each.arrives_uw // _UW_PER_MW
        for line in self._lines.values():
            if line.up and line.out.may_stand:
                line.stand(rates_mw.get(line, {}), self._books.since_ns)


def begin_to_stand(
    flows: Iterable[Flow],
    index: FlowIndex,
    lines: Mapping[str, Line],
    conversion: Conversion,
    sink_watch: SinkWatch,
    books: RouterBooks,
    now_ns: int,
) -> Standing | None:
    """Stand from now on; None where something keeps the router from it. All flows are at rest, and all is sent."""
    if any(line.up and line.pending for line in lines.values()):
        return None
    standing = []
    currents_a = dict.fromkeys(lines, 0.0)
    promises = sink_watch.promises
    for flow in flows:
        if flow.demand_w == 0.0 or flow.is_dark:
            continue
        each = _standing_flow(flow, currents_a, conversion.efficiency, promises)
        if each is None:
            return None
        standing.append((flow, each))
    limit_w = conversion.limit_w
    if limit_w is not None and math.fsum(each.taken_w for _, each in standing) > limit_w:
        return None
    held = frozenset(each.key.circuit_id for _, each in standing if each.load_id)
    promises.hold(held, index.sinks)
    return Standing(standing, index, lines, sink_watch, books, now_ns)


def _standing_flow(
    flow: Flow, currents_a: dict[str, float], efficiency: float, promises: Promises
) -> StandingFlow | None:
    """Its rates, with the losses that it adds to those before it; None where they are not constant."""
    line = flow.egress
    line_loss_w, ahead = 0.0, 0
    if line is None:
        arrives_uw = round(flow.accepted_w * MICROWATTS_PER_W)
        kept = promises.ahead_of(flow, arrives_uw)
        if kept is None:
            return None
        ahead = kept
    else:
        granted_mw = flow.stated_grant.power_mw
        stated = abs(flow.accepted_w * MILLIWATTS_PER_W - granted_mw) <= _DIGITS_MW
        if not stated or not line.up or not line.out.may_stand or flow.grant != flow.stated_grant:
            return None
        arrives_uw = granted_mw * _UW_PER_MW
        link = line.link
        added_a = granted_mw / MILLIWATTS_PER_W / link.voltage_v
        line_loss_w = added_line_loss_w(link.resistance_ohm, currents_a[link.id], added_a)
        currents_a[link.id] += added_a
    arrives_w = arrives_uw / MICROWATTS_PER_W
    if arrives_w < _LEAST_W:
        return None
    converter_loss_w = (arrives_w + line_loss_w) * (1.0 / efficiency - 1.0)
    hop = flow.hop
    return StandingFlow(
        flow.key,
        hop.ingress_link_id,
        hop.source_id if flow.ingress is None else "",
        hop.egress_link_id,
        hop.load_id if line is None else "",
        arrives_uw,
        ahead,
        _charge(line_loss_w, flow.line_carry_mj),
        _charge(converter_loss_w, flow.converter_carry_mj),
    )


def _charge(loss_w: float, carry_mj: float) -> Charge:
    """What rounding owes is at most half a millijoule, but where a loss was once more than there was to charge."""
    half = LOSS_PER_MJ // 2
    carry = min(max(round(carry_mj * LOSS_PER_MJ), -half), half - 1)
    return Charge(round(loss_w * NANOWATTS_PER_W), carry)
