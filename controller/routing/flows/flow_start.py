"""Starting basis of the network simplex: flow along shortest paths while that is cheap, and the tree that it makes.

The phases are those of the primal-dual method (L. Ford and D. Fulkerson, 1957): distances at reduced costs from all
supply that is left, then as much as fits down the tree of shortest paths. All arcs that flow was put on have reduced
cost zero, so what is sent is sent at least cost, and only what is left has to be found a way for by pivots.
"""

from math import inf
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled, compiled_in_place
from controller.routing.flows.network_simplex import (
    AT_ZERO,
    BETWEEN,
    FULL,
    IN_TREE,
    Basis,
    Network,
    set_prices,
)
from controller.routing.flows.spanning_tree import Bools, Indices, thread_tree
from controller.routing.graph import Floats, Ints
from controller.routing.paths.heap import heap_push, heap_remove_first

# Of shortest paths, at most; pivots do the rest.
_MAX_PHASES = 8
# A phase that serves a smaller share of the nodes costs more than the pivots that it saves.
_WORTHWHILE = 1 / 16
# No arc leads to a node in the tree of shortest paths; ~k stands for arc k against its direction.
_NO_ARC = np.iinfo(np.int32).min


class Adjacency(NamedTuple):
    """Arcs out of node v: ``leaving[v]`` up to ``leaving[v + 1]``; into it: those in ``into``, by ``into_start``."""

    leaving: Indices
    into_start: Indices
    into: Indices


class ShortestPaths(NamedTuple):
    """``order``: nodes as they were settled; ``arc``: the last arc of the path to each node."""

    distance: Floats
    arc: Ints
    order: Indices


@compiled
def adjacency(network: Network) -> Adjacency:
    """``network``'s arcs stand in the order of their tails."""
    n, m = network.node_count, network.arc_count
    leaving = np.zeros(n + 1, dtype=np.uint32)
    into_start = np.zeros(n + 1, dtype=np.uint32)
    for arc in range(m):
        leaving[network.tail[arc] + 1] += 1
        into_start[network.head[arc] + 1] += 1
    for node in range(n):
        leaving[node + 1] += leaving[node]
        into_start[node + 1] += into_start[node]
    into = np.empty(m, dtype=np.uint32)
    free = into_start[:-1].copy()
    for arc in range(m):
        head = network.head[arc]
        into[free[head]] = arc
        free[head] += 1
    return Adjacency(leaving, into_start, into)


@compiled
def start(network: Network, basis: Basis, near: Adjacency, supply: Floats, by_paths: bool) -> None:
    """Set flow, states, tree and prices. ``by_paths`` is for costs that are nowhere negative."""
    n = network.node_count
    left = supply.copy()
    paths = ShortestPaths(
        np.empty(n), np.full(n, _NO_ARC, dtype=np.int32), np.empty(n, dtype=np.uint32)
    )
    settled = 0
    if by_paths:
        settled = _send_by_paths(network, basis, near, left, paths)
    for arc in range(network.arc_count, network.priced):
        # Slack leads from a supply to the root, or from the root to a demand.
        node = network.tail[arc]
        basis.flow[arc] = abs(left[node] if node < n else left[network.head[arc]])
    _make_tree(network, basis, near, paths.arc, paths.order[:settled])
    set_prices(network, basis)


@compiled
def _send_by_paths(
    network: Network, basis: Basis, near: Adjacency, left: Floats, paths: ShortestPaths
) -> int:
    """Phases until too little comes of them. Returns how many nodes the last one settled."""
    n = network.node_count
    price, wanted = np.zeros(n), np.empty(n)
    keys = np.empty(2 * network.arc_count + n + 1)
    items = np.empty(2 * network.arc_count + n + 1, dtype=np.int32)
    settled, lacking = 0, int(np.sum(left < 0.0))
    for _ in range(_MAX_PHASES):
        if lacking == 0:
            break
        settled = _settle(network, basis.flow, near, left, price, paths, keys, items, lacking)
        _send_down(network, basis.flow, left, paths, settled, wanted)
        served = lacking - int(np.sum(left < 0.0))
        lacking -= served
        if served <= _WORTHWHILE * n:
            break
    return settled


@compiled_in_place
def _settle(
    network: Network,
    flow: Floats,
    near: Adjacency,
    left: Floats,
    price: Floats,
    paths: ShortestPaths,
    keys: Floats,
    items: Ints,
    lacking: int,
) -> int:
    """Dijkstra's algorithm from all nodes with supply left, until no demand is open; add distances to prices."""
    distance, by, order = paths
    tail, head, cost, capacity = network.tail, network.head, network.cost, network.capacity
    distance[:] = inf
    by[:] = _NO_ARC
    size = settled = 0
    for source in range(len(left)):
        if left[source] > 0.0:
            distance[source] = 0.0
            heap_push(keys, items, size, 0.0, source)
            size += 1
    farthest = 0.0
    while size > 0:
        key, node = keys[0], np.uint32(items[0])
        heap_remove_first(keys, items, size)
        size -= 1
        if key > distance[node]:
            continue
        farthest = key
        order[settled] = node
        settled += 1
        if left[node] < 0.0:
            lacking -= 1
            if lacking == 0:
                break
        here = key + price[node]
        for arc in range(near.leaving[node], near.leaving[node + 1]):
            other = head[arc]
            # A distance cannot be below the one before; rounding could make it so.
            reached = max(here + cost[arc] - price[other], key)
            if reached < distance[other] and flow[arc] < capacity[arc]:
                distance[other] = reached
                by[other] = arc
                heap_push(keys, items, size, reached, other)
                size += 1
        for at in range(near.into_start[node], near.into_start[node + 1]):
            arc = near.into[at]
            if flow[arc] > 0.0:
                other = tail[arc]
                reached = max(here - cost[arc] - price[other], key)
                if reached < distance[other]:
                    distance[other] = reached
                    by[other] = ~np.int64(arc)
                    heap_push(keys, items, size, reached, other)
                    size += 1
    for any_node in range(len(left)):
        price[any_node] += min(distance[any_node], farthest)
    return settled


