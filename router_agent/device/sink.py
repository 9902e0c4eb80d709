"""What a sink's router tells of its circuits: power arrived, is steady, is missing, has all drained."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from digitalgrid.model import CircuitGeneration, FlowState, MissingEnergy, SwitchCause
from digitalgrid.physics import ACTUATED_FRACTION
from digitalgrid.units import MILLIWATTS_PER_W, NS_PER_MS, NS_PER_S
from router_agent.device.energy import Delivery
from router_agent.device.flow import Flow, by_precedence
from router_agent.device.flow_states import FlowEvent, Playout
from router_agent.device.meters import RouterBooks
from router_agent.device.missing import Promises
from router_agent.device.promise_books import PromiseBooks

# Circuits whose interruption is being timed; the oldest are forgotten.
_CIRCUITS_NOTED = 1024


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """One change of a flow's state at its load; ``interruption_ns`` and ``arrived_at_ns`` come with ARRIVED."""

    key: CircuitGeneration
    state: FlowState
    delivered_mw: int = 0
    granted_mw: int = 0
    demand_mw: int = 0
    interruption_ns: int = 0
    arrived_at_ns: int = 0
    switch_cause: SwitchCause = SwitchCause.UNSPECIFIED
    # Of its circuit, over all generations.
    missing: MissingEnergy | None = None


class SinkWatch:
    """Follows the flows that end at this router's loads, and returns the statuses that are news."""

    def __init__(
        self, books: RouterBooks, tick_ns: int, takes: Mapping[str, float], away_ns: int
    ) -> None:
        """``takes``: what share of its circuits' power each load takes, as it is at any time."""
        self.promises = Promises(books, tick_ns, takes, away_ns)
        # Since when each circuit, over all its generations, is granted too little or has run dry.
        self._starved_ns: dict[int, int] = {}
        self._dry_ns: dict[int, int] = {}

    def delivered(
        self, sinks: Sequence[Flow], deliveries: Sequence[Delivery], start_ns: int, end_ns: int
    ) -> None:
        """Count what is missing, and remember when a circuit ran dry; in full again, it was no interruption."""
        self.promises.count(sinks, deliveries, start_ns, end_ns)
        powered: dict[int, float] = {}
        for delivery in deliveries:
            flow = delivery.flow
            if not flow.idle:
                flow.delivered_w = delivery.energy_mj / (end_ns - start_ns) * NS_PER_MS
            circuit_id = flow.key.circuit_id
            if flow.settled and delivery.powered >= 1.0 and circuit_id not in self._dry_ns:
                continue
            if flow.idle or (flow.state is not FlowState.SILENT and not flow.draining):
                powered[circuit_id] = max(powered.get(circuit_id, 0.0), delivery.powered)
        for circuit_id, fraction in powered.items():
            if fraction >= 1.0:
                self._dry_ns.pop(circuit_id, None)
            else:
                dry_ns = start_ns + round(fraction * (end_ns - start_ns))
                _note(self._dry_ns, circuit_id, dry_ns)

    def settled(self, sinks: Sequence[Flow], now_ns: int) -> list[FlowStatus]:
        """After rates or buffers have changed."""
        self.promises.follow(sinks, now_ns)
        news = []
        newest: dict[int, Flow] = {}
        for flow in sorted(sinks, key=by_precedence):
            if not flow.idle:
                newest.setdefault(flow.key.circuit_id, flow)
        for flow in sinks:
            flow.granted_all_tick = flow.granted_all_tick and _granted(flow)
            if flow.draining:
                if flow.drained and flow.state is not FlowState.DRAINED:
                    flow.apply(FlowEvent.EMPTY)
                    news.append(status_of(flow))
            elif _arrives(flow):
                flow.apply(FlowEvent.ENERGY)
                flow.arrived_at_ns = now_ns
                flow.interruption_ns = self._interruption_ns(flow.key.circuit_id, now_ns)
                news.append(status_of(flow))
            elif newest.get(flow.key.circuit_id) is flow:
                # An older one may fall short for a moment while the newer one takes over.
                news += self._starved(flow, now_ns)
        return news

    def ticked(self, sinks: Sequence[Flow], start_ns: int, end_ns: int) -> list[FlowStatus]:
        """A whole tick has passed."""
        news = []
        seconds = (end_ns - start_ns) / NS_PER_S
        reached = {flow.key.circuit_id for flow in sinks if flow.delivered_in_tick_mj}
        for flow in sinks:
            steady = flow.granted_all_tick and flow.demand_w > 0.0
            due_mj = (
                ACTUATED_FRACTION * min(flow.demand_w, flow.granted_w) * seconds * MILLIWATTS_PER_W
            )
            if flow.state is FlowState.ARRIVED and steady and flow.delivered_in_tick_mj >= due_mj:
                flow.apply(FlowEvent.FULL_TICK)
                news.append(status_of(flow))
            elif flow.state is FlowState.ACTUATED and steady:
                flow.books.missed_ticks += flow.key.circuit_id not in reached
            elif flow.state is FlowState.SILENT and _heard(flow):
                if not _granted(flow):
                    flow.apply(FlowEvent.SHORTAGE)
                    news.append(status_of(flow))
            else:
                news += self._starved(flow, end_ns)
            flow.delivered_in_tick_mj = 0
            flow.granted_all_tick = _granted(flow)
        told = {status.key.circuit_id for status in news}
        return news + self.missing(sinks, end_ns, told)

    def missing(
        self, sinks: Sequence[Flow], now_ns: int, told: Container[int] = ()
    ) -> list[FlowStatus]:
        """Of circuits that are not ``told`` of: what goes on being missing, now and then."""
        more = [key for key in self.promises.news(now_ns) if key not in told]
        return self._of_circuits(more, sinks) if more else []

    def statuses(self, sinks: Sequence[Flow]) -> list[FlowStatus]:
        """All that there is to say to whoever knows nothing yet."""
        flows = [status_of(flow) for flow in sinks if flow.state is not FlowState.SILENT]
        alone = [_alone(*each) for each in self.promises.alone(sinks).items()]
        return [self.with_missing(status) for status in (*flows, *alone)]

    def with_missing(self, status: FlowStatus) -> FlowStatus:
        """The status with what is missing by now of its circuit, which counts as told."""
        return replace(status, missing=self.promises.told(status.key.circuit_id))

    def _of_circuits(self, circuit_ids: Sequence[int], sinks: Sequence[Flow]) -> list[FlowStatus]:
        """What is said of each already, again, for the sake of what is missing of it."""
        newest = {
            flow.key.circuit_id: flow
            for flow in sorted(sinks, key=lambda each: each.key)
            if flow.state not in (FlowState.SILENT, FlowState.DRAINED)
        }
        alone = self.promises.alone(sinks)
        return [
            status_of(newest[key]) if key in newest else _alone(key, alone[key])
            for key in circuit_ids
            if key in newest or key in alone
        ]

    def _starved(self, flow: Flow, now_ns: int) -> list[FlowStatus]:
        if _granted(flow) or flow.state not in (FlowState.ARRIVED, FlowState.ACTUATED):
            return []
        flow.apply(FlowEvent.SHORTAGE)
        _note(self._starved_ns, flow.key.circuit_id, now_ns)
        return [status_of(flow)]

    def _interruption_ns(self, circuit_id: int, now_ns: int) -> int:
        """How long the circuit has been without supply, which ends now."""
        starved_ns = self._starved_ns.pop(circuit_id, now_ns)
        return now_ns - min(starved_ns, self._dry_ns.pop(circuit_id, now_ns))


