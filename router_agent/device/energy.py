"""Moves the energy of all flows through one router over a stretch of time in which the rates stand still.

Energy is whole millijoules. Losses come from the formulas of :mod:`digitalgrid.physics`, each with a carry of what
rounding owes, so that a circuit is charged within a millijoule of the formula whatever the stretches are.
"""

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from digitalgrid.model import CircuitGeneration
from digitalgrid.physics import added_line_loss_w, received_w
from digitalgrid.units import MILLIJOULES_PER_J, NS_PER_S
from router_agent.device.conversion import Conversion
from router_agent.device.filling import KEPT_BACK
from router_agent.device.flow import Flow
from router_agent.device.line import Line
from router_agent.device.meters import RouterBooks

# Ticks of what is granted that a curtailed flow keeps in its buffer: packets come once a tick, and a router may be
# late by as much.
_TICKS_KEPT = 2


@dataclass(slots=True)
class _Allowance:
    """What the generations of one circuit may take together in this stretch; the older ones go first.

    But nobody takes what is ``kept`` for those that drain: their energy has nowhere else to go.
    """

    ingress_mj: int
    received_w: dict[str, float] = field(default_factory=dict)
    kept_mj: dict[CircuitGeneration, int] = field(default_factory=dict)
    kept_w: dict[str, dict[CircuitGeneration, float]] = field(default_factory=dict)
    # At their load, and kept for later: their energy is the load's before it goes dark.
    idle: list[Flow] = field(default_factory=list)

    def keep(self, flow: Flow, efficiency: float, seconds: float) -> None:
        whole_w = flow.buffer_mj / (MILLIJOULES_PER_J * seconds)
        drains_w = min(flow.drain_w, efficiency * whole_w)
        share = flow.hop.ingress_power_w / flow.hop.received_power_w
        drains_mj = math.ceil(drains_w * share * seconds * MILLIJOULES_PER_J)
        self.kept_mj[flow.key] = min(flow.buffer_mj, drains_mj)
        self.kept_w.setdefault(_egress(flow), {})[flow.key] = drains_w

    def begin(self, flow: Flow) -> tuple[int, float]:
        """What this flow may take at its entrance, and bring to the far end; its turn has come."""
        kept_w = self.kept_w.get(_egress(flow), {})
        self.kept_mj.pop(flow.key, None)
        kept_w.pop(flow.key, None)
        ingress_mj = max(0, self.ingress_mj - sum(self.kept_mj.values()))
        return ingress_mj, self.received_w[_egress(flow)] - sum(kept_w.values())


@dataclass(slots=True)
class _OnLine:
    """What one line carries away in this stretch."""

    current_a: float = 0.0
    received_mj: int = 0
    circuits: int = 0


class Delivery(NamedTuple):
    """A load's share of a stretch; its circuit had power for ``powered`` of it, from its beginning."""

    flow: Flow
    energy_mj: int
    powered: float


