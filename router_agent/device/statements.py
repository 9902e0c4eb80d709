"""What is stated to the neighbours: all of it once a tick, and between only what is news.

A whole state costs both routers a turn over all circuits of the line. So news go ahead as a part of a state, which
speaks only of the circuits that it names; and as long as nothing changes, what was stated is stated again as it stands.
"""

from collections.abc import Iterable
from typing import NamedTuple

from digitalgrid.model import CircuitGeneration
from digitalgrid.wire import DemandRecord
from router_agent.device.flow import Flow
from router_agent.device.flow_index import FlowIndex
from router_agent.device.flow_news import state_demand, state_grant
from router_agent.device.line import Line
from router_agent.device.neighbor_state import Grant


class _Stated(NamedTuple):
    grants: list[tuple[CircuitGeneration, Grant]]
    demands: list[DemandRecord]


class Statements:
    """Lines that must hear of this end: ``whole`` of all its state, the others of some flows."""

    def __init__(self) -> None:
        self.whole: set[str] = set()
        self._news: dict[str, dict[CircuitGeneration, Flow]] = {}
        # As it was stated last, where nothing has changed since.
        self._standing: dict[str, _Stated] = {}
        # Of each line, as it was stated last as a whole.
        self._last: dict[str, _Stated] = {}

    def changed(self) -> None:
        """Rates, flows or marks are others than they were."""
        self._standing.clear()

    def tell(self, line: Line, flow: Flow) -> None:
        """The far end of a line must hear of this flow at once: of its grant or its demand, with energy that waits."""
        self._news.setdefault(line.link.id, {})[flow.key] = flow

    def take_due(self) -> list[str]:
        """Lines to which anything must be said now; each is then given to :meth:`frames`."""
        return sorted({*self.whole, *self._news})

    def done(self) -> None:
        """All that was due is said, or its line is down."""
        self.whole.clear()
        self._news.clear()

    def frames(self, line: Line, index: FlowIndex, now_ns: int, *, at_rest: bool) -> list[bytes]:
        """What is due to a line. ``at_rest``: nothing changes by time alone."""
        news = self._news.get(line.link.id, {})
        flows = len(index.entering(line)) + len(index.leaving(line))
        if line.link.id in self.whole or 2 * len(news) > flows:
            return self.state_frames(line, index, now_ns, at_rest=at_rest)
        # Those that are gone meanwhile are told of by the whole state, which is due then.
        stated = _state(line, news.values(), news.values())
        return line.part_frames(stated.grants, stated.demands, now_ns)

    def state_frames(
        self, line: Line, index: FlowIndex, now_ns: int, *, at_rest: bool
    ) -> list[bytes]:
        link_id = line.link.id
        stated = self._standing.get(link_id) if at_rest else None
        anew = False
        if stated is None:
            stated = _state(line, index.leaving(line), index.entering(line))
            anew = stated != self._last.get(link_id)
            self._last[link_id] = stated
            if at_rest:
                self._standing[link_id] = stated
        return line.state_frames(stated.grants, stated.demands, now_ns, anew=anew)


def _state(line: Line, leaving: Iterable[Flow], entering: Iterable[Flow]) -> _Stated:
    grants = []
    demands = []
    for flow in leaving:
        if flow.egress is line:
            grants.append(state_grant(flow))
    for flow in entering:
        if flow.ingress is line:
            demands.append(state_demand(flow))
    return _Stated(grants, demands)
