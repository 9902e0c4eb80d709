"""Routes of least additive cost: what is reserved on lines, and a little for what is lost; worked out exactly."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from controller.core.admission.route_finder import RouteFinder, injection_limit_w
from controller.core.admission.standby_arrays import StandbyArrays
from controller.core.circuits.circuit import Constraints
from controller.core.circuits.route import Route
from controller.routing.graph import Floats, PowerGraph
from controller.routing.paths.cspf import Path, PathSearch
from controller.routing.paths.given_path import along
from controller.routing.paths.shortest_path_tree import ShortestPathTree, upstream
from digitalgrid.model import CircuitGeneration

# What a watt of loss costs, where reserving a watt on one more line costs 1: it tells apart what is equal in lines.
LOSS = 0.1
# What one more line costs a standby where the pool has room already: longer ones fail more often.
HOP = 1e-3


@dataclass(frozen=True, slots=True)
class Asked:
    """Power for a load from one of these sources, or any; beside what the circuit holds, off what is excluded."""

    sink_id: str
    power_w: float
    source_ids: tuple[str, ...]
    constraints: Constraints
    circuit_id: int = 0
    excluded_ids: frozenset[str] = frozenset()
    # A standby of the circuit that is to go.
    instead_of: CircuitGeneration | None = None

    def sink(self, finder: RouteFinder) -> int:
        return finder.arrays.node(finder.view.loads[self.sink_id][0])

    def current_a(self, finder: RouteFinder) -> Floats:
        """What the power takes of each arc near the sink; upstream it is more by the losses on the way."""
        graph = finder.arrays.graph
        return self.power_w / float(graph.efficiency[self.sink(finder)]) / graph.voltage_v


def costs_of(finder: RouteFinder, asked: Asked, arrays: StandbyArrays, per_line: Floats) -> Floats:
    """Of each arc, for each watt: what it costs to reserve it, and what it loses; infinite where it may not be used."""
    graph, grid = arrays.graph, finder.arrays
    current_a = asked.current_a(finder)
    lost = graph.resistance_ohm * (2.0 * graph.load_a + current_a) / graph.voltage_v
    lost += 1.0 / graph.efficiency[graph.tail] - 1.0
    costs: Floats = per_line + LOSS * lost + HOP
    costs[current_a > graph.headroom_a] = inf
    avoid = {*asked.constraints.avoid_ids, *asked.excluded_ids}
    nodes = finder.avoided_nodes(asked.constraints, asked.excluded_ids)
    costs[list(grid.arcs(avoid) | grid.arcs_at(nodes))] = inf
    return costs


def cheapest(
    finder: RouteFinder,
    asked: Asked,
    arrays: StandbyArrays,
    costs: Floats,
    limit_w: float,
    starts: int,
) -> Iterator[Route]:
    """From each of the cheapest sources the route of least cost, where it fits and injects no more than the limit."""
    graph, sink = arrays.graph, asked.sink(finder)
    most = finder.most_by_node(arrays.available_w)
    tree = ShortestPathTree(upstream(graph), costs, sink)
    nearest = sorted((float(tree.distance[node]), node) for node in most)[:starts]
    for distance, node in nearest:
        if distance == inf:
            return
        arcs = _path(graph, tree, node)
        path = along(graph, arcs, sink, asked.power_w, min(limit_w, most[node]))
        max_hops = asked.constraints.max_hops
        short = max_hops is None or len(arcs) <= max_hops
        if path is not None and short and finder.converts(path, asked.circuit_id):
            yield _route(finder, asked, arrays, path)


def least_lossy(
    finder: RouteFinder, asked: Asked, arrays: StandbyArrays, off: set[int]
) -> Route | None:
    """The route of least injection that keeps off some arcs, and all that is asked for."""
    avoid = {*asked.constraints.avoid_ids, *asked.excluded_ids}
    path = PathSearch(arrays.graph).best(
        asked.sink(finder),
        asked.power_w,
        finder.most_by_node(arrays.available_w),
        max_injected_w=injection_limit_w(asked.power_w, asked.constraints),
        max_hops=asked.constraints.max_hops,
        avoid_nodes=finder.avoided_nodes(asked.constraints, asked.excluded_ids),
        avoid_arcs=off | finder.arrays.arcs(avoid),
    )
    if path is None or not finder.converts(path, asked.circuit_id):
        return None
    return _route(finder, asked, arrays, path)


def reserved_w(route: Route) -> float:
    """What a route takes of lines, together."""
    return sum(link.received_w for link in route.links)


def lost_w(route: Route) -> float:
    return route.injected_w - route.power_w


def _path(graph: PowerGraph, tree: ShortestPathTree, node: int) -> list[int]:
    """The arcs of a tree from a router to its root."""
    arcs = []
    while node != tree.root:
        arcs.append(int(tree.parent[node]))
        node = int(graph.head[arcs[-1]])
    return arcs


def _route(finder: RouteFinder, asked: Asked, arrays: StandbyArrays, path: Path) -> Route:
    source_id = finder.source_at(path, arrays.available_w)
    return finder.route_of(path, source_id, asked.sink_id, asked.power_w)