class Converter:
    def __init__(
        self,
        conversion: Conversion,
        books: RouterBooks,
        max_source_w: Mapping[str, float],
        max_load_w: Mapping[str, float],
        tick_ns: int,
    ) -> None:
        self._conversion = conversion
        self._books = books
        self._max_source_w = max_source_w
        self._max_load_w = max_load_w
        self._tick_s = tick_ns / NS_PER_S

    def advance(
        self,
        flows: Sequence[Flow],
        beside: Sequence[Flow],
        lines: Mapping[str, Line],
        start_ns: int,
        end_ns: int,
    ) -> list[Delivery]:
        """``flows`` stand in order of admission; ``beside`` are those of circuits of which two generations are here.
        Returns what reached each load that wanted or had energy.
        """
        seconds = (end_ns - start_ns) / NS_PER_S
        allowances = _allowances(beside, self._conversion.efficiency, seconds)
        down = {line for line in lines.values() if not line.up}
        on_line = {line: _OnLine() for line in lines.values()}
        deliveries: list[Delivery] = []
        drawn_mj: Counter[str] = Counter()
        borrowing: list[tuple[Flow, list[Flow]]] = []
        converts_mj = self._converts_mj(flows, seconds)
        for flow in flows:
            allowance = allowances.get(flow.key.circuit_id) if allowances else None
            line = flow.egress
            if line in down:
                continue
            if flow.settled and flow.idle:
                continue
            if flow.settled and allowance is None:
                carried = on_line[line] if line is not None else None
                wanted_mj, taken_mj, arrives_mj = self._pass_on(flow, carried, seconds, drawn_mj)
                converts_mj -= taken_mj
                if line is None and wanted_mj:
                    self._deliver(flow, arrives_mj)
                    deliveries.append(Delivery(flow, arrives_mj, taken_mj / wanted_mj))
                continue
            before_a = on_line[line].current_a if line is not None else 0.0
            wanted_mj = self._wanted_mj(flow, before_a, allowance, seconds)
            if flow.ingress is None:
                drawn_mj[flow.hop.source_id] += self._draw(flow, wanted_mj, flow.ingress_w, seconds)
            taken_mj = min(flow.buffer_mj, wanted_mj, converts_mj)
            converts_mj -= taken_mj
            if taken_mj < wanted_mj:
                flow.take_carry_mj = 0.0
            if taken_mj:
                received_mj = sent_mj = self._convert(flow, taken_mj)
                if line is not None:
                    received_mj = self._send(flow, line, sent_mj, on_line[line], seconds)
                _spend(allowance, flow, taken_mj, received_mj, seconds)
            if line is None and wanted_mj:
                delivered_mj = sent_mj if taken_mj else 0
                self._deliver(flow, delivered_mj)
                deliveries.append(Delivery(flow, delivered_mj, taken_mj / wanted_mj))
            if line is None and allowance is not None and _may_borrow(flow, taken_mj < wanted_mj):
                borrowing.append((flow, allowance.idle))
        if borrowing:
            converts_mj -= self._lend(borrowing, deliveries, converts_mj, seconds)
        for flow in flows:
            line = flow.egress
            if flow.surplus_w == 0.0 or line is None or line in down or flow.held:
                continue
            carried = on_line[line]
            wanted_mj = self._enters_mj(flow, flow.surplus_w, carried.current_a, seconds)
            if flow.ingress is None:
                limit_w = flow.surplus_ingress_w
                drawn_mj[flow.hop.source_id] += self._draw(flow, wanted_mj, limit_w, seconds)
            taken_mj = min(flow.buffer_mj, wanted_mj, converts_mj)
            converts_mj -= taken_mj
            if taken_mj:
                self._send(flow, line, self._convert(flow, taken_mj), carried, seconds)
        for line, carried in on_line.items():
            line.close_segment(start_ns, end_ns, carried.received_mj, carried.circuits)
        self._watch_cell(drawn_mj, deliveries, seconds)
        return deliveries

    def _pass_on(
        self, flow: Flow, carried: _OnLine | None, seconds: float, drawn_mj: Counter[str]
    ) -> tuple[int, int, int]:
        """Likewise for a flow that is settled, of which there are many: all that it needs, at rates that are known.

        It shares nothing with another generation, and holds nothing back. Returns what it wanted, what it took, and
        what of that arrives.
        """
        books, mj_per_w = self._books, seconds * MILLIJOULES_PER_J
        exact_mj = flow.need_w * mj_per_w + flow.take_carry_mj
        wanted_mj = math.floor(exact_mj)
        if flow.ingress is None:
            drawn_mj[flow.hop.source_id] += self._draw(flow, wanted_mj, flow.ingress_w, seconds)
        taken_mj = min(flow.buffer_mj, wanted_mj)
        flow.take_carry_mj = exact_mj - wanted_mj if taken_mj == wanted_mj else 0.0
        if not taken_mj:
            return wanted_mj, 0, 0
        loss_mj, flow.converter_carry_mj = self._charge(
            (1.0 - self._conversion.efficiency) * taken_mj, flow.converter_carry_mj, taken_mj
        )
        flow.buffer_mj -= taken_mj
        books.buffered_mj -= taken_mj
        books.converter_loss_mj += loss_mj
        arrives_mj = taken_mj - loss_mj
        if flow.egress is not None and carried is not None:
            arrives_mj = self._send(flow, flow.egress, arrives_mj, carried, seconds)
        return wanted_mj, taken_mj, arrives_mj

    def _converts_mj(self, flows: Sequence[Flow], seconds: float) -> int:
        """The most that the converter takes in a stretch; rounding may owe each flow less than a millijoule."""
        limit_w = self._conversion.limit_w
        if limit_w is None:
            return sys.maxsize
        return math.ceil(limit_w * seconds * MILLIJOULES_PER_J) + len(flows)

    def _wanted_mj(
        self, flow: Flow, before_a: float, allowance: _Allowance | None, seconds: float
    ) -> int:
        """What the flow may take at its entrance: for what is accepted, or for the reservation once it drains."""
        if flow.held:
            return 0
        far_end_w = flow.accepted_w
        if flow.drains:
            far_end_w = flow.drain_w
        if allowance is not None:
            most_mj, received_w = allowance.begin(flow)
            far_end_w = min(far_end_w, received_w)
        if far_end_w <= 0.0:
            return 0
        # A grant of a trickle's size says nothing yet of who has just been selected, which plays all that it holds; but
        # where a source has no more than that, it is said, and is a rate to go on at.
        short = flow.curtailed and (flow.limited or not flow.awaited)
        most_w = self._throttled_w(flow, seconds) if short else math.inf
        most_w = min(most_w, flow.through_w)
        if flow.keeps_back:
            most_w = min(most_w, flow.need_w) * (1.0 - KEPT_BACK)
        whole_mj = self._enters_mj(flow, far_end_w, before_a, seconds, most_w)
        return whole_mj if allowance is None else min(whole_mj, most_mj)

    def _enters_mj(
        self,
        flow: Flow,
        far_end_w: float,
        before_a: float,
        seconds: float,
        most_w: float = math.inf,
    ) -> int:
        """What must enter for such power at the far end; not above ``most_w``, whatever the far end has of that."""
        sent_w = far_end_w
        if flow.egress is not None:
            link = flow.egress.link
            sent_w += added_line_loss_w(link.resistance_ohm, before_a, far_end_w / link.voltage_v)
        enters_w = min(sent_w / self._conversion.efficiency, most_w)
        exact_mj = enters_w * seconds * MILLIJOULES_PER_J + flow.take_carry_mj
        whole_mj = math.floor(exact_mj)
        flow.take_carry_mj = exact_mj - whole_mj
        return whole_mj

    def _throttled_w(self, flow: Flow, seconds: float) -> float:
        """What a flow that is granted less takes: what it is granted, steadily, and no bursts whenever packets come.

        What the buffer holds beyond its need for that, as where much more was granted before, is spent as it is wanted.
        """
        kept_mj = _TICKS_KEPT * self._tick_s * flow.ingress_w * MILLIJOULES_PER_J
        beyond_mj = max(0.0, flow.buffer_mj - kept_mj)
        return flow.ingress_w + beyond_mj / (seconds * MILLIJOULES_PER_J)

    def _draw(self, flow: Flow, wanted_mj: int, limit_w: float, seconds: float) -> int:
        """A source gives what its flow will take now, within the grant."""
        exact_mj = limit_w * seconds * MILLIJOULES_PER_J + flow.draw_carry_mj
        whole_mj = math.floor(exact_mj)
        drawn_mj = min(max(0, wanted_mj - flow.buffer_mj), whole_mj)
        flow.draw_carry_mj = exact_mj - whole_mj
        flow.buffer_mj += drawn_mj
        flow.books.injected_mj += drawn_mj
        self._books.buffered_mj += drawn_mj
        self._books.injected_mj[flow.hop.source_id] += drawn_mj
        return drawn_mj

    def _convert(self, flow: Flow, taken_mj: int) -> int:
        formula_mj = (1.0 - self._conversion.efficiency) * taken_mj
        loss_mj, flow.converter_carry_mj = self._charge(
            formula_mj, flow.converter_carry_mj, taken_mj
        )
        flow.buffer_mj -= taken_mj
        self._books.buffered_mj -= taken_mj
        self._books.converter_loss_mj += loss_mj
        flow.spent()
        return taken_mj - loss_mj

    def _send(self, flow: Flow, line: Line, sent_mj: int, carried: _OnLine, seconds: float) -> int:
        """Put energy on a line; its loss is what this flow's current adds to those already there."""
        link = line.link
        sent_w = sent_mj / (MILLIJOULES_PER_J * seconds)
        arrives_w = received_w(sent_w, link.resistance_ohm, link.voltage_v, carried.current_a)
        added_a = arrives_w / link.voltage_v
        formula_w = added_line_loss_w(link.resistance_ohm, carried.current_a, added_a)
        loss_mj, flow.line_carry_mj = self._charge(
            formula_w * seconds * MILLIJOULES_PER_J, flow.line_carry_mj, sent_mj
        )
        line.put(flow.key, sent_mj - loss_mj, loss_mj)
        flow.books.sent_mj += sent_mj
        flow.books.line_loss_mj += loss_mj
        carried.current_a += added_a
        carried.received_mj += sent_mj - loss_mj
        carried.circuits += 1
        return sent_mj - loss_mj

    def _charge(self, formula_mj: float, carry_mj: float, at_most_mj: int) -> tuple[int, float]:
        """The loss in whole millijoules, and what rounding owes from now on."""
        exact_mj = formula_mj + carry_mj
        charged_mj = math.floor(exact_mj + 0.5)
        if charged_mj > at_most_mj:
            charged_mj = at_most_mj
        deviation_mj = abs(charged_mj - formula_mj)
        if deviation_mj > self._books.max_formula_deviation_mj:
            self._books.max_formula_deviation_mj = deviation_mj
        return charged_mj, exact_mj - charged_mj

    def _deliver(self, flow: Flow, energy_mj: int) -> None:
        flow.books.delivered_mj += energy_mj
        flow.delivered_in_tick_mj += energy_mj
        self._books.delivered_mj[flow.hop.load_id] += energy_mj

    def _lend(
        self,
        borrowing: Sequence[tuple[Flow, Sequence[Flow]]],
        deliveries: list[Delivery],
        converts_mj: int,
        seconds: float,
    ) -> int:
        """No load is dark while its router holds energy of its circuit: what the generations that are demanded fall
        short of comes from those that are kept for later. Adds to ``deliveries``; returns what was taken.
        """
        brought_mj: Counter[int] = Counter()
        for delivery in deliveries:
            brought_mj[delivery.flow.key.circuit_id] += delivery.energy_mj
        left_mj = converts_mj
        for flow, idle in borrowing:
            circuit_id = flow.key.circuit_id
            whole_mj = math.floor(flow.accepted_w * seconds * MILLIJOULES_PER_J)
            for lender in idle:
                short_mj = whole_mj - brought_mj[circuit_id]
                taken_mj = math.floor(short_mj / self._conversion.efficiency)
                taken_mj = min(taken_mj, lender.buffer_mj, left_mj)
                if taken_mj <= 0:
                    continue
                left_mj -= taken_mj
                lent_mj = self._convert(lender, taken_mj)
                self._deliver(lender, lent_mj)
                brought_mj[circuit_id] += lent_mj
                powered = min(1.0, (brought_mj[circuit_id] + 1) / whole_mj)
                deliveries.append(Delivery(lender, lent_mj, powered))
        return converts_mj - left_mj

    def _watch_cell(
        self, drawn_mj: Mapping[str, int], deliveries: Sequence[Delivery], seconds: float
    ) -> None:
        """Count each stretch in which a source or a load carried more than it is built for."""
        delivered_mj: Counter[str] = Counter()
        for delivery in deliveries:
            delivered_mj[delivery.flow.hop.load_id] += delivery.energy_mj
        for energies, limits_w in (
            (drawn_mj, self._max_source_w),
            (delivered_mj, self._max_load_w),
        ):
            for name, energy_mj in energies.items():
                limit_mj = limits_w[name] * seconds * MILLIJOULES_PER_J
                # Carries of all its flows may come due in one stretch.
                if energy_mj > limit_mj * (1.0 + 1e-6) + 64:
                    self._books.oversubscribed_instants += 1


