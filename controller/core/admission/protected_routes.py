"""Shared backup path protection (SBPP): a working route and its standby, chosen together for what both add.

A standby is charged for what it makes the pools of lines larger, not for what it carries: standbys that no single
failure needs at once have the same room. How much they can share depends on where the working route runs, so several
candidates are tried, each with the standby that adds least beside it, and the pair that adds least in all is kept. Room
costs more the fuller a line is, so that those who come later find some. Both are searched for with additive costs, and
then worked out exactly.

Y. Liu, D. Tipper, P. Siripongwutikorn, "Approximating optimal spare capacity allocation by successive survivable
routing", IEEE/ACM Transactions on Networking 13 (2005).
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from controller.core.admission.cheapest_routes import (
    HOP,
    LOSS,
    Asked,
    cheapest,
    costs_of,
    least_lossy,
    lost_w,
    reserved_w,
)
from controller.core.admission.route_finder import RouteFinder, injection_limit_w
from controller.core.admission.standby_arrays import (
    StandbyArrays,
    as_it_stands,
    fullness,
    under_failures,
)
from controller.core.circuits.disjointness import kept_off
from controller.core.circuits.failures import Failure, FailureKind, covered, failure, stopping
from controller.core.circuits.protection import Against
from controller.core.circuits.route import Route
from controller.core.network.view import GridView
from controller.routing.compiled import Engine, engine_in_use
from controller.routing.graph import Floats

# Trees of random costs that working routes are taken from, and from how many of the nearest sources in each: twice as
# many share no more, a third of them 2 % less (case14).
_TREES = 30
_STARTS = 4
# Of random costs: those of a line are drawn between its own and so many times that.
_DEAREST = 4.0
# Arcs of all working routes' standby searches together (a search takes 0.1 us an arc): the loop waits for them.
_MOST_ARCS = 25_000
# What a watt costs that a working route loses, for as long as it carries, where reserving one on a line costs 1.
_WORKING_LOSS = 1.0
# A working route may lose so many times what the best one loses, and a standby what the best standby loses: costs are
# of lines first, and do not see how losses grow. Or this share of its power, if that is more: a standby carries it for
# minutes, a working route for good.
_MOST_WORKING_LOSS, _WORKING_LOSS_SHARE = 2.0, 0.01
# The less is left of the best one's lines, the more a way around them may lose: up to so many times that.
_MOST_WAYS_AROUND = 10.0
_MOST_STANDBY_LOSS, _STANDBY_LOSS_SHARE = 2.0, 0.05


@dataclass(frozen=True, slots=True)
class Backup:
    """A standby route, the failures that it covers, and what it adds to what is reserved (W, summed over lines)."""

    route: Route
    covers: frozenset[Failure]
    added_w: float


@dataclass(frozen=True, slots=True)
class ProtectedRoutes:
    """A pair; ``backup`` is None where nothing on the way can fail, and there is no other way either."""

    working: Route
    backup: Backup | None


class ProtectedRouteFinder:
    """Answers on the present view and reservations; reserves nothing. A ``dedicated`` standby shares no room."""

    def __init__(self, finder: RouteFinder) -> None:
        self._finder = finder
        # Arcs that no standby may use, and none that shares, in this view.
        self._incapable: tuple[GridView, set[int], set[int]] | None = None

    def best(
        self, asked: Asked, against: Against, *, dedicated: bool = False
    ) -> ProtectedRoutes | None:
        """The pair that adds least; None where there is no working route, or none that was tried has a standby."""
        best, least = None, inf
        left = 1 if dedicated else self._most_candidates()
        for adds, working in self._candidates(asked, several=not dedicated):
            if adds >= least or not left:
                break
            left -= 1
            backup = self.backup_of(working, asked, against, dedicated=dedicated)
            if backup is None and working.links:
                continue
            adds += backup.added_w if backup else 0.0
            if adds < least:
                best, least = ProtectedRoutes(working, backup), adds
        return best

    def backup_of(
        self, working: Route, asked: Asked, against: Against, *, dedicated: bool = False
    ) -> Backup | None:
        """The standby that adds least beside a working route; None where none fits that keeps what is asked for."""
        finder, view = self._finder, self._finder.view
        finder.arrays.sync()
        start = working.router_ids[0]
        at_start = {
            failure(FailureKind.SOURCE, working.source_id),
            failure(FailureKind.ROUTER, start),
        }
        stops = stopping(working, self.risk_groups_of)
        candidates = [each for each in asked.source_ids or view.sources if each in view.sources]
        others = [each for each in candidates if each != working.source_id]
        choices: list[tuple[list[str], frozenset[Failure]]] = [(others, stops)]
        if working.links and working.source_id in candidates:
            choices.append(([working.source_id], stops - at_start))
        found = []
        for source_ids, failures in choices:
            if not source_ids:
                continue
            arrays = (
                as_it_stands(finder, source_ids, asked.circuit_id)
                if dedicated
                else under_failures(
                    finder, failures, source_ids, asked.circuit_id, asked.instead_of
                )
            )
            same_start = source_ids == [working.source_id]
            off = self._kept_off(working, against, same_start=same_start)
            off |= self._incapable_arcs(dedicated=dedicated)
            backup = self._backup(working, asked, arrays, off)
            if backup is not None:
                found.append(backup)
                if against is Against.ROUTER:
                    # Where it begins at another router, it outlives that of the working route's source too.
                    break
        return min(found, key=lambda each: each.added_w, default=None)

    def risk_groups_of(self, link_id: str) -> Collection[str]:
        link = self._finder.view.links.get(link_id)
        return link.risk_groups if link else ()

    # Working routes

    def _most_candidates(self) -> int:
        """How many working routes there is time for."""
        if engine_in_use() is Engine.INTERPRETED:
            return 2
        return max(4, _MOST_ARCS // max(1, self._finder.arrays.graph.arc_count))

    def _candidates(self, asked: Asked, *, several: bool) -> list[tuple[float, Route]]:
        """Working routes and what they add, the least first: the one of least injection among them."""
        finder = self._finder
        best = finder.route(
            asked.sink_id,
            asked.power_w,
            asked.source_ids,
            asked.constraints,
            circuit_id=asked.circuit_id,
            excluded_ids=asked.excluded_ids,
        )
        if best is None:
            return []
        routes = {best.links: best}
        arrays = as_it_stands(finder, asked.source_ids, asked.circuit_id)
        if several and best.links:
            routes |= {route.links: route for route in self._others(asked, best, arrays)}
        return sorted(
            (
                (self._reserved_w(each, arrays) + _WORKING_LOSS * lost_w(each), each)
                for each in routes.values()
            ),
            key=lambda each: each[0],
        )

    def _others(self, asked: Asked, best: Route, arrays: StandbyArrays) -> Iterator[Route]:
        finder = self._finder
        full = fullness(arrays.graph)[self._arcs(best)].max()
        times = _MOST_WORKING_LOSS / max(1.0 - full, 1.0 / _MOST_WAYS_AROUND)
        most_lost_w = max(times * lost_w(best), _WORKING_LOSS_SHARE * asked.power_w)
        limit_w = min(
            asked.power_w + most_lost_w, injection_limit_w(asked.power_w, asked.constraints)
        )
        costs = costs_of(finder, asked, arrays, arrays.prices)
        # The same question on the same network has the same answer.
        rng = np.random.default_rng(finder.arrays.node(best.sink_router_id))
        trees = min(_TREES, max(1, self._most_candidates() // _STARTS))
        for number in range(trees):
            factor = rng.uniform(1.0, _DEAREST, len(costs)) if number else 1.0
            yield from cheapest(finder, asked, arrays, costs * factor, limit_w, _STARTS)

    # Standbys

    def _backup(
        self, working: Route, asked: Asked, arrays: StandbyArrays, off: set[int]
    ) -> Backup | None:
        finder = self._finder
        costs = costs_of(finder, asked, arrays, arrays.prices * _growth(arrays, asked, finder))
        costs[list(off)] = inf
        limit_w = injection_limit_w(asked.power_w, asked.constraints)
        route = next(cheapest(finder, asked, arrays, costs, limit_w, 1), None)
        if route is None or lost_w(route) > _STANDBY_LOSS_SHARE * asked.power_w:
            least = least_lossy(finder, asked, arrays, off)
            if least is None:
                return None
            if route is None or lost_w(route) > _MOST_STANDBY_LOSS * lost_w(least):
                route = least
        covers = covered(working, route, self.risk_groups_of)
        return Backup(route, covers, self._added_w(route, arrays))

    def _added_w(self, route: Route, arrays: StandbyArrays) -> float:
        """What a standby costs: what it makes pools larger by, at their prices, and a little for all that it takes."""
        added_w = LOSS * lost_w(route) + HOP * reserved_w(route)
        for link, arc in zip(route.links, self._arcs(route), strict=True):
            more_a = max(0.0, link.current_a - float(arrays.spare_a[arc]))
            added_w += float(arrays.prices[arc]) * link.voltage_v * more_a
        return added_w

    def _reserved_w(self, working: Route, arrays: StandbyArrays) -> float:
        """What a working route takes of lines, at their prices."""
        return sum(
            float(arrays.prices[arc]) * link.received_w
            for link, arc in zip(working.links, self._arcs(working), strict=True)
        )

    def _arcs(self, route: Route) -> list[int]:
        """Those of a route that was found on the arrays."""
        arrays = self._finder.arrays
        arcs = (arrays.arc(link.link_id, link.from_router_id) for link in route.links)
        return [arc for arc in arcs if arc is not None]

    def _incapable_arcs(self, *, dedicated: bool) -> set[int]:
        """Arcs at routers that take no standby, and for one that shares those whose senders hold no pools."""
        view, arrays = self._finder.view, self._finder.arrays
        if self._incapable is None or self._incapable[0] is not view:
            take_none = [key for key, each in view.routers.items() if not each.stands_by]
            no_pools = [key for key, each in view.routers.items() if not each.holds_pools]
            off = arrays.arcs_at(arrays.nodes(take_none)) if take_none else set[int]()
            senders = arrays.nodes(no_pools)
            unpooled = np.flatnonzero(np.isin(arrays.graph.tail, list(senders))).tolist()
            self._incapable = view, off, off.union(unpooled)
        _, for_all, for_sharing = self._incapable
        return for_all if dedicated else for_sharing

    def _kept_off(self, working: Route, against: Against, *, same_start: bool) -> set[int]:
        """Arcs that a standby may not use beside this working route."""
        arrays = self._finder.arrays
        ids = kept_off(self._finder.view, working, against, same_start=same_start)
        return arrays.arcs(ids) | arrays.arcs_at(arrays.nodes(ids))


def _growth(arrays: StandbyArrays, asked: Asked, finder: RouteFinder) -> Floats:
    """How much larger a watt on each arc would make its pool, in watts."""
    added_a = asked.current_a(finder)
    return np.clip(added_a - arrays.spare_a, 0.0, None) / added_a
