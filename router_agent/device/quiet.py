"""Quiet: when a router stands, for how long, and when it is looked at again whether it may."""

from collections.abc import Mapping, Sequence

from digitalgrid.limits import MAX_INT64
from router_agent.config import RouterConfig
from router_agent.device.arrival import Energy
from router_agent.device.conversion import Conversion
from router_agent.device.cushion import Cushion
from router_agent.device.flow import Flow
from router_agent.device.flow_index import FlowIndex
from router_agent.device.line import Line
from router_agent.device.meters import RouterBooks
from router_agent.device.sink import SinkWatch
from router_agent.device.standing import Standing, begin_to_stand

# Where a flow keeps the router from standing, it is looked at again after so many ticks: that costs a turn over all.
_TRIED_AGAIN_TICKS = 10
# Of what is worth having in a buffer: when routers have become later by that, it is seen whether buffers have it.
_LATER_FRACTION = 0.02


class Quiet:
    """``stands``: nothing changes in the router, and nothing is counted."""

    def __init__(
        self,
        config: RouterConfig,
        lines: Mapping[str, Line],
        conversion: Conversion,
        sink_watch: SinkWatch,
        books: RouterBooks,
    ) -> None:
        self._again_ns = _TRIED_AGAIN_TICKS * config.tick_ns
        self._lines = lines
        self._conversion = conversion
        self._sink_watch = sink_watch
        self._books = books
        self._standing: Standing | None = None
        self._begins_from_ns = 0
        # As buffers were looked at when it began.
        self._kept_ns = 0

    @property
    def stands(self) -> bool:
        return self._standing is not None

    @property
    def until_ns(self) -> int:
        """When a buffer may run short."""
        return MAX_INT64 if self._standing is None else self._standing.until_ns

    def begin(self, flows: Sequence[Flow], index: FlowIndex, cushion: Cushion, now_ns: int) -> None:
        """Where it may: all flows are at rest, and all that there is to say is said."""
        if self._standing is not None or now_ns < self._begins_from_ns:
            return
        if any(
            line.up and index.leaving(line) and not line.out.may_stand
            for line in self._lines.values()
        ):
            return
        self._kept_ns = cushion.kept_ns
        self._standing = begin_to_stand(
            flows, index, self._lines, self._conversion, self._sink_watch, self._books, now_ns
        )
        if self._standing is None or self.go_on(now_ns) is not None:
            self._begins_from_ns = now_ns + self._again_ns

    def go_on(self, now_ns: int) -> int | None:
        """Time passes. None where it stands on; else it has stood until then, and does not any more."""
        standing = self._standing
        if standing is None:
            raise RuntimeError("the router does not stand")
        if standing.go_on(now_ns):
            return None
        self.end()
        return standing.advanced_ns

    def outgrown(self, cushion: Cushion) -> bool:
        """Routers have become later than when it began: buffers should hold more than they were looked at for."""
        return self.stands and cushion.kept_ns > self._kept_ns * (1.0 + _LATER_FRACTION)

    def heard(self, line: Line, energy: Sequence[Energy]) -> None:
        if self._standing is not None:
            self._standing.heard(line, energy)

    def settle(self) -> None:
        """Put into the books what was moved by now."""
        if self._standing is not None:
            self._standing.settle()

    def end(self) -> None:
        standing, self._standing = self._standing, None
        if standing is not None:
            standing.end()
