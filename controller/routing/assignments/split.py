"""One request in several parts: over sources and paths such that least is injected, under shared capacities.

Column generation with a small convex master: the path that is cheapest at the marginal losses of what the parts
carry by now, and at the prices of links and sources that bind, is the next one to choose from; then powers are
shared out anew among all that are known. A part is charged for what it adds to those before it, so parts that are
admitted in their order need exactly what is said here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import fsum, inf
from typing import NamedTuple

import numpy as np

from controller.routing.assignments.part_powers import UNSERVED, Limits, Point, Step, point_at, step
from controller.routing.assignments.part_pricing import Pricing
from controller.routing.assignments.split_greedily import (
    MAX_PARTS,
    MIN_PART_W,
    Part,
    Request,
    parts_greedily,
)
from controller.routing.assignments.standing import Paths, paths_of, picked
from controller.routing.flows.node_splitting import SplitGraph, split_nodes
from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.paths.path_power import RELATIVE_TOLERANCE

# In each of which a path is found, or power shared out anew, at most.
_MAX_ROUNDS = 80
# Steps without a new path, after which what is not settled is taken as it is.
_MAX_STEPS = 14
# Paths that are found at most; MAX_PARTS of them can be kept.
_MAX_PATHS = 40
# Shares of limits left free, so that what is solved to a tolerance fits; the next one where that does not do.
_MARGINS = (1e-8, 1e-5, 1e-3)
# Of the power asked for: changes below this are none, and what is left below it is nothing.
_SETTLED = 1e-7
_NOTHING = 1e-6
# A part of less than this is tried to be done without, and is if all then inject hardly more.
_SLIGHT = 1e-3
_HARDLY = 1.0 + 1e-5
# A path is worth it only if it is cheaper by more than rounding.
_CHEAPER = 1.0 - 1e-7
# The curvature by which steps stay near grows, for many ways to share out may be equally good: it is to keep to one.
_STAY = 1e-5
_STAY_MORE = 6.0


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Parts in the order in which they must be admitted, and what they inject together.

    ``missing_w`` is 0 where their powers sum to what was asked for; else it is what could not be delivered beside them.
    """

    parts: tuple[Part, ...]
    injected_w: float
    missing_w: float


class _Shared(NamedTuple):
    """Powers of paths, what they are exactly, and what was left."""

    power_w: Floats
    point: Point
    unserved_w: float


def split(
    graph: PowerGraph,
    sink: int,
    power_w: float,
    source_node: Sequence[int] | Ints,
    available_w: Sequence[float] | Floats,
    *,
    max_loss_fraction: float | None = None,
    max_hops: int | None = None,
    avoid_nodes: Collection[int] = (),
    avoid_arcs: Collection[int] = (),
) -> SplitPlan:
    """Serve a request in at most 16 parts of at least 1 W, at the least injection beside the loads that stand.

    ``available_w[s]`` is what source s, at router ``source_node[s]``, may still inject. No part may lose more than
    ``max_loss_fraction`` of what it injects, nor have more than ``max_hops``; with that, what routers convert for all
    parts together is not looked at, only for each by itself. The graph stays as it is. Raises ValueError where the
    power is not a finite positive number, or a loss fraction is not at least 0 and below 1.
    """
    if not 0.0 < power_w < inf:
        raise ValueError(f"a request is split for a power above 0 W, not for {power_w} W")
    if max_loss_fraction is not None and not 0.0 <= max_loss_fraction < 1.0:
        raise ValueError(f"a part may lose a share from 0 to below 1, not {max_loss_fraction}")
    if max_hops is not None and max_hops < 0:
        raise ValueError(f"max_hops is {max_hops}; it must be at least 0")
    if len(source_node) != len(available_w):
        raise ValueError("each source needs a router and what it may still inject")
    for kind, indices, count in (
        ("router", (sink, *source_node, *avoid_nodes), graph.node_count),
        ("arc", avoid_arcs, graph.arc_count),
    ):
        if not all(0 <= index < count for index in indices):
            raise ValueError(f"a {kind} is not one of the {count} that there are")
    nodes = split_nodes(graph) if max_hops is None else None
    if nodes is not None:
        plan = split(
            nodes.graph,
            int(nodes.outlet[sink]),
            power_w,
            source_node,
            available_w,
            max_loss_fraction=max_loss_fraction,
            avoid_nodes=_halves(nodes, avoid_nodes),
            avoid_arcs=nodes.arc_after[list(avoid_arcs)].tolist(),
        )
        parts = (replace(part, arcs=nodes.arcs_before(part.arcs)) for part in plan.parts)
        return replace(plan, parts=tuple(parts))
    most_injected = inf if max_loss_fraction is None else 1.0 / (1.0 - max_loss_fraction)
    avoided = frozenset(avoid_nodes)
    node, free_w = np.array(source_node, dtype=np.int32), np.array(available_w, dtype=np.float64)
    usable = [int(s) for s in np.flatnonzero(free_w > 0.0) if int(node[s]) not in avoided]
    if not usable or sink in avoided:
        return SplitPlan((), 0.0, power_w)
    request = Request(
        sink,
        power_w,
        node[usable],
        free_w[usable],
        most_injected,
        max_hops,
        avoided,
        frozenset(avoid_arcs),
    )
    plan, paths, all_possible = _best(graph, request)
    limited = max_loss_fraction is not None or max_hops is not None
    if plan.missing_w > 0.0 and (limited or all_possible or not plan.parts):
        plan = min(plan, _with_greedy(graph, request, paths), key=_missing)
    own = tuple(
        Part(usable[part.source], part.arcs, part.power_w, part.injected_w) for part in plan.parts
    )
    return SplitPlan(own, plan.injected_w, plan.missing_w)


