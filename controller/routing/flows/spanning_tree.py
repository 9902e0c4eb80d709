"""The spanning tree of a network simplex: threaded, so that a subtree is a stretch of a list and moves in one piece.

After LEMON's network simplex (P. Kovács, "Minimum-cost flow algorithms: an experimental evaluation", 2015), which
keeps the augmented threaded index of R. Barr, F. Glover and D. Klingman (1979). The last node is the root.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled, compiled_in_place

Bools = npt.NDArray[np.bool_]
# Unsigned, because numba makes each access by a signed index ask whether that counts from the end: along chains of
# such accesses, which is all that happens here, that takes a quarter of the time.
Indices = npt.NDArray[np.uint32]


class Tree(NamedTuple):
    """Arrays by node. ``via`` is the arc to the parent, ``upward`` where that arc leads from the node to its parent.

    ``thread`` runs through all nodes, each before those under it, and from the last to the root again;
    ``back`` is its reverse. The subtree of a node has ``size`` nodes and ends with ``last``. The root's parent is the
    number of all nodes, and no node.
    """

    parent: Indices
    via: Indices
    upward: Bools
    thread: Indices
    back: Indices
    size: Indices
    last: Indices


def empty_tree(node_count: int) -> Tree:
    """Room for a tree on ``node_count`` nodes and its root."""
    each = node_count + 1
    nodes = [np.zeros(each, dtype=np.uint32) for _ in range(6)]
    return Tree(nodes[0], nodes[1], np.zeros(each, dtype=np.bool_), *nodes[2:])


@compiled
def thread_tree(tree: Tree, order: Indices) -> None:
    """Set thread, sizes and ends from the parents; ``order`` has all nodes but the root, parents before children."""
    root = len(order)
    nobody = np.uint32(root + 1)
    first_child = np.full(root + 1, nobody, dtype=np.uint32)
    next_child = np.full(root + 1, nobody, dtype=np.uint32)
    tree.size[:] = 1
    for at in range(root - 1, -1, -1):
        node = order[at]
        parent = tree.parent[node]
        next_child[node] = first_child[parent]
        first_child[parent] = node
        tree.size[parent] += tree.size[node]
    tree.parent[root] = nobody
    node = before = np.uint32(root)
    while True:
        tree.last[node] = node
        if first_child[node] != nobody:
            node = first_child[node]
        else:
            while node != root and next_child[node] == nobody:
                tree.last[tree.parent[node]] = tree.last[node]
                node = tree.parent[node]
            if node == root:
                break
            node = next_child[node]
        tree.thread[before] = node
        tree.back[node] = before
        before = node
    tree.thread[before] = root
    tree.back[root] = before


@compiled_in_place
def hang(
    tree: Tree, arc: int, upward: bool, node: int, below: int, top: int, join: int, room: Indices
) -> None:
    """Cut the subtree of ``top`` off, and hang it by ``arc`` from ``node``, which is in it, to ``below``, outside.

    ``upward``: the arc leads from ``node`` to ``below``. ``join`` is where both ways to the root meet;
    ``room`` is for as many nodes as there are.
    """
    before_top, size, last = tree.back[top], tree.size[top], tree.last[top]
    above_top = tree.parent[top]
    if node == top:
        tree.parent[node] = below
        tree.via[node] = arc
        tree.upward[node] = upward
        if tree.thread[below] != top:
            _link(tree, before_top, tree.thread[last])
            after = tree.thread[below]
            _link(tree, below, top)
            _link(tree, last, after)
    else:
        _turn(tree, node, below, top, room)
        _turn_arcs(tree, arc, upward, node, top, size)
    _mend_ends(tree, below, above_top, top, join, before_top, last)
    above = np.uint32(below)
    while above != join:
        tree.size[above] += size
        above = tree.parent[above]
    while above_top != join:
        tree.size[above_top] -= size
        above_top = tree.parent[above_top]


@compiled_in_place
def _link(tree: Tree, before: int, after: int) -> None:
    tree.thread[before] = after
    tree.back[after] = before


@compiled_in_place
def _turn(tree: Tree, node: int, below: int, top: int, room: Indices) -> None:
    """Make the way from ``node`` up to ``top`` lead down, under ``below``: parents, thread, and the end of ``top``."""
    before_top = tree.back[top]
    onward = tree.thread[tree.last[top]] if before_top == below else tree.thread[below]
    stem, parent = np.uint32(node), np.uint32(below)
    last = tree.last[node]
    after = tree.thread[last]
    tree.thread[below] = node
    room[0] = below
    loose = 1
    while stem != top:
        above = tree.parent[stem]
        tree.thread[last] = above
        room[loose] = last
        loose += 1
        _link(tree, tree.back[stem], after)
        tree.parent[stem] = parent
        parent, stem = stem, above
        last = tree.back[parent] if tree.last[stem] == tree.last[parent] else tree.last[stem]
        after = tree.thread[last]
    tree.parent[top] = parent
    _link(tree, last, onward)
    tree.last[top] = last
    if before_top != below:
        _link(tree, before_top, after)
    for at in range(loose):
        tree.back[tree.thread[room[at]]] = room[at]


@compiled_in_place
def _turn_arcs(tree: Tree, arc: int, upward: bool, node: int, top: int, size: int) -> None:
    """Give the nodes of a stem that was turned the arcs to their new parents, their sizes and their ends."""
    taken, last = np.uint32(0), tree.last[top]
    stem = np.uint32(top)
    while stem != node:
        parent = tree.parent[stem]
        tree.via[stem] = tree.via[parent]
        tree.upward[stem] = not tree.upward[parent]
        taken += tree.size[stem] - tree.size[parent]
        tree.size[stem] = taken
        tree.last[parent] = last
        stem = parent
    tree.via[node] = arc
    tree.upward[node] = upward
    tree.size[node] = size


@compiled_in_place
def _mend_ends(
    tree: Tree, below: int, above_top: int, top: int, join: int, before_top: int, old_last: int
) -> None:
    """Where the subtree that moved was the end of one above it, or is so now."""
    nobody = np.uint32(len(tree.parent))
    limit = np.uint32(join) if tree.last[join] == below else nobody
    new_last = tree.last[top]
    node = np.uint32(below)
    while node != nobody and tree.last[node] == below:
        tree.last[node] = new_last
        node = tree.parent[node]
    if join != before_top and below != before_top:
        new_last = before_top
    elif new_last == old_last:
        return
    node = np.uint32(above_top)
    while node != limit and tree.last[node] == old_last:
        tree.last[node] = new_last
        node = tree.parent[node]
