"""Many requests admitted one after another inside one compiled call, and given back.

Each is answered as :class:`~controller.routing.paths.cspf.PathSearch` would answer it after those before it: loads,
headroom, sources and loads are updated in place between them, and no array is built for a request.
"""

from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled, compiled_in_place
from controller.routing.graph import OUT_OF_SERVICE_A, Floats, Ints, PowerGraph
from controller.routing.paths.bounds import Bounds, worth_leading
from controller.routing.paths.cspf import RELATIVE_TOLERANCE, PathSearch, best_path
from controller.routing.paths.search_arrays import NOTHING_AVAILABLE_W, Arcs, Ask, Room

# What became of a request.
ADMITTED, NO_ROUTE, OVER_LOAD_LIMIT = 0, 1, 2
# Hops of all routes that there is room for at first; it grows.
_FIRST_HOPS = 1024


class Ends(NamedTuple):
    """Where power comes from and goes to. ``source_free_w`` and ``load_free_w`` fall with admissions, in place.

    The sources at router v are ``sources_at[sources_start[v]:sources_start[v + 1]]``.
    """

    source_node: Ints
    source_free_w: Floats
    load_node: Ints
    load_free_w: Floats
    sources_start: Ints
    sources_at: Ints


class Requests(NamedTuple):
    """``load[i]`` gets ``power_w[i]`` over at most ``most_hops[i]`` lines, -1 for any number.

    Candidates are ``candidates[candidates_start[i]:candidates_start[i + 1]]``, the preferred of one router first;
    where there are none, every source is one.
    """

    load: Ints
    power_w: Floats
    max_injected_w: Floats
    most_hops: Ints
    candidates_start: Ints
    candidates: Ints


class Admissions(NamedTuple):
    """What became of each request: ``status``, ``source`` (-1) and ``injected_w`` (0 where nothing was admitted).

    Its arcs, from source to sink, are ``arcs[start[i]:start[i + 1]]``, and ``received_w`` what comes out of each.
    ``settled`` counts the routers that the searches expanded.
    """

    status: Ints
    source: Ints
    injected_w: Floats
    start: Ints
    arcs: Ints
    received_w: Floats
    settled: int


def ends(
    node_count: int,
    source_node: npt.ArrayLike,
    source_free_w: npt.ArrayLike,
    load_node: npt.ArrayLike,
    load_free_w: npt.ArrayLike,
) -> Ends:
    """Sources and loads at the routers of a graph. The arrays are copied. Raises ValueError where they do not fit."""
    sources, loads = np.array(source_node, dtype=np.int32), np.array(load_node, dtype=np.int32)
    free_w = [np.array(each, dtype=np.float64) for each in (source_free_w, load_free_w)]
    for nodes, each_w in zip((sources, loads), free_w, strict=True):
        if (
            nodes.shape != each_w.shape
            or not _within(nodes, node_count)
            or np.any(np.isnan(each_w))
        ):
            raise ValueError("each source and load needs a router of the graph and a power in W")
    starts = np.zeros(node_count + 1, dtype=np.int32)
    np.cumsum(np.bincount(sources, minlength=node_count), out=starts[1:])
    sources_at = np.argsort(sources, kind="stable").astype(np.int32)
    return Ends(sources, free_w[0], loads, free_w[1], starts, sources_at)


def requests(
    load: npt.ArrayLike,
    power_w: npt.ArrayLike,
    *,
    max_injected_w: npt.ArrayLike = inf,
    most_hops: npt.ArrayLike = -1,
    candidates: list[list[int]] | None = None,
) -> Requests:
    """Requests of one power, loss limit and hop limit each, or of all the same. Any source may serve, if not said.

    Raises ValueError where a power is not above 0 and finite, or a request names no candidate.
    """
    loads = np.array(load, dtype=np.int32)
    count = len(loads)
    powers_w = np.array(np.broadcast_to(power_w, count), dtype=np.float64)
    if not np.all((powers_w > 0.0) & (powers_w < inf)):
        raise ValueError("a request must be for a finite power above 0 W")
    if candidates is not None and (len(candidates) != count or not all(candidates)):
        raise ValueError("each request must name at least one candidate source")
    starts = np.zeros(count + 1, dtype=np.int32)
    if candidates is not None:
        np.cumsum([len(each) for each in candidates], out=starts[1:])
    return Requests(
        loads,
        powers_w,
        np.array(np.broadcast_to(max_injected_w, count), dtype=np.float64),
        np.array(np.broadcast_to(most_hops, count), dtype=np.int32),
        starts,
        np.array([each for some in candidates or () for each in some], dtype=np.int32),
    )


