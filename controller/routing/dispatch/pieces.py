"""Loads cut into pieces on their way up to sources, compiled; see :mod:`controller.routing.dispatch.decomposition`."""

from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled, record_type
from controller.routing.graph import Floats, Ints
from controller.routing.paths.path_power import through_w

# Of what enters a router: less is rounding, and goes along with something else.
_ROUNDING = 1e-10
# A link on the way up from a load: the current on it before this piece, and the hop below (-1: the load's router).
_HOP = record_type(before_a="f8", arc="i4", below="i4")
_Hops = npt.NDArray[np.void]
# Hops that there is room for at first; it grows.
_FIRST_HOPS = 4096


class Lines(NamedTuple):
    """Of the graph, by arc, and ``efficiency`` by router."""

    tail: Ints
    head: Ints
    resistance_ohm: Floats
    voltage_v: Floats
    load_a: Floats
    efficiency: Floats


class Bins(NamedTuple):
    """What arcs and sources still have to take of what enters a router; those of router v are ``start[v]`` up to
    ``start[v + 1]``, arcs before sources. One of ``arc`` and ``source`` is -1. ``first`` begins its chain of pieces.
    """

    start: Ints
    left_w: Floats
    arc: Ints
    source: Ints
    first: Ints


class Pieces(NamedTuple):
    """``entering_w``: at the router that a piece has come to, over ``depth`` hops, the last of which is ``hop``.

    In the order of admission one follows the other by ``after``, and their ``label`` grows; parts of a piece follow
    each other. ``beside``: the next of its chain, which is that of a router where it waits or of a bin, one at a time.
    """

    load: Ints
    delivered_w: Floats
    entering_w: Floats
    hop: Ints
    depth: Ints
    source: Ints
    label: Floats
    after: Ints
    beside: Ints


class Paths(NamedTuple):
    """Pieces in the order of admission; their arcs, source first, are ``arc[start[i]:start[i + 1]]``."""

    piece: Ints
    start: Ints
    arc: Ints


@compiled
def walk_up(
    lines: Lines, order: Ints, bins: Bins, pieces: Pieces, load_node: Ints, count: int
) -> Paths:
    """Share out what enters each router of ``order``, sinks first, among its bins.

    ``pieces`` has ``count`` of them, at their loads, and room for one more by each bin: a cut fills one.
    """
    # By router, the first of its chain of pieces.
    waiting = np.full(len(order), -1, dtype=np.int32)
    for piece in range(count):
        _join(pieces.beside, piece, waiting, load_node[pieces.load[piece]])
    hops = np.empty(_FIRST_HOPS, dtype=_HOP)
    used = 0
    here = np.empty(len(pieces.load), dtype=np.int32)
    for node in order:
        begin, end = bins.start[node], bins.start[node + 1]
        present = _in_order(pieces.beside, waiting[node], pieces.entering_w, here)
        little_w = _ROUNDING * bins.left_w[begin:end].sum()
        while present > 0 and begin < end:
            present -= 1
            piece = here[present]
            least_w = pieces.entering_w[piece] - little_w
            best = _best_bin(bins.left_w, begin, end, least_w)
            left_w = bins.left_w[best]
            if not left_w >= least_w and left_w > little_w:
                hops = _with_room(hops, used, pieces.depth[piece])
                _cut(lines, pieces, piece, count, left_w, node, load_node, hops, used)
                used += pieces.depth[piece]
                _insert(here, present, count, pieces.entering_w)
                present += 1
                count += 1
            bins.left_w[best] -= pieces.entering_w[piece]
            _join(pieces.beside, piece, bins.first, best)
        for index in range(begin, end):
            present = _in_order(pieces.beside, bins.first[index], pieces.label, here)
            if bins.arc[index] < 0:
                for place in range(present):
                    pieces.source[here[place]] = bins.source[index]
                continue
            hops = _with_room(hops, used, present)
            _send_up(lines, pieces, bins.arc[index], here, present, hops, used, waiting)
            used += present
    return _paths(pieces, hops, count)


@compiled
def _join(beside: Ints, piece: int, first: Ints, chain: int) -> None:
    beside[piece] = first[chain]
    first[chain] = piece


@compiled
def _in_order(beside: Ints, first: int, key: Floats, here: Ints) -> int:
    """Fills in the pieces of a chain, that of the least key first; of two the one that has joined before. How many."""
    present = 0
    piece = first
    while piece >= 0:
        here[present] = piece
        present += 1
        piece = beside[piece]
    if present < 2:
        return present
    # Who has joined last is the first.
    chain = here[:present][::-1].copy()
    here[:present] = chain[np.argsort(key[chain], kind="mergesort")]
    return present


@compiled
def _best_bin(left_w: Floats, begin: int, end: int, least_w: float) -> int:
    """Where it fits best, or else the one that takes most."""
    fitting, largest = -1, begin
    for index in range(begin, end):
        if left_w[index] >= least_w and (fitting < 0 or left_w[index] < left_w[fitting]):
            fitting = index
        if left_w[index] > left_w[largest]:
            largest = index
    return fitting if fitting >= 0 else largest


