"""What a sink's router tells of its circuits: power arrived, is steady, is missing, has all drained."""

from collections.abc import Sequence
from dataclasses import dataclass

from digitalgrid.model import CircuitGeneration
from digitalgrid.physics import ACTUATED_FRACTION
from router_agent.energy import Delivery
from router_agent.flow import Flow, FlowState

_NS_PER_S = 1e9
_MW_PER_W = 1e3
_W_PER_MJ_A_NS = 1e6


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """One change of a flow's state at its load; ``interruption_ns`` and ``arrived_ns`` come with ARRIVED."""

    key: CircuitGeneration
    state: FlowState
    delivered_mw: int = 0
    granted_mw: int = 0
    demand_mw: int = 0
    interruption_ns: int = 0
    arrived_ns: int = 0


class SinkWatch:
    """Follows the flows that end at this router's loads; each method returns the statuses that are news."""

    def __init__(self) -> None:
        # Since when each circuit, over all its generations, is granted too little or has run dry.
        self._starved_ns: dict[int, int] = {}
        self._dry_ns: dict[int, int] = {}

    def delivered(
        self, deliveries: Sequence[Delivery], start_ns: int, end_ns: int
    ) -> list[FlowStatus]:
        news = []
        for delivery in deliveries:
            flow = delivery.flow
            flow.delivered_w = delivery.energy_mj / (end_ns - start_ns) * _W_PER_MJ_A_NS
            if not delivery.energy_mj or flow.draining:
                continue
            # What trickles in after the grant is gone is no return of power.
            begins = flow.state is FlowState.SILENT and flow.granted_w > 0.0
            if begins or (flow.state is FlowState.STARVED and _granted(flow)):
                flow.state = FlowState.ARRIVED
                flow.arrived_ns = end_ns
                flow.interruption_ns = self._interruption_ns(flow.key.circuit_id, end_ns)
                news.append(status_of(flow))
        self._watch_supply(deliveries, start_ns, end_ns)
        return news

    def settled(self, sinks: Sequence[Flow], now_ns: int) -> list[FlowStatus]:
        """After rates or buffers have changed."""
        news = []
        newest: dict[int, int] = {}
        for circuit_id, generation in sorted(flow.key for flow in sinks):
            newest[circuit_id] = generation
        for flow in sinks:
            granted = _granted(flow)
            flow.granted_all_tick = flow.granted_all_tick and granted
            if flow.draining:
                if flow.drained and flow.state is not FlowState.DRAINED:
                    flow.state = FlowState.DRAINED
                    news.append(status_of(flow))
            elif newest[flow.key.circuit_id] == flow.key.generation:
                news += self._starved(flow, now_ns)
        return news

    def ticked(self, sinks: Sequence[Flow], start_ns: int, end_ns: int) -> list[FlowStatus]:
        """A whole tick has passed."""
        news = []
        seconds = (end_ns - start_ns) / _NS_PER_S
        reached = {flow.key.circuit_id for flow in sinks if flow.delivered_in_tick_mj}
        for flow in sinks:
            steady = flow.granted_all_tick and flow.demand_w > 0.0
            due_mj = ACTUATED_FRACTION * min(flow.demand_w, flow.granted_w) * seconds * _MW_PER_W
            if flow.state is FlowState.ARRIVED and steady and flow.delivered_in_tick_mj >= due_mj:
                flow.state = FlowState.ACTUATED
                news.append(status_of(flow))
            elif flow.state is FlowState.ACTUATED and steady:
                flow.books.missed_ticks += flow.key.circuit_id not in reached
            else:
                # An older generation may fall short for a moment while the newer one takes over.
                news += self._starved(flow, end_ns)
            flow.delivered_in_tick_mj = 0
            flow.granted_all_tick = _granted(flow)
        return news

    def _starved(self, flow: Flow, now_ns: int) -> list[FlowStatus]:
        if _granted(flow) or flow.state not in (FlowState.ARRIVED, FlowState.ACTUATED):
            return []
        flow.state = FlowState.STARVED
        self._starved_ns.setdefault(flow.key.circuit_id, now_ns)
        return [status_of(flow)]

    def _interruption_ns(self, circuit_id: int, now_ns: int) -> int:
        """How long the circuit has been without supply, which ends now."""
        starved_ns = self._starved_ns.pop(circuit_id, now_ns)
        return now_ns - min(starved_ns, self._dry_ns.pop(circuit_id, now_ns))

    def _watch_supply(self, deliveries: Sequence[Delivery], start_ns: int, end_ns: int) -> None:
        """Remember when a circuit that had power ran dry; power in full again is no interruption."""
        powered: dict[int, float] = {}
        for delivery in deliveries:
            if delivery.flow.state is not FlowState.SILENT:
                circuit_id = delivery.flow.key.circuit_id
                powered[circuit_id] = max(powered.get(circuit_id, 0.0), delivery.powered)
        for circuit_id, fraction in powered.items():
            if fraction >= 1.0:
                self._dry_ns.pop(circuit_id, None)
            else:
                dry_ns = start_ns + round(fraction * (end_ns - start_ns))
                self._dry_ns.setdefault(circuit_id, dry_ns)


def status_of(flow: Flow) -> FlowStatus:
    return FlowStatus(
        key=flow.key,
        state=flow.state,
        delivered_mw=round(flow.delivered_w * _MW_PER_W),
        granted_mw=flow.grant.power_mw,
        demand_mw=round(flow.demand_w * _MW_PER_W),
        interruption_ns=flow.interruption_ns if flow.state is FlowState.ARRIVED else 0,
        arrived_ns=flow.arrived_ns if flow.state is FlowState.ARRIVED else 0,
    )


def _granted(flow: Flow) -> bool:
    return flow.granted_w >= ACTUATED_FRACTION * flow.demand_w
