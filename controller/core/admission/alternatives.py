"""More than one path for a request: the best few, or a pair that no single fault breaks. Nothing is reserved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controller.core.admission.admission import Admission
from controller.core.admission.route_finder import injection_limit_w
from controller.core.admission.search_tally import Search
from controller.core.circuits.circuit import Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal, invalid
from controller.routing.alternatives.disjoint import Disjointness, DisjointPair, PairSearch
from controller.routing.alternatives.k_best import PathRanking
from controller.routing.alternatives.risk_groups import RiskGroups
from controller.routing.compiled import Engine, engine_in_use
from controller.routing.graph import PowerGraph
from controller.routing.paths.cspf import Path
from controller.routing.paths.given_path import along
from digitalgrid.reasons import Reason
from digitalgrid.units import format_power

# Paths ranked for one request: each costs a search inside the loop.
MAX_PATHS = 64
# Up to here an interpreted search for a pair holds the loop for at most 50 ms.
MAX_ROUTERS_INTERPRETED = 100


@dataclass(frozen=True, slots=True)
class RoutePair:
    """Both routes, the better one first, each evaluated by itself.

    ``shared_ids`` are links, routers and risk groups that both need. ``proven``: no better pair can exist.
    """

    routes: tuple[Route, ...]
    shared_ids: tuple[str, ...] = ()
    proven: bool = True


class Alternatives:
    """Answers on the present grid view and reservations."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def best(self, request: PowerRequest, count: int, circuit_id: int = 0) -> list[Route]:
        """The ``count`` routes with the least injection, or all that there are; Refusal where there is none. What
        ``circuit_id`` holds is free.
        """
        if count > MAX_PATHS:
            raise invalid(
                "most_paths",
                Reason.TOO_MANY_PATHS,
                f"most_paths is {count}; {MAX_PATHS} is the most",
            )
        admission, arrays = self._admission, self._admission.arrays
        arrays.sync()
        available = admission.available_w(request.source_ids, circuit_id)
        own_a = admission.credit_a(circuit_id)
        with admission.searches.timed(Search.FEW), arrays.using_again(circuit_id, own_a):
            found = PathRanking(without(arrays.graph, own_a)).best(
                arrays.node(admission.view.loads[request.sink_id][0]),
                request.power_w,
                admission.most_by_node(available),
                count,
                max_injected_w=injection_limit_w(request.power_w, request.constraints),
                max_hops=request.constraints.max_hops,
                avoid_nodes=admission.avoided_nodes(request.constraints),
                avoid_arcs=arrays.arcs(request.constraints.avoid_ids),
            )
        if not found or not admission.sink_takes(request.sink_id, request.power_w, circuit_id):
            raise admission.explain(request, circuit_id)
        return [self._route(path, request, available) for path in found]

    def pair(self, request: PowerRequest, disjointness: Disjointness) -> RoutePair:
        """Two routes from one router that have as little in common as can be, then of least loss together.

        Raises Refusal where there is none.
        """
        admission, arrays = self._admission, self._admission.arrays
        _require_compiled(len(arrays.router_ids))
        if admission.route_for(request) is None:
            raise admission.explain(request)
        arrays.sync()
        group_ids, groups = self._risk_groups()
        search = PairSearch(arrays.graph, arrays.pair_guide, groups)
        available = admission.available_w(request.source_ids)
        candidates = set(admission.most_by_node(available))
        proven = True
        while candidates:
            with admission.searches.timed(Search.PAIR):
                answer = search.best(
                    arrays.node(admission.view.loads[request.sink_id][0]),
                    request.power_w,
                    sorted(candidates),
                    disjointness,
                    maximally=True,
                    avoid_nodes=admission.avoided_nodes(request.constraints),
                    avoid_arcs=arrays.arcs(request.constraints.avoid_ids),
                )
            proven = proven and answer.proven
            if answer.pair is None:
                break
            routes = self._routes(answer.pair, request, available)
            if routes is not None:
                return RoutePair(routes, self._shared_ids(answer.pair, group_ids), proven)
            # The search prices a pair at the power that was asked for; worked out exactly, this one does not fit.
            proven = False
            candidates.discard(self._begins_at(answer.pair, request))
        raise Refusal(
            Reason.NO_PAIR,
            f"one path carries {format_power(request.power_w)} to load {request.sink_id!r}, but no second"
            " one from the same router meets all that was asked",
        )

    def _routes(
        self, pair: DisjointPair, request: PowerRequest, available: Mapping[str, float]
    ) -> tuple[Route, ...] | None:
        """Both paths worked out exactly, the better one first; None where one does not meet all that was asked."""
        admission, arrays = self._admission, self._admission.arrays
        constraints = request.constraints
        sink = arrays.node(admission.view.loads[request.sink_id][0])
        at_begin = self._begins_at(pair, request)
        most_w = admission.most_by_node(available)[at_begin]
        limit_w = min(most_w, injection_limit_w(request.power_w, constraints))
        routes = []
        for arcs in (pair.first, pair.second):
            path = along(arrays.graph, arcs, sink, request.power_w, limit_w)
            if path is None or _too_long(arcs, constraints):
                return None
            routes.append(self._route(path, request, available))
        return tuple(sorted(routes, key=lambda route: route.injected_w))

    def _begins_at(self, pair: DisjointPair, request: PowerRequest) -> int:
        arrays = self._admission.arrays
        if pair.first:
            return int(arrays.graph.tail[pair.first[0]])
        return arrays.node(self._admission.view.loads[request.sink_id][0])

    def _route(self, path: Path, request: PowerRequest, available: Mapping[str, float]) -> Route:
        source_id = self._admission.source_at(path, available)
        return self._admission.route_of(path, source_id, request.sink_id, request.power_w)

    def _risk_groups(self) -> tuple[list[str], RiskGroups]:
        """The ids of all groups, and those of each link of the arrays as indices."""
        links = self._admission.view.links
        of_links = [
            sorted(links[link_id].risk_groups) for link_id in self._admission.arrays.link_ids
        ]
        ids = sorted({group_id for each in of_links for group_id in each})
        number = {group_id: index for index, group_id in enumerate(ids)}
        start = np.zeros(len(of_links) + 1, dtype=np.int32)
        np.cumsum([len(each) for each in of_links], out=start[1:])
        groups = np.array([number[each] for some in of_links for each in some], dtype=np.int32)
        return ids, RiskGroups(start, groups)

    def _shared_ids(self, pair: DisjointPair, group_ids: Sequence[str]) -> tuple[str, ...]:
        arrays = self._admission.arrays
        return (
            *(arrays.link_ids[link] for link in pair.shared_links),
            *(arrays.router_ids[node] for node in pair.shared_routers),
            *(group_ids[group] for group in pair.shared_groups),
        )


def without(graph: PowerGraph, own_a: Mapping[int, float]) -> PowerGraph:
    """The same where so much (A) is not reserved on these arcs."""
    if not own_a:
        return graph
    same = graph.snapshot()
    for arc, each_a in own_a.items():
        same.load_a[arc] = max(0.0, same.load_a[arc] - each_a)
        same.headroom_a[arc] += each_a
        if same.twin[arc] >= 0:
            same.headroom_a[same.twin[arc]] += each_a
    return same


def _too_long(arcs: Sequence[int], constraints: Constraints) -> bool:
    return constraints.max_hops is not None and len(arcs) > constraints.max_hops


def _require_compiled(routers: int) -> None:
    """A pair takes the loop too long to search for in a large network interpreted."""
    if routers > MAX_ROUTERS_INTERPRETED and engine_in_use() is Engine.INTERPRETED:
        raise Refusal(
            Reason.NOT_COMPILED,
            f"pairs among {routers} routers are searched compiled, and the routing kernels are not compiled yet: try"
            " again in a minute (or set `engine: auto` in the controller's configuration, where it is interpreted)",
        )