def _halves(nodes: SplitGraph, routers: Collection[int]) -> set[int]:
    """Both nodes of each router."""
    return {*routers, *nodes.outlet[list(routers)].tolist()}


def _with_greedy(graph: PowerGraph, request: Request, others: Paths) -> SplitPlan:
    """The largest parts first; where these serve all, shared out anew among their paths and the best of the others."""
    parts = parts_greedily(graph, request)
    plan = _planned(graph, request, parts)
    if plan.missing_w > 0.0:
        return plan
    added = range(min(len(others.source), MAX_PARTS - len(parts)))
    paths = paths_of(
        [*(part.source for part in parts), *(int(others.source[k]) for k in added)],
        [*(part.arcs for part in parts), *(others.of(k) for k in added)],
    )
    power_w = np.array([part.power_w for part in parts] + [0.0] * len(added))
    sharing = _Sharing(graph, request, _MARGINS[0])
    fewer, shared = sharing.with_few(paths, sharing.among(paths, power_w, 0.0))
    better = _planned(graph, request, _checked(graph, request, fewer, shared))
    return better if better.missing_w == 0.0 and better.injected_w < plan.injected_w else plan


def _missing(plan: SplitPlan) -> float:
    return plan.missing_w


def _planned(graph: PowerGraph, request: Request, parts: Sequence[Part]) -> SplitPlan:
    delivered_w = fsum(part.power_w for part in parts)
    missing_w = request.power_w - delivered_w
    if missing_w <= RELATIVE_TOLERANCE * request.power_w:
        missing_w = 0.0
    return SplitPlan(tuple(parts), fsum(part.injected_w for part in parts), missing_w)


def _best(graph: PowerGraph, request: Request) -> tuple[SplitPlan, Paths, bool]:
    """By column generation, and checked; its paths, the largest first; and whether more parts could serve all."""
    closed = _closed(graph, request)
    pricing = Pricing(graph, request.sink, request.source_node, closed, request.max_hops)
    best, all_possible = SplitPlan((), 0.0, request.power_w), False
    for margin in _MARGINS:
        sharing = _Sharing(graph, request, margin)
        paths, shared = sharing.with_new_paths(pricing)
        all_possible |= shared.unserved_w <= _NOTHING * request.power_w
        paths, shared = sharing.with_few(paths, shared)
        found = _planned(graph, request, _checked(graph, request, paths, shared))
        best = min(best, found, key=_missing)
        if found.parts or not len(paths.source):
            break
    order = np.argsort(-shared.power_w, kind="stable").astype(np.int32)
    return best, picked(paths, order), all_possible


def _closed(graph: PowerGraph, request: Request) -> Ints:
    """Arcs to be avoided, and those that could not carry the least part."""
    avoided = np.zeros(graph.node_count, dtype=bool)
    avoided[list(request.avoid_nodes)] = True
    least_w = min(MIN_PART_W, request.power_w)
    shut = avoided[graph.tail] | avoided[graph.head]
    shut |= ~(graph.headroom_a * graph.voltage_v >= least_w)
    shut[list(request.avoid_arcs)] = True
    return np.flatnonzero(shut).astype(np.int32)