def _may_borrow(flow: Flow, short: bool) -> bool:
    """Whether a load that this flow serves may lack power; what a source or a line has not is no reason."""
    if flow.accepted_w <= 0.0 or flow.limited:
        return False
    return short or flow.held or flow.curtailed


def _egress(flow: Flow) -> str:
    return flow.hop.egress_link_id or flow.hop.load_id


def _allowances(beside: Sequence[Flow], efficiency: float, seconds: float) -> dict[int, _Allowance]:
    """For the circuits of which two generations are here."""
    allowances: dict[int, _Allowance] = {}
    for flow in beside:
        allowance = allowances.setdefault(flow.key.circuit_id, _Allowance(0))
        ingress_mj = math.ceil(flow.hop.ingress_power_w * seconds * MILLIJOULES_PER_J)
        allowance.ingress_mj = max(allowance.ingress_mj, ingress_mj)
        reserved_w = allowance.received_w.get(_egress(flow), 0.0)
        allowance.received_w[_egress(flow)] = max(reserved_w, flow.hop.received_power_w)
        if flow.idle and flow.egress is None and flow.buffer_mj:
            allowance.idle.append(flow)
        # Over a line that is down nothing drains, and nothing must wait for that.
        if flow.drains and (flow.egress is None or flow.egress.up):
            allowance.keep(flow, efficiency, seconds)
    return allowances


def _spend(
    allowance: _Allowance | None, flow: Flow, taken_mj: int, received_mj: int, seconds: float
) -> None:
    if allowance is None:
        return
    allowance.ingress_mj -= taken_mj
    allowance.received_w[_egress(flow)] -= received_mj / (MILLIJOULES_PER_J * seconds)