@compiled
def _insert(here: Ints, present: int, piece: int, key: Floats) -> None:
    at = present
    while at > 0 and key[here[at - 1]] > key[piece]:
        here[at] = here[at - 1]
        at -= 1
    here[at] = piece


@compiled
def _with_room(hops: _Hops, used: int, more: int) -> _Hops:
    if used + more <= len(hops):
        return hops
    larger = np.empty(2 * (used + more), dtype=_HOP)
    larger[:used] = hops[:used]
    return larger


@compiled
def _cut(
    lines: Lines,
    pieces: Pieces,
    piece: int,
    rest: int,
    entering_w: float,
    node: int,
    load_node: Ints,
    hops: _Hops,
    used: int,
) -> None:
    """Leave in the piece so much of it that ``entering_w`` enters the router; ``rest`` becomes its follower."""
    depth = pieces.depth[piece]
    passing_w = entering_w * lines.efficiency[node]
    hop, place = pieces.hop[piece], used + depth
    while hop >= 0:
        arc, before_a = hops[hop]["arc"], hops[hop]["before_a"]
        voltage_v, resistance_ohm = lines.voltage_v[arc], lines.resistance_ohm[arc]
        # As digitalgrid.physics.received_w has it.
        linear = voltage_v + 2.0 * resistance_ohm * before_a
        root = sqrt(linear * linear + 4.0 * resistance_ohm * passing_w)
        arriving_w = voltage_v * 2.0 * passing_w / (linear + root)
        place -= 1
        hops[place]["arc"] = arc
        hops[place]["before_a"] = before_a + arriving_w / voltage_v
        hops[place]["below"] = place - 1 if place > used else -1
        passing_w = arriving_w * lines.efficiency[lines.head[arc]]
        hop = hops[hop]["below"]
    first_w = min(passing_w, pieces.delivered_w[piece])
    pieces.load[rest] = pieces.load[piece]
    pieces.delivered_w[rest] = pieces.delivered_w[piece] - first_w
    pieces.depth[rest] = depth
    pieces.hop[rest] = used + depth - 1 if depth > 0 else -1
    # The rest's power, up its path.
    needed_w = pieces.delivered_w[rest] / lines.efficiency[load_node[pieces.load[rest]]]
    for hop in range(used, used + depth):
        needed_w = _through(lines, hops[hop]["arc"], needed_w, hops[hop]["before_a"])
    pieces.entering_w[rest] = needed_w
    pieces.delivered_w[piece] = first_w
    pieces.entering_w[piece] = entering_w
    _follow(pieces, piece, rest)


@compiled
def _through(lines: Lines, arc: int, arriving_w: float, before_a: float) -> float:
    efficiency = lines.efficiency[lines.tail[arc]]
    voltage_v, resistance_ohm = lines.voltage_v[arc], lines.resistance_ohm[arc]
    return float(through_w(arriving_w, resistance_ohm, voltage_v, before_a, efficiency))


@compiled
def _follow(pieces: Pieces, piece: int, rest: int) -> None:
    """Admit the rest next after the piece."""
    following = pieces.after[piece]
    pieces.after[piece] = rest
    pieces.after[rest] = following
    before = pieces.label[piece]
    beyond = pieces.label[following] if following >= 0 else before + 2.0
    between = 0.5 * (before + beyond)
    pieces.label[rest] = between
    if not before < between < beyond:
        # Halved too often: numbered anew. The first load's piece is the first for ever.
        number, each = 0.0, 0
        while each >= 0:
            pieces.label[each] = number
            number += 1.0
            each = pieces.after[each]


@compiled
def _send_up(
    lines: Lines,
    pieces: Pieces,
    arc: int,
    here: Ints,
    present: int,
    hops: _Hops,
    used: int,
    waiting: Ints,
) -> None:
    """All pieces of an arc to its tail, each paying in the order of admission."""
    tail, before_a = lines.tail[arc], lines.load_a[arc]
    for place in range(present):
        piece = here[place]
        hops[used + place]["arc"] = arc
        hops[used + place]["before_a"] = before_a
        hops[used + place]["below"] = pieces.hop[piece]
        pieces.hop[piece] = used + place
        pieces.depth[piece] += 1
        arriving_w = pieces.entering_w[piece]
        pieces.entering_w[piece] = _through(lines, arc, arriving_w, before_a)
        before_a += arriving_w / lines.voltage_v[arc]
        _join(pieces.beside, piece, waiting, tail)


@compiled
def _paths(pieces: Pieces, hops: _Hops, count: int) -> Paths:
    """Of the pieces that have come to a source."""
    piece = np.empty(count, dtype=np.int32)
    start = np.zeros(count + 1, dtype=np.int32)
    found, each = 0, 0 if count > 0 else -1
    while each >= 0:
        if pieces.source[each] >= 0:
            piece[found] = each
            start[found + 1] = start[found] + pieces.depth[each]
            found += 1
        each = pieces.after[each]
    arc = np.empty(start[found], dtype=np.int32)
    for index in range(found):
        hop = pieces.hop[piece[index]]
        for place in range(start[index], start[index + 1]):
            arc[place] = hops[hop]["arc"]
            hop = hops[hop]["below"]
    return Paths(piece[:found], start[: found + 1], arc)