def admit_batch(search: PathSearch, where: Ends, asked: Requests) -> Admissions:
    """Admit in the order of the requests; whoever finds no route leaves everything as it was.

    Raises ValueError where a request names a load or a source that there is not.
    """
    graph = search.graph
    reserves = Reserves(graph.load_a, graph.headroom_a, graph.ampacity_a, graph.twin)
    done = Admissions(*_admit(search.arcs, search.room, search.bounds, reserves, where, asked))
    if done.settled < 0:
        raise ValueError(
            f"a request names a load beyond the {len(where.load_node)} that there are, or a source"
            f" beyond the {len(where.source_node)}"
        )
    return done


def release(graph: PowerGraph, where: Ends, asked: Requests, done: Admissions, index: int) -> None:
    """Give back what one request got, once."""
    if done.status[index] != ADMITTED:
        raise ValueError(f"request {index} was not admitted, so it holds nothing")
    hops = slice(int(done.start[index]), int(done.start[index + 1]))
    reserves = Reserves(graph.load_a, graph.headroom_a, graph.ampacity_a, graph.twin)
    for arc, received_w in zip(done.arcs[hops], done.received_w[hops], strict=True):
        _reserve(reserves, int(arc), -received_w / graph.voltage_v[arc])
    where.source_free_w[done.source[index]] += done.injected_w[index]
    where.load_free_w[asked.load[index]] += asked.power_w[index]


class Reserves(NamedTuple):
    """What a graph says of its arcs' reservations; arrays of arcs."""

    load_a: Floats
    headroom_a: Floats
    ampacity_a: Floats
    twin: Ints


@compiled
def _reserve(reserves: Reserves, arc: int, added_a: float) -> None:
    """As :meth:`PowerGraph.set_load`, but what is out of service stays so. Rounding leaves no load below nothing."""
    load_a = max(reserves.load_a[arc] + added_a, 0.0)
    reserves.load_a[arc] = load_a
    twin = reserves.twin[arc]
    both_a = load_a if twin < 0 else load_a + reserves.load_a[twin]
    headroom_a = reserves.ampacity_a[arc] - both_a
    if reserves.headroom_a[arc] != OUT_OF_SERVICE_A:
        reserves.headroom_a[arc] = headroom_a
    if twin >= 0 and reserves.headroom_a[twin] != OUT_OF_SERVICE_A:
        reserves.headroom_a[twin] = headroom_a


@compiled
def _offer(room: Room, where: Ends, candidates: Ints) -> None:
    """Of several candidates at a router the one with most counts."""
    for source in candidates:
        record = room.nodes[where.source_node[source]]
        record["available_w"] = max(record["available_w"], where.source_free_w[source])


@compiled
def _withdraw(room: Room, where: Ends, candidates: Ints) -> None:
    for source in candidates:
        room.nodes[where.source_node[source]]["available_w"] = NOTHING_AVAILABLE_W


@compiled
def _offer_again(room: Room, where: Ends, router: int) -> None:
    """A source at the router has less than it had."""
    here = where.sources_at[where.sources_start[router] : where.sources_start[router + 1]]
    _withdraw(room, where, here)
    _offer(room, where, here)


@compiled
def _search(
    arcs: Arcs, room: Room, bounds: Bounds, where: Ends, asked: Requests, i: int, candidates: Ints
) -> tuple[int, int]:
    bounded = worth_leading(len(candidates), len(arcs.efficiency))
    nodes = where.source_node[candidates] if bounded else where.source_node[:0]
    limit_w = asked.max_injected_w[i]
    if bounded:
        most_w = NOTHING_AVAILABLE_W
        for source in candidates:
            most_w = max(most_w, where.source_free_w[source])
        limit_w = min(limit_w, most_w)
    limit_w *= 1.0 + RELATIVE_TOLERANCE
    ask = _ask(where.load_node[asked.load[i]], asked.power_w[i], limit_w, asked.most_hops[i])
    return best_path(arcs, room, bounds, ask, nodes)


