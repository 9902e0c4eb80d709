"""The network simplex method on float arrays: block search, and trees that stay strongly feasible.

Costs may carry a rank: of two flows the one with less flow times rank is better, whatever the costs, so that
penalties need no large number which would drown small costs. After P. Kovács, "Minimum-cost flow algorithms: an
experimental evaluation" (2015), and W. Cunningham, "A network simplex method" (1976), whose rule for the arc that
leaves keeps out cycling: here every node can be sent something more from the root along the tree.
"""

from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled, compiled_in_place
from controller.routing.flows.spanning_tree import Indices, Tree, hang
from controller.routing.graph import Floats

States = npt.NDArray[np.int8]

# Where an arc's flow is: an arc in between is in the tree, or waits to be brought to one of the others.
AT_ZERO, IN_TREE, FULL, BETWEEN = 1, 0, -1, 2
# How a run ended.
OPTIMAL, UNBOUNDED, STALLED = 0, 1, 2

# Beyond every cost, and finite so that no difference is undefined: only which arc enters first depends on it.
_ONE_RANK = 1e100
# A reduced cost that is so small beside what it was computed from is rounding.
_ROUNDING = 2e-14
# Arcs among which one enters: as many as the root of all, and no fewer than these.
_FEWEST_A_BLOCK = 16
# Pivots after which the size of a block is judged anew.
_PIVOTS_A_BLOCK_SIZE = 64
# Prices computed anew from the tree may show more to improve, where costs are not whole numbers.
_MAX_REPRICINGS = 20


class Network(NamedTuple):
    """Arcs: those asked about, then slack of supply and demand from and to the root, then from the root to each node.

    The last are there to hold the tree together, and do not come back once they have left it.
    ``node_count`` does not count the root, which is the last node; ``priced`` is the number of arcs that may enter.
    """

    node_count: int
    arc_count: int
    priced: int
    tail: Indices
    head: Indices
    capacity: Floats
    cost: Floats
    rank: Floats


class Basis(NamedTuple):
    """``flow`` and ``state`` by arc, ``price`` and ``rank`` by node: what one more unit of flow costs there."""

    flow: Floats
    state: States
    tree: Tree
    price: Floats
    rank: Floats


@compiled
def set_prices(network: Network, basis: Basis) -> None:
    """Prices at which every arc of the tree has reduced cost zero, and the root's is zero."""
    tree, root = basis.tree, network.node_count
    basis.price[root] = 0.0
    basis.rank[root] = 0.0
    node = tree.thread[root]
    while node != root:
        arc, parent = tree.via[node], tree.parent[node]
        sign = -1.0 if tree.upward[node] else 1.0
        basis.price[node] = basis.price[parent] + sign * network.cost[arc]
        basis.rank[node] = basis.rank[parent] + sign * network.rank[arc]
        node = tree.thread[node]


@compiled
def set_tree_flows(network: Network, basis: Basis, supply: Floats) -> None:
    """Flows of the tree's arcs from supplies and all other flows, free of what pivots rounded."""
    tree, flow, root = basis.tree, basis.flow, network.node_count
    surplus = np.zeros(root + 1)
    surplus[:root] = supply
    for arc in range(network.priced):
        if basis.state[arc] != IN_TREE and flow[arc] != 0.0:
            surplus[network.tail[arc]] -= flow[arc]
            surplus[network.head[arc]] += flow[arc]
    node = tree.back[root]
    while node != root:
        arc = tree.via[node]
        sent = surplus[node] if tree.upward[node] else -surplus[node]
        flow[arc] = min(max(sent, 0.0), network.capacity[arc])
        surplus[tree.parent[node]] += surplus[node]
        node = tree.back[node]


