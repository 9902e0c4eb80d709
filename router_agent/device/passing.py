"""Passing of time: the energy of all flows is moved and booked up to an instant, counted with each event that changes
anything, and by the time alone while nothing does.
"""

from collections.abc import Mapping, Sequence

from router_agent.config import RouterConfig
from router_agent.device.arrival import Energy
from router_agent.device.arrivals import Arrivals, take
from router_agent.device.conversion import Conversion
from router_agent.device.cushion import Cushion
from router_agent.device.energy import Converter
from router_agent.device.flow import Flow
from router_agent.device.flow_changes import change_flows
from router_agent.device.flow_index import FlowIndex
from router_agent.device.line import Line
from router_agent.device.meters import RouterBooks
from router_agent.device.mutation import Outcome
from router_agent.device.quiet import Quiet
from router_agent.device.sink import SinkWatch


class Passing:
    """``flows`` stand in order of admission, which is the order in which losses are charged.

    ``at_rest``: no flow changes its rates by time alone, so they need not be found again with each tick. ``unsaved``:
    energy has moved since the books were last saved.
    """

    def __init__(
        self,
        config: RouterConfig,
        lines: Mapping[str, Line],
        conversion: Conversion,
        books: RouterBooks,
        source_w: Mapping[str, float],
        load_w: Mapping[str, float],
        sink_watch: SinkWatch,
        now_ns: int,
    ) -> None:
        self.flows: list[Flow] = []
        self.index = FlowIndex()
        self.books = books
        self.quiet = Quiet(config, lines, conversion, sink_watch, books)
        self.at_rest = False
        self.unsaved = False
        self.advanced_ns = now_ns
        self._lines = lines
        self._converter = Converter(conversion, books, source_w, load_w, config.tick_ns)
        self._sink_watch = sink_watch

    def advance(self, now_ns: int) -> None:
        if self.stands_on(now_ns) or now_ns <= self.advanced_ns:
            return
        self.unsaved = self.unsaved or bool(self.flows) or self._sink_watch.promises.stand
        deliveries = self._converter.advance(
            self.flows, self.index.beside, self._lines, self.advanced_ns, now_ns
        )
        self._sink_watch.delivered(self.index.sinks, deliveries, self.advanced_ns, now_ns)
        for delivery in deliveries:
            if delivery.flow.idle:
                # What it lent it asks for again.
                delivery.flow.settled = self.at_rest = False
        self.advanced_ns = now_ns

    def stands_on(self, now_ns: int) -> bool:
        """Let time pass while nothing changes; False where that is over, or has not begun."""
        if not self.quiet.stands:
            return False
        self.unsaved = True
        until_ns = self.quiet.go_on(now_ns)
        self.advanced_ns = now_ns if until_ns is None else until_ns
        return until_ns is None

    def stop_standing(self, now_ns: int) -> None:
        """Something changes: count as of now, and from now on with each tick."""
        if self.quiet.stands:
            self.advance(now_ns)
            self.quiet.end()

    def change(self, outcome: Outcome, now_ns: int) -> tuple[list[Flow], list[Flow]]:
        """The circuit table has changed: count as of now, and follow it. Returns what ended, and what began."""
        self.stop_standing(now_ns)
        self.advance(now_ns)
        self.unsaved = True
        changed = change_flows(self.flows, self.index, outcome, self._lines, self.books, now_ns)
        self.index = FlowIndex(self.flows)
        return changed

    def put(self, line: Line, energy: Sequence[Energy], cushion: Cushion, now_ns: int) -> Arrivals:
        """Put what arrived into its flows' buffers."""
        self.unsaved = True
        books, advanced_ns = self.books, self.advanced_ns
        arrivals = take(energy, line, self.index, books, cushion, advanced_ns, now_ns)
        if arrivals.weighed:
            # With the next tick: it is not urgent.
            self.at_rest = False
        return arrivals

    def forget_rates(self, circuit_id: int) -> None:
        """Something bears on this circuit's flows that is not told by what their neighbours state of them."""
        for flow in self.index.of_circuit.get(circuit_id, ()):
            flow.settled = False

    def fault(self) -> str:
        """What is not as it must be between events; empty where all is whole."""
        self.quiet.settle()
        if imbalance_mj := self.books.imbalance_mj():
            return f"its energy books are {imbalance_mj} mJ out of balance"
        held_mj = sum(flow.buffer_mj for flow in self.flows)
        if held_mj != self.books.buffered_mj:
            return f"its circuits hold {held_mj} mJ, and its books say {self.books.buffered_mj} mJ"
        return ""