@compiled
def _source_at(where: Ends, candidates: Ints, router: int, injected_w: float, to_all: bool) -> int:
    """The first candidate at the router that can inject this much."""
    if to_all:
        candidates = where.sources_at[where.sources_start[router] : where.sources_start[router + 1]]
    most = -1
    for source in candidates:
        if where.source_node[source] != router:
            continue
        if where.source_free_w[source] * (1.0 + RELATIVE_TOLERANCE) >= injected_w:
            return int(source)
        if most < 0 or where.source_free_w[source] > where.source_free_w[most]:
            most = int(source)
    # The search has found that one can, and rounds otherwise in the last digit.
    return most


@compiled
def _room_for_hops(all_arcs: Ints, received_w: Floats, used: int, more: int) -> tuple[Ints, Floats]:
    if used + more <= len(all_arcs):
        return all_arcs, received_w
    longer_arcs = np.empty(2 * (used + more), dtype=np.int32)
    longer_w = np.empty(2 * (used + more))
    longer_arcs[:used] = all_arcs[:used]
    longer_w[:used] = received_w[:used]
    return longer_arcs, longer_w


@compiled
def _admit(
    arcs: Arcs, room: Room, bounds: Bounds, reserves: Reserves, where: Ends, asked: Requests
) -> tuple[Ints, Ints, Floats, Ints, Ints, Floats, int]:
    count = len(asked.load)
    status = np.zeros(count, dtype=np.int32)
    source = np.full(count, -1, dtype=np.int32)
    injected_w = np.zeros(count)
    start = np.zeros(count + 1, dtype=np.int32)
    all_arcs = np.empty(_FIRST_HOPS, dtype=np.int32)
    received_w = np.empty(_FIRST_HOPS)
    if not _are_there(asked, where):
        return status, source, injected_w, start, all_arcs[:0], received_w[:0], -1
    everyone = where.sources_at
    # What all sources offer stays in the room until a request names its own, or all are answered.
    all_offered = False
    settled = 0
    for i in range(count):
        start[i + 1] = start[i]
        if asked.power_w[i] > where.load_free_w[asked.load[i]] * (1.0 + RELATIVE_TOLERANCE):
            status[i] = OVER_LOAD_LIMIT
            continue
        named = asked.candidates[asked.candidates_start[i] : asked.candidates_start[i + 1]]
        to_all = len(named) == 0
        candidates = everyone if to_all else named
        if all_offered and not to_all:
            _withdraw(room, where, everyone)
            all_offered = False
        if not (to_all and all_offered):
            _offer(room, where, candidates)
            all_offered = to_all
        length, visited = _search(arcs, room, bounds, where, asked, i, candidates)
        settled += visited
        if length < 0:
            status[i] = NO_ROUTE
        else:
            all_arcs, received_w = _room_for_hops(all_arcs, received_w, start[i], length)
            at = start[i]
            start[i + 1] = at + length
            all_arcs[at : at + length] = room.path_arcs[:length]
            received_w[at : at + length] = room.path_w[1 : length + 1]
            for k in range(length):
                arc = room.path_arcs[k]
                _reserve(reserves, arc, room.path_w[k + 1] / arcs.voltage_v[arc])
            router = arcs.tail[room.path_arcs[0]] if length else where.load_node[asked.load[i]]
            injected_w[i] = room.path_w[0]
            source[i] = _source_at(where, candidates, router, injected_w[i], to_all)
            where.source_free_w[source[i]] -= injected_w[i]
            where.load_free_w[asked.load[i]] -= asked.power_w[i]
            if to_all:
                _offer_again(room, where, router)
        if not to_all:
            _withdraw(room, where, candidates)
    if all_offered:
        _withdraw(room, where, everyone)
    used = start[count]
    return status, source, injected_w, start, all_arcs[:used], received_w[:used], settled


@compiled_in_place
def _ask(sink: int, power_w: float, limit_w: float, most_hops: int) -> Ask:
    """A question as wide as those that Python asks: what a kernel is given is widened."""
    return Ask(sink, power_w, limit_w, most_hops, False)


@compiled
def _are_there(asked: Requests, where: Ends) -> bool:
    """Whether all loads and sources that requests name exist."""
    for load in asked.load:
        if not 0 <= load < len(where.load_node):
            return False
    for i in range(
        asked.candidates_start[0], asked.candidates_start[len(asked.candidates_start) - 1]
    ):
        if not 0 <= asked.candidates[i] < len(where.source_node):
            return False
    return True


def _within(indices: Ints, count: int) -> bool:
    return not len(indices) or (int(indices.min()) >= 0 and int(indices.max()) < count)
