"""A request in parts, the largest that fits first: what is done where the best parts cannot be found."""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np

from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.paths.cspf import Path, PathSearch
from controller.routing.paths.path_power import RELATIVE_TOLERANCE

# Circuits that one request may become; each is programmed and kept by itself.
MAX_PARTS = 16
# No circuit is made for less, in watts: what programming it takes is worth more.
MIN_PART_W = 1.0
# Each halves what is not known of the largest part.
_HALVINGS = 14


@dataclass(frozen=True, slots=True)
class Part:
    """A circuit of its own: from a source, by its index among those given, along arcs, source first."""

    source: int
    arcs: tuple[int, ...]
    power_w: float
    injected_w: float


class Request(NamedTuple):
    """What is asked for; ``most_injected`` is what a part may inject for each watt that it delivers."""

    sink: int
    power_w: float
    source_node: Ints
    available_w: Floats
    most_injected: float
    max_hops: int | None
    avoid_nodes: frozenset[int]
    avoid_arcs: frozenset[int]


def parts_greedily(graph: PowerGraph, request: Request) -> list[Part]:
    """Parts for as much as fits, in the order in which they must be admitted; the graph stays as it is."""
    beside = graph.snapshot()
    search = PathSearch(beside)
    free_w = request.available_w.copy()
    missing_w, parts = request.power_w, list[Part]()
    while missing_w > 0.0 and len(parts) < MAX_PARTS:
        power_w = missing_w
        path = _path(search, request, free_w, power_w)
        if path is None:
            power_w, path = _largest(search, request, free_w, missing_w - MIN_PART_W)
        if path is None:
            break
        enough = request.source_node == path.nodes[0]
        enough &= free_w * (1.0 + RELATIVE_TOLERANCE) >= path.injected_w
        source = int(np.argmin(np.where(enough, free_w, inf)))
        parts.append(Part(source, path.arcs, power_w, path.injected_w))
        free_w[source] -= path.injected_w
        missing_w = 0.0 if power_w == missing_w else missing_w - power_w
        for arc, entering_w in zip(path.arcs, path.entering_w[1:], strict=True):
            beside.set_load(arc, float(beside.load_a[arc] + entering_w / beside.voltage_v[arc]))
    return parts


def _path(search: PathSearch, request: Request, free_w: Floats, power_w: float) -> Path | None:
    available_w: dict[int, float] = {}
    for node, each_w in zip(request.source_node.tolist(), free_w.tolist(), strict=True):
        available_w[node] = max(available_w.get(node, -inf), each_w)
    return search.best(
        request.sink,
        power_w,
        available_w,
        max_injected_w=power_w * request.most_injected,
        max_hops=request.max_hops,
        avoid_nodes=request.avoid_nodes,
        avoid_arcs=request.avoid_arcs,
    )


def _largest(
    search: PathSearch, request: Request, free_w: Floats, most_w: float
) -> tuple[float, Path | None]:
    """The largest single part, nearly, by bisection: what fits at one power fits at every lower one."""
    low_w, high_w, found = 0.0, most_w, None
    candidate_w = most_w
    for _ in range(_HALVINGS):
        if candidate_w < MIN_PART_W:
            break
        path = _path(search, request, free_w, candidate_w)
        if path is None:
            high_w = candidate_w
        else:
            found, low_w = path, candidate_w
        if low_w == most_w:
            break
        candidate_w = (low_w + high_w) / 2.0
    return low_w, found