class _Sharing:
    """Shares a request's power out among paths, of which it finds more as long as they are cheaper."""

    def __init__(self, graph: PowerGraph, request: Request, margin: float) -> None:
        self._graph, self._request = graph, request
        link_a = np.full(int(graph.link.max(initial=-1)) + 1, -inf)
        np.maximum.at(link_a, graph.link, graph.headroom_a)
        keep = 1.0 - margin
        self._limits = Limits(
            link_a * keep, request.available_w * keep, request.most_injected * keep
        )
        self._rows: list[int] = []

    def with_new_paths(self, pricing: Pricing) -> tuple[Paths, _Shared]:
        graph, request = self._graph, self._request
        sources: list[int] = []
        arcs: list[Ints] = []
        known = set()
        power_w = np.zeros(0)
        last = Step(
            power_w,
            request.power_w,
            np.zeros(len(self._limits.link_a)),
            np.zeros(len(request.source_node)),
        )
        paths = paths_of((), ())
        shared = _Shared(power_w, point_at(graph, request.sink, paths, power_w), request.power_w)
        stay, settled, idle = _STAY, False, 0
        for _ in range(_MAX_ROUNDS):
            new = None
            if len(arcs) < _MAX_PATHS:
                gain, toll = self._prices(shared.point, last)
                new = pricing.cheapest(gain, toll, last.source_price)
            worth = self._worth(paths, shared.point, last)
            key = None if new is None else (new.source, *new.arcs.tolist())
            if new is not None and new.price < worth * _CHEAPER and key not in known:
                known.add(key)
                sources.append(new.source)
                arcs.append(new.arcs)
                paths = paths_of(sources, arcs)
                self._add_bottleneck(new.arcs)
                power_w = np.append(shared.power_w, 0.0)
                point = point_at(graph, request.sink, paths, power_w)
                shared = _Shared(power_w, point, shared.unserved_w)
                stay, idle = _STAY, 0
            elif settled or idle == _MAX_STEPS or not arcs:
                break
            moved = self._moved(paths, shared, stay)
            if moved is None:
                break
            shared, last, calm = moved
            settled = calm and self._fits(paths, shared)
            stay, idle = min(stay * _STAY_MORE, UNSERVED), idle + 1
        return paths, shared

    def with_few(self, paths: Paths, shared: _Shared) -> tuple[Paths, _Shared]:
        """At most 16 of the paths, each with at least 1 W, and none of which all could hardly do without."""
        least_w = min(MIN_PART_W, self._request.power_w)
        served = self._request.power_w - shared.unserved_w
        for _ in range(len(paths.source)):
            count = len(paths.source)
            # Half of those too many at a time: the others take over, and may then be the smaller ones.
            excess = max(0, count - MAX_PARTS)
            order = np.argsort(-shared.power_w, kind="stable")[: count - (excess + 1) // 2]
            kept = np.sort(order[shared.power_w[order] >= least_w]).astype(np.int32)
            if len(kept) == count:
                break
            paths, shared = self._only(paths, shared, kept)
        large = np.flatnonzero(shared.power_w >= _SLIGHT * served).astype(np.int32)
        if 0 < len(large) < len(paths.source):
            fewer = self._only(paths, shared, large)
            as_much = fewer[1].unserved_w <= shared.unserved_w + _NOTHING * served
            injected_w = fewer[1].point.injected_w.sum()
            if as_much and injected_w <= shared.point.injected_w.sum() * _HARDLY:
                return fewer
        return paths, shared

    def _only(self, paths: Paths, shared: _Shared, kept: Ints) -> tuple[Paths, _Shared]:
        """The same with these paths only."""
        fewer = picked(paths, kept)
        return fewer, self.among(fewer, shared.power_w[kept], shared.unserved_w)

    def among(self, paths: Paths, power_w: Floats, unserved_w: float) -> _Shared:
        """Share out among these paths, beginning with these powers."""
        point = point_at(self._graph, self._request.sink, paths, power_w)
        shared = _Shared(power_w, point, unserved_w)
        stay = _STAY
        for _ in range(_MAX_STEPS):
            moved = self._moved(paths, shared, stay) if len(power_w) else None
            if moved is None:
                break
            stay = min(stay * _STAY_MORE, UNSERVED)
            shared, _, calm = moved
            if calm and self._fits(paths, shared):
                break
        return shared

    def _moved(
        self, paths: Paths, shared: _Shared, stay: float
    ) -> tuple[_Shared, Step, bool] | None:
        """After one step, and whether that changed what is injected by next to nothing."""
        asked_w = self._request.power_w
        last = step(
            self._graph,
            paths,
            self._rows,
            self._limits,
            shared.point,
            shared.power_w,
            asked_w,
            stay,
        )
        if last is None:
            return None
        point = point_at(self._graph, self._request.sink, paths, last.power_w)
        after = _Shared(last.power_w, point, last.unserved_w)
        change_w = abs(float(point.injected_w.sum() - shared.point.injected_w.sum()))
        change_w += abs(after.unserved_w - shared.unserved_w)
        more_rows = self._add_exceeded(point)
        return after, last, change_w <= _SETTLED * asked_w and not more_rows

    def _fits(self, paths: Paths, shared: _Shared) -> bool:
        return _fit(self._graph, self._request, paths, shared.power_w, shared.point)

    def _prices(self, point: Point, last: Step) -> tuple[Floats, Floats]:
        """The gains and tolls at which a next watt pays its way."""
        graph = self._graph
        current_a = graph.load_a + point.own_a
        share = 2.0 * graph.resistance_ohm * current_a / graph.voltage_v
        gain = (1.0 + share) / graph.efficiency[graph.tail]
        return gain, last.link_price[graph.link] / graph.voltage_v

    def _worth(self, paths: Paths, point: Point, last: Step) -> float:
        """What the cheapest known path costs at the margin; or what it costs not to serve, where that is left."""
        count = len(paths.source)
        arc = paths.arcs
        tolls = point.rate * last.link_price[self._graph.link[arc]] / self._graph.voltage_v[arc]
        path = np.repeat(np.arange(count), np.diff(paths.start))
        price = point.slope * (1.0 + last.source_price[paths.source])
        price = price + np.bincount(path, tolls, minlength=count)
        return float(price.min(initial=UNSERVED))

    def _add_bottleneck(self, arcs: Ints) -> None:
        """Ask for the narrowest link of a new path, if it could not carry all: it will be asked for soon."""
        if len(arcs):
            most_w = self._graph.headroom_a[arcs] * self._graph.voltage_v[arcs]
            narrow = int(np.argmin(most_w))
            link = int(self._graph.link[arcs[narrow]])
            if most_w[narrow] < self._request.power_w and link not in self._rows:
                self._rows.append(link)

    def _add_exceeded(self, point: Point) -> bool:
        used_a = np.bincount(self._graph.link, point.own_a, minlength=len(self._limits.link_a))
        exceeded = used_a > np.maximum(self._limits.link_a, 0.0) * (1.0 + RELATIVE_TOLERANCE)
        over = np.setdiff1d(np.flatnonzero(exceeded), self._rows)
        self._rows.extend(over.tolist())
        return len(over) > 0


def _checked(graph: PowerGraph, request: Request, paths: Paths, shared: _Shared) -> list[Part]:
    """The parts if, admitted one after the other, each fits; none otherwise. The largest takes what rounding left."""
    count = len(paths.source)
    if count == 0:
        return []
    power_w = shared.power_w.copy()
    if shared.unserved_w <= _NOTHING * request.power_w:
        largest = int(np.argmax(power_w))
        power_w[largest] = request.power_w - fsum(np.delete(power_w, largest).tolist())
    point = point_at(graph, request.sink, paths, power_w)
    if not _fit(graph, request, paths, power_w, point):
        return []
    return [
        Part(
            int(paths.source[index]),
            tuple(paths.of(index).tolist()),
            float(power_w[index]),
            float(point.injected_w[index]),
        )
        for index in range(count)
    ]


def _fit(graph: PowerGraph, request: Request, paths: Paths, power_w: Floats, point: Point) -> bool:
    """Whether links and sources can give what parts need, and none loses too much."""
    tolerance = 1.0 + RELATIVE_TOLERANCE
    used_a = np.bincount(graph.link, point.own_a, minlength=int(graph.link.max(initial=-1)) + 1)
    used_w = np.bincount(paths.source, point.injected_w, minlength=len(request.source_node))
    used = point.own_a > 0.0
    return bool(
        np.all(used_a[graph.link[used]] <= graph.headroom_a[used] * tolerance)
        and np.all(used_w <= request.available_w * tolerance)
        and np.all(point.injected_w <= power_w * request.most_injected * tolerance)
    )
