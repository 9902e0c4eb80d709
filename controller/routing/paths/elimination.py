"""Elimination order: routers are taken out of a graph one by one, each joined to few; and the rows that this leaves.

Minimum degree (Tinney and Walker 1967): a router goes when it has the fewest neighbours, and these are joined to each
other. Power networks, being nearly planar, stay sparse under it; where a graph does not, that is noticed early.
"""

from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled
from controller.routing.graph import Ints, PowerGraph
from controller.routing.paths.heap import heap_push, heap_remove_first, with_room


class Rows(NamedTuple):
    """Routers by rank. ``to[start[r]:start[r + 1]]`` are the ranks that r was joined to when it went, rising.

    ``parent[r]`` is the least of these, -1 where there is none: the elimination tree.
    """

    rank: Ints
    start: Ints
    to: Ints
    parent: Ints


def eliminate(graph: PowerGraph, most_pairs: int) -> Rows | None:
    """Rows of a graph, or None where they would have more than ``most_pairs`` pairs of entries a router on average."""
    most = float(most_pairs) * graph.node_count
    rank, start, to = _eliminate(graph.node_count, graph.tail, graph.head, most)
    if len(rank) < graph.node_count:
        return None
    return Rows(*_in_postorder(rank, start, to))


@compiled
def _eliminate(
    node_count: int, tail: Ints, head: Ints, most_pairs: float
) -> tuple[Ints, Ints, Ints]:
    row_start, row_size, pool = _neighbours(node_count, tail, head)
    used = len(pool)
    rank = np.full(node_count, -1, dtype=np.int32)
    order = np.empty(node_count, dtype=np.int32)
    keys, items = np.empty(node_count + 1), np.empty(node_count + 1, dtype=np.int32)
    size, entries, pairs = 0, 0, 0.0
    for node in range(node_count):
        heap_push(keys, items, size, float(row_size[node]), node)
        size += 1
    gone = 0
    merged = np.empty(node_count, dtype=np.int32)
    while size > 0:
        degree, node = keys[0], items[0]
        heap_remove_first(keys, items, size)
        size -= 1
        if rank[node] >= 0 or degree != row_size[node]:
            continue
        rank[node] = gone
        order[gone] = node
        gone += 1
        entries += row_size[node]
        pairs += degree * degree / 2.0
        if pairs > most_pairs:
            return rank[:0], rank[:0], rank[:0]
        for at in range(row_start[node], row_start[node] + row_size[node]):
            other = pool[at]
            count = _join(pool, row_start, row_size, node, other, merged)
            if count > row_size[other]:
                # A row that grows moves to the end of the pool.
                if used + count > len(pool):
                    longer = np.empty(2 * len(pool) + count, dtype=np.int32)
                    longer[:used] = pool[:used]
                    pool = longer
                row_start[other] = used
                used += count
            row_size[other] = count
            pool[row_start[other] : row_start[other] + count] = merged[:count]
            keys, items = with_room(keys, items, size)
            heap_push(keys, items, size, float(count), other)
            size += 1
    start = np.zeros(node_count + 1, dtype=np.int32)
    to = np.empty(entries, dtype=np.int32)
    for r in range(node_count):
        node = order[r]
        row = pool[row_start[node] : row_start[node] + row_size[node]]
        start[r + 1] = start[r] + len(row)
        to[start[r] : start[r + 1]] = np.sort(rank[row])
    return rank, start, to


@compiled
def _in_postorder(rank: Ints, start: Ints, to: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Rank anew by a walk through the elimination tree: the rows stay, and who is near in them is near in memory."""
    count = len(rank)
    parent = _parents(start, to)
    # Of a tree numbered from the leaves up, subtree sizes give each router its place before its parent's.
    size = np.ones(count, dtype=np.int32)
    for r in range(count):
        if parent[r] >= 0:
            size[parent[r]] += size[r]
    place = np.empty(count, dtype=np.int32)
    free = np.zeros(count, dtype=np.int32)
    first_free = 0
    for r in range(count - 1, -1, -1):
        if parent[r] < 0:
            begin = first_free
            first_free += size[r]
        else:
            begin = free[parent[r]]
            free[parent[r]] += size[r]
        place[r] = begin + size[r] - 1
        free[r] = begin
    new_start = np.zeros(count + 1, dtype=np.int32)
    for r in range(count):
        new_start[place[r] + 1] = start[r + 1] - start[r]
    new_start = np.cumsum(new_start).astype(np.int32)
    new_to = np.empty(len(to), dtype=np.int32)
    for r in range(count):
        row = np.sort(place[to[start[r] : start[r + 1]]])
        new_to[new_start[place[r]] : new_start[place[r] + 1]] = row
    return place[rank], new_start, new_to, _parents(new_start, new_to)


@compiled
def _parents(start: Ints, to: Ints) -> Ints:
    parent = np.full(len(start) - 1, -1, dtype=np.int32)
    for r in range(len(parent)):
        if start[r + 1] > start[r]:
            parent[r] = to[start[r]]
    return parent


@compiled
def _neighbours(node_count: int, tail: Ints, head: Ints) -> tuple[Ints, Ints, Ints]:
    """Sorted neighbours of each router, each once, in either direction."""
    degree = np.zeros(node_count + 1, dtype=np.int32)
    for k in range(len(tail)):
        if tail[k] != head[k]:
            degree[tail[k]] += 1
            degree[head[k]] += 1
    start = np.zeros(node_count, dtype=np.int32)
    for node in range(1, node_count):
        start[node] = start[node - 1] + degree[node - 1]
    size = np.zeros(node_count, dtype=np.int32)
    pool = np.empty(max(int(degree.sum()), 1), dtype=np.int32)
    for k in range(len(tail)):
        if tail[k] != head[k]:
            pool[start[tail[k]] + size[tail[k]]] = head[k]
            size[tail[k]] += 1
            pool[start[head[k]] + size[head[k]]] = tail[k]
            size[head[k]] += 1
    for node in range(node_count):
        row = np.unique(pool[start[node] : start[node] + size[node]])
        size[node] = len(row)
        pool[start[node] : start[node] + len(row)] = row
    return start, size, pool


@compiled
def _join(pool: Ints, start: Ints, size: Ints, node: int, other: int, merged: Ints) -> int:
    """Into ``merged``: what ``other`` is joined to once ``node`` has gone; how many these are."""
    a, a_end = start[node], start[node] + size[node]
    b, b_end = start[other], start[other] + size[other]
    count = 0
    while a < a_end or b < b_end:
        if b >= b_end or (a < a_end and pool[a] < pool[b]):
            following = pool[a]
            a += 1
        else:
            if a < a_end and pool[a] == pool[b]:
                a += 1
            following = pool[b]
            b += 1
        if following != node and following != other:
            merged[count] = following
            count += 1
    return count