def status_of(flow: Flow) -> FlowStatus:
    return FlowStatus(
        key=flow.key,
        state=flow.state,
        delivered_mw=round(flow.delivered_w * MILLIWATTS_PER_W),
        granted_mw=flow.grant.power_mw,
        demand_mw=round(flow.demand_w * MILLIWATTS_PER_W),
        interruption_ns=flow.interruption_ns if flow.state is FlowState.ARRIVED else 0,
        arrived_at_ns=flow.arrived_at_ns if flow.state is FlowState.ARRIVED else 0,
    )


def _alone(circuit_id: int, books: PromiseBooks) -> FlowStatus:
    """A circuit that waits for its next generation is starved."""
    return FlowStatus(
        CircuitGeneration(circuit_id, books.generation),
        FlowState.STARVED,
        demand_mw=books.power_mw,
    )


def _note(since_ns: dict[int, int], circuit_id: int, now_ns: int) -> None:
    """A circuit may be back on another path; of those that never come back the oldest are forgotten."""
    since_ns.setdefault(circuit_id, now_ns)
    if len(since_ns) > _CIRCUITS_NOTED:
        del since_ns[next(iter(since_ns))]


def _granted(flow: Flow) -> bool:
    return flow.granted_w >= ACTUATED_FRACTION * flow.demand_w


def _heard(flow: Flow) -> bool:
    """Power has come, or word from above that the source, or a line, has less than is needed."""
    return flow.playout is not Playout.WAITING or (flow.demand_w > 0.0 and flow.limited)


def _arrives(flow: Flow) -> bool:
    """Energy is here of a flow that is granted what it wants.

    It may have to wait in the buffer while the load still takes what an older generation left.
    """
    waits = flow.state in (FlowState.SILENT, FlowState.STARVED)
    has_energy = flow.buffer_mj > 0 or flow.playout is not Playout.WAITING
    return waits and has_energy and flow.demand_w > 0.0 and _granted(flow)
