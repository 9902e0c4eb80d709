"""Rate finding: the books of the old rates are closed, new ones are found, and it is seen who must hear of them."""

from collections.abc import Callable, Iterable, Sequence

from digitalgrid.units import NS_PER_MS
from router_agent.device import staying
from router_agent.device.conversion import Conversion
from router_agent.device.filling import watch_cushion
from router_agent.device.flow import Flow
from router_agent.device.flow_news import is_news_downstream, is_news_upstream
from router_agent.device.flow_states import Playout
from router_agent.device.meters import RouterBooks
from router_agent.device.passing import Passing
from router_agent.device.punctuality import Punctuality
from router_agent.device.quick_packets import QuickPackets
from router_agent.device.rates import settle
from router_agent.device.selector import Selector
from router_agent.device.sending import Sending
from router_agent.device.shared_standbys import Limits
from router_agent.device.sink import FlowStatus, SinkWatch

# After a source is granted power, its first energy leaves so soon with a frame of its own, ahead of the tick.
_FIRST_ENERGY_NS = 2 * NS_PER_MS


class RateFinder:
    """``first_energy_ns``: when the first energy of sources leaves that were granted power; None while none waits."""

    def __init__(
        self,
        books: RouterBooks,
        limits: Limits,
        conversion: Conversion,
        passing: Passing,
        selector: Selector,
        sink_watch: SinkWatch,
        sending: Sending,
        quick: QuickPackets,
        punctuality: Punctuality,
    ) -> None:
        self.first_energy_ns: int | None = None
        self._books = books
        self._limits = limits
        self._conversion = conversion
        self._passing = passing
        self._selector = selector
        self._sink_watch = sink_watch
        self._statements = sending.statements
        self._quick = quick
        self._punctuality = punctuality
        # As buffers were looked at last.
        self._kept_ns = 0

    def find(self, now_ns: int) -> list[FlowStatus]:
        """As of now; returns what a controller must hear of that."""
        passing = self._passing
        self._statements.changed()
        passing.stop_standing(now_ns)
        passing.advance(now_ns)
        for circuit_id in self._selector.due(passing.advanced_ns, now_ns):
            passing.forget_rates(circuit_id)
        found, clamped = settle(passing.flows, self._limits, self._conversion, self._demand(now_ns))
        if clamped:
            self._books.through_power_clamped_instants += 1
        weighed = self._watch_cushions(found, now_ns)
        sinks = [flow for flow in found if flow.egress is None]
        self._quick.choose(found, len(passing.flows), now_ns)
        news = [*self._selector.news(sinks), *self._sink_watch.settled(sinks, now_ns)]
        for flow in found:
            self._tell(flow)
            if self.first_energy_ns is None and _waits_at_source(flow):
                self.first_energy_ns = now_ns + _FIRST_ENERGY_NS
        rest = staying.settle(found, passing.index, independent=self._conversion.is_constant)
        # What is lean from now on asks for more with the next tick.
        passing.at_rest = rest and not weighed
        return news

    def take_first(self, now_ns: int) -> list[Flow] | None:
        """Flows whose first energy leaves now, once rates are found; None where it is not time for any."""
        if self.first_energy_ns is None or now_ns < self.first_energy_ns:
            return None
        self.first_energy_ns = None
        return [flow for flow in self._passing.flows if _waits_at_source(flow)]

    def _demand(self, now_ns: int) -> Callable[[Sequence[Flow]], None]:
        here, efficiency = self._passing.index.sink_circuits, self._conversion.efficiency
        return lambda sinks: self._selector.demand(sinks, here, efficiency, now_ns)

    def _tell(self, flow: Flow) -> None:
        if flow.ingress is not None and is_news_upstream(flow):
            self._statements.tell(flow.ingress, flow)
        if flow.egress is not None and is_news_downstream(flow):
            self._statements.tell(flow.egress, flow)

    def _watch_cushions(self, found: Iterable[Flow], now_ns: int) -> bool:
        """Of flows that stay as they are only what is worth having may be another than it was. True where one has less
        than that, or no more, which had it, or had not.
        """
        cushion, weighed = self._punctuality.cushion, False
        kept_ns, self._kept_ns = self._kept_ns, cushion.kept_ns
        for flow in found if cushion.kept_ns == kept_ns else self._passing.flows:
            lean = flow.lean
            watch_cushion(flow, cushion, now_ns)
            if flow.lean != lean:
                weighed, flow.settled = True, False
        return weighed


def _waits_at_source(flow: Flow) -> bool:
    """Whether it was granted power of which none has left the source yet."""
    waits = flow.playout is Playout.WAITING and not flow.idle
    return flow.ingress is None and waits and flow.ingress_w > 0.0