@compiled_in_place
def _send_down(
    network: Network, flow: Floats, left: Floats, paths: ShortestPaths, settled: int, wanted: Floats
) -> None:
    """The most that fits down the tree of shortest paths: gather what is wanted upward, then hand out what there is."""
    by, order = paths.arc, paths.order
    wanted[:] = 0.0
    for at in range(settled - 1, -1, -1):
        node, arc = order[at], by[order[at]]
        if arc == _NO_ARC:
            wanted[node] = min(wanted[node], left[node])
            continue
        wanted[node] += max(-left[node], 0.0)
        if wanted[node] > 0.0:
            free = network.capacity[arc] - flow[arc] if arc >= 0 else flow[~arc]
            wanted[node] = min(wanted[node], free)
            wanted[network.tail[arc] if arc >= 0 else network.head[~arc]] += wanted[node]
    # From here on `wanted` of a node that was passed is what it has not handed on yet.
    for at in range(settled):
        node, arc = order[at], by[order[at]]
        if wanted[node] <= 0.0:
            continue
        if arc == _NO_ARC:
            left[node] -= wanted[node]
            continue
        above = network.tail[arc] if arc >= 0 else network.head[~arc]
        given = min(wanted[node], wanted[above])
        wanted[above] -= given
        if arc < 0:
            flow[~arc] -= given
        elif given == network.capacity[arc] - flow[arc]:
            flow[arc] = network.capacity[arc]
        else:
            flow[arc] += given
        if left[node] < 0.0:
            kept = min(given, -left[node])
            left[node] += kept
            given -= kept
        wanted[node] = given


@compiled
def _make_tree(network: Network, basis: Basis, near: Adjacency, by: Ints, settled: Indices) -> None:
    """A strongly feasible tree of arcs between their bounds, then of the last phase's paths, then of last resorts."""
    flow, state, capacity = basis.flow, basis.state, network.capacity
    root = network.node_count
    for arc in range(network.priced):
        if flow[arc] == 0.0:
            state[arc] = AT_ZERO
        else:
            state[arc] = FULL if flow[arc] == capacity[arc] else BETWEEN
    seen = np.zeros(root + 1, dtype=np.bool_)
    seen[root] = True
    order = np.empty(root, dtype=np.uint32)
    count = 0
    for arc in range(network.arc_count, network.priced):
        # Something more can come by it from the root: supply that is not used, or a demand that is served in part.
        supplied = network.head[arc] == root
        node = network.tail[arc] if supplied else network.head[arc]
        if not seen[node] and (state[arc] == BETWEEN or (supplied and state[arc] == FULL)):
            count = _grow(network, basis, near, seen, order, count, node, root, arc)
    for node in settled:
        if seen[node]:
            continue
        arc, above = network.priced + node, root
        if by[node] >= 0:
            if flow[by[node]] < capacity[by[node]]:
                arc, above = by[node], network.tail[by[node]]
        elif by[node] != _NO_ARC and flow[~by[node]] > 0.0:
            arc, above = ~by[node], network.head[~by[node]]
        count = _grow(network, basis, near, seen, order, count, node, above, arc)
    for node in range(root):
        if not seen[node]:
            arc = network.priced + node
            count = _grow(network, basis, near, seen, order, count, node, root, arc)
    thread_tree(basis.tree, order)


@compiled_in_place
def _grow(
    network: Network,
    basis: Basis,
    near: Adjacency,
    seen: Bools,
    order: Indices,
    count: int,
    node: int,
    above: int,
    arc: int,
) -> int:
    """Hang a node by an arc, and all that arcs between their bounds join to it. Returns the nodes' new number."""
    state = basis.state
    at = count
    count = _add(network, basis, seen, order, count, node, above, arc)
    while at < count:
        node = order[at]
        at += 1
        for arc in range(near.leaving[node], near.leaving[node + 1]):
            if state[arc] == BETWEEN and not seen[network.head[arc]]:
                count = _add(network, basis, seen, order, count, network.head[arc], node, arc)
        for into in range(near.into_start[node], near.into_start[node + 1]):
            arc = near.into[into]
            if state[arc] == BETWEEN and not seen[network.tail[arc]]:
                count = _add(network, basis, seen, order, count, network.tail[arc], node, arc)
    return count


@compiled_in_place
def _add(
    network: Network,
    basis: Basis,
    seen: Bools,
    order: Indices,
    count: int,
    node: int,
    above: int,
    arc: int,
) -> int:
    seen[node] = True
    order[count] = node
    basis.tree.parent[node] = above
    basis.tree.via[node] = arc
    basis.tree.upward[node] = network.tail[arc] == node
    basis.state[arc] = IN_TREE
    return count + 1
