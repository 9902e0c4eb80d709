"""What the compiled searches read and write: a graph, packed for them, and room for one search at a time."""

from math import inf
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import record_type
from controller.routing.graph import Floats, Ints, PowerGraph

_ARC = record_type(tail="i4", of_converter="f8", of_line_per_w="f8", voltage_v="f8")
_NODE = record_type(label_w="f8", least_growth="f8", available_w="f8", arc="i4")
# Entries that there is room for at first; it grows.
_FIRST_HEAP = 256
# At a router without candidate sources.
NOTHING_AVAILABLE_W = -1.0
# Of a router where no label was settled.
NO_HOPS = np.iinfo(np.int32).max

Records = npt.NDArray[np.void]


class Arcs(NamedTuple):
    """A graph as the search reads it; load_a and headroom_a are the graph's own arrays, and change with it."""

    start: Ints
    head: Ints
    tail: Ints
    efficiency: Floats
    resistance_ohm: Floats
    voltage_v: Floats
    load_a: Floats
    headroom_a: Floats
    packed: Records


class Room(NamedTuple):
    """What searches write to. Between two of them nothing is left: labels are infinite, and no router has sources.

    ``credit_a`` is what a circuit may use of an arc beyond its headroom; minus infinity keeps it off the arc.
    A found path is left in ``path_arcs``, source first, and what enters its routers in ``path_w``.
    """

    nodes: Records
    touched: Ints
    settled_hops: Ints
    credit_a: Floats
    keys: Floats
    items: Ints
    path_arcs: Ints
    path_w: Floats


class Ask(NamedTuple):
    """Scalars of one question. ``most_hops`` is -1 where any number will do."""

    sink: int
    power_w: float
    limit_w: float
    most_hops: int
    with_credit: bool


def arcs_of(graph: PowerGraph) -> Arcs:
    packed = np.zeros(graph.arc_count, dtype=_ARC)
    efficiency = graph.efficiency[graph.tail]
    packed["tail"] = graph.tail
    packed["of_converter"] = 1.0 / efficiency
    packed["of_line_per_w"] = graph.resistance_ohm / graph.voltage_v**2 / efficiency
    packed["voltage_v"] = graph.voltage_v
    return Arcs(
        graph.start,
        graph.head,
        graph.tail,
        graph.efficiency,
        graph.resistance_ohm,
        graph.voltage_v,
        graph.load_a,
        graph.headroom_a,
        packed,
    )


def room_for(graph: PowerGraph) -> Room:
    nodes = np.zeros(graph.node_count, dtype=_NODE)
    nodes["label_w"] = inf
    nodes["available_w"] = NOTHING_AVAILABLE_W
    return Room(
        nodes,
        np.zeros(graph.node_count, dtype=np.int32),
        np.full(graph.node_count, NO_HOPS, dtype=np.int32),
        np.zeros(graph.arc_count),
        np.empty(_FIRST_HEAP),
        np.empty(_FIRST_HEAP, dtype=np.int32),
        np.zeros(graph.node_count + 1, dtype=np.int32),
        np.zeros(graph.node_count + 1),
    )
