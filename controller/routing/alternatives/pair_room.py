"""Room for searches of disjoint pairs, stamped with the number of the query, so that nothing is cleared between two."""

from math import inf
from typing import NamedTuple

import numpy as np

from controller.routing.compiled import compiled_in_place, record_type
from controller.routing.graph import Floats, Ints, PowerGraph
from controller.routing.paths.search_arrays import Records

# How a state of the second search was reached: by an arc (its number), without one, or by taking back an arc of the
# first path (TAKEN_BACK less its position).
WITHOUT_ARC = -1
TAKEN_BACK = -2

_NODE = record_type(
    growth="f8",
    least_onward="f8",
    mark="i4",
    potential_of="i4",
    on_first="i4",
    position="i4",
    arc="i4",
)
_DOWNSTREAM = record_type(label="f8", mark="i4", by="i4", before="i4")
_ONWARD = record_type(mark="i4", arc="i4", walk="i4", step="i4")
_LATER = record_type(label="f8", state="i4", by="i4", before="i4")


class PairRoom(NamedTuple):
    """What the searches write to.

    ``nodes`` has a record for each router: the growth to there from the nearest source, twice the query's number where
    that is tentative and one more where it is final, and its position on the first path. Once ``potential_of`` is the
    query's number, ``growth`` is the router's potential instead, a growth from there to the sink. ``downstream`` has
    one for each state of the second search: state v is router v, and n + i the downstream side of the i-th router of
    the first path where that is split. ``free_arc`` marks arcs that both paths may use without sharing anything.
    """

    nodes: Records
    downstream: Records
    onward: Records
    later: Records
    avoided_arc: Ints
    free_arc: Ints
    taken: Ints
    first_arcs: Ints
    first_nodes: Ints
    first_links: Ints
    keys: Floats
    items: Ints
    one: Ints
    other: Ints


class PairAsk(NamedTuple):
    """Scalars of one question; ``query`` is a number that no earlier one had, at least 1."""

    query: int
    sink: int
    power_w: float
    share: float
    split_routers: bool
    may_share: bool


def pair_room_for(graph: PowerGraph) -> PairRoom:
    n, m = graph.node_count, graph.arc_count
    # A state is expanded once, and each of its arcs and its steps along the first path is pushed at most once.
    entries = m + 8 * n + 1
    return PairRoom(
        np.zeros(n, dtype=_NODE),
        np.zeros(2 * n, dtype=_DOWNSTREAM),
        np.zeros(n, dtype=_ONWARD),
        np.zeros(2 * n, dtype=_LATER),
        np.zeros(m, dtype=np.int32),
        np.zeros(m, dtype=np.int32),
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=np.int32),
        np.empty(entries),
        np.empty(entries, dtype=np.int32),
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=np.int32),
    )


@compiled_in_place
def stamp(
    room: PairRoom,
    query: int,
    avoid_nodes: Ints,
    avoid_arcs: Ints,
    free_arcs: Ints,
) -> None:
    """Mark what the query must not touch: such routers are final, and infinitely far."""
    for node in avoid_nodes:
        room.nodes[node].mark = 2 * query + 1
        room.nodes[node].growth = inf
        room.downstream[node].mark = 2 * query + 1
    for arc in avoid_arcs:
        room.avoided_arc[arc] = query
    for arc in free_arcs:
        room.free_arc[arc] = query