@compiled
def improve(network: Network, basis: Basis, most_pivots: int, ranked: bool) -> int:
    """Pivot until no arc improves the flow. ``ranked`` is False where no arc but the last ones has a rank."""
    room = np.empty(network.node_count + 2, dtype=np.uint32)
    for arc in range(network.priced):
        if basis.state[arc] == BETWEEN and _pivot(network, basis, arc, -1, room) < 0:
            return UNBOUNDED
    least_block = max(_FEWEST_A_BLOCK, int(np.sqrt(network.priced)))
    block, moved = least_block, 0
    begin, repriced, fresh = 0, 0, False
    for pivot in range(most_pivots):
        if ranked:
            entering, begin = _entering_by_rank(network, basis, begin, block)
        else:
            entering, begin = _entering(network, basis, begin, block)
        if entering < 0:
            set_prices(network, basis)
            if fresh or repriced == _MAX_REPRICINGS:
                return OPTIMAL
            repriced, fresh = repriced + 1, True
            continue
        fresh = False
        shifted = _pivot(network, basis, entering, basis.state[entering], room)
        if shifted < 0:
            return UNBOUNDED
        moved += shifted
        if pivot % _PIVOTS_A_BLOCK_SIZE == 0:
            # Where pivots move much of the tree, it pays to choose them among more arcs, so that there are fewer.
            if moved > block * _PIVOTS_A_BLOCK_SIZE:
                block = min(block + block // 2, network.priced)
            else:
                block = max(block - block // 3, least_block)
            moved = 0
    return STALLED


@compiled_in_place
def _entering(network: Network, basis: Basis, begin: int, block: int) -> tuple[int, int]:
    """The arc of the next block with the least reduced cost, -1 if none is below zero; and where to go on."""
    tail, head, cost = network.tail, network.head, network.cost
    state, price = basis.state, basis.price
    seen = 0
    while seen < network.priced:
        end = min(begin + block, network.priced)
        least, best = 0.0, -1
        for arc in range(begin, end):
            reduced = state[arc] * (cost[arc] + price[tail[arc]] - price[head[arc]])
            if reduced < least:
                terms = abs(cost[arc]) + abs(price[tail[arc]]) + abs(price[head[arc]])
                if reduced < -_ROUNDING * terms:
                    least, best = reduced, arc
        seen += end - begin
        begin = 0 if end == network.priced else end
        if best >= 0:
            return best, begin
    return -1, begin


@compiled_in_place
def _entering_by_rank(network: Network, basis: Basis, begin: int, block: int) -> tuple[int, int]:
    tail, head, cost = network.tail, network.head, network.cost
    state, price, rank = basis.state, basis.price, basis.rank
    seen = 0
    while seen < network.priced:
        end = min(begin + block, network.priced)
        least, best = 0.0, -1
        for arc in range(begin, end):
            reduced = cost[arc] + price[tail[arc]] - price[head[arc]]
            ranks = network.rank[arc] + rank[tail[arc]] - rank[head[arc]]
            reduced = state[arc] * (reduced + ranks * _ONE_RANK)
            if reduced < least:
                terms = abs(cost[arc]) + abs(price[tail[arc]]) + abs(price[head[arc]])
                if reduced < -_ROUNDING * terms:
                    least, best = reduced, arc
        seen += end - begin
        begin = 0 if end == network.priced else end
        if best >= 0:
            return best, begin
    return -1, begin


@compiled_in_place
def _pivot(network: Network, basis: Basis, entering: int, direction: int, room: Indices) -> int:
    """Send what fits around the cycle of an arc and the tree. Returns how many prices changed, -1 if nothing binds.

    ``direction``: 1 to send more along the arc, -1 to send less.
    """
    tree, flow, capacity = basis.tree, basis.flow, network.capacity
    # The way leads from the root by `first`, the arc and `second` to the root.
    if direction > 0:
        first, second = network.tail[entering], network.head[entering]
        most = capacity[entering] - flow[entering]
    else:
        first, second = network.head[entering], network.tail[entering]
        most = flow[entering]
    # Of the arcs that bind, the one nearest to the join on the first side leaves, else the farthest on the second.
    top = top_on_second = np.uint32(network.node_count)
    most_on_second = inf
    down, up = first, second
    down_size, up_size = tree.size[down], tree.size[up]
    while down != up:
        if down_size < up_size:
            arc, upward = tree.via[down], tree.upward[down]
            carried, room_left = flow[arc], capacity[arc] - flow[arc]
            left = carried if upward else room_left
            if left <= most:
                most, top = left, down
            down = tree.parent[down]
            down_size = tree.size[down]
        else:
            arc, upward = tree.via[up], tree.upward[up]
            carried, room_left = flow[arc], capacity[arc] - flow[arc]
            left = room_left if upward else carried
            if left < most_on_second:
                most_on_second, top_on_second = left, up
            up = tree.parent[up]
            up_size = tree.size[up]
    join, on_first = down, True
    if most_on_second < most:
        most, top, on_first = most_on_second, top_on_second, False
    if most == inf:
        return -1
    if most > 0.0:
        flow[entering] += direction * most
        _send(tree, flow, first, join, -most)
        _send(tree, flow, second, join, most)
    if top == network.node_count:
        basis.state[entering] = -direction
        flow[entering] = capacity[entering] if direction > 0 else 0.0
        return 0
    leaving = tree.via[top]
    if on_first == tree.upward[top]:
        flow[leaving] = 0.0
        basis.state[leaving] = AT_ZERO
    else:
        flow[leaving] = capacity[leaving]
        basis.state[leaving] = FULL
    basis.state[entering] = IN_TREE
    node, below = (first, second) if on_first else (second, first)
    hang(tree, entering, network.tail[entering] == node, node, below, int(top), join, room)
    return _shift_prices(network, basis, entering, node, below)


@compiled_in_place
def _send(tree: Tree, flow: Floats, node: int, join: int, more: float) -> None:
    """Send more from a node upward to ``join``."""
    at = np.uint32(node)
    while at != join:
        flow[tree.via[at]] += more if tree.upward[at] else -more
        at = tree.parent[at]


@compiled_in_place
def _shift_prices(network: Network, basis: Basis, arc: int, node: int, below: int) -> int:
    """Make the reduced cost zero of an arc that a subtree hangs by now. Returns how many prices changed."""
    tree = basis.tree
    sign = 1.0 if tree.upward[node] else -1.0
    price = basis.price[below] - basis.price[node] - sign * network.cost[arc]
    rank = basis.rank[below] - basis.rank[node] - sign * network.rank[arc]
    begin, end = np.uint32(node), tree.thread[tree.last[node]]
    count = int(tree.size[node])
    if 2 * count > network.node_count:
        # Only differences matter, so the smaller part moves.
        begin, end, price, rank = end, begin, -price, -rank
        count = network.node_count + 1 - count
    at = begin
    while at != end:
        basis.price[at] += price
        at = tree.thread[at]
    if rank != 0.0:
        while begin != end:
            basis.rank[begin] += rank
            begin = tree.thread[begin]
    return count
