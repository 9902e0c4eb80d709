"""The grid arrays as a standby meets them: under the worst of the failures that it is to cover."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from controller.core.admission.route_finder import RouteFinder
from controller.core.circuits.failures import Failure
from controller.core.circuits.resources import ResourceKind
from controller.core.circuits.resources import source as source_of
from controller.routing.graph import Floats, PowerGraph
from digitalgrid.model import CircuitGeneration

# A watt on a full line costs e to the power of this, where one on an empty line costs 1.
_DEARER = 2.0


@dataclass(frozen=True, slots=True)
class StandbyArrays:
    """``graph`` carries what is held firmly, and what others' standbys take under the worst of the failures; what a
    standby takes beyond ``spare_a`` of an arc makes the pool of that arc larger.
    """

    graph: PowerGraph
    spare_a: Floats
    available_w: dict[str, float]
    # What it costs to reserve a watt on each arc.
    prices: Floats


def under_failures(
    finder: RouteFinder,
    failures: Collection[Failure],
    source_ids: Collection[str],
    circuit_id: int = 0,
    instead_of: CircuitGeneration | None = None,
) -> StandbyArrays:
    """What a shared standby meets that covers these failures, of arrays that are in step with the reservations, where
    another of its circuit goes.

    Under each of them it finds only those standbys active that cover it too, so what it must bear is the worst of
    these, and not the pool: that is the worst of all failures.
    """
    arrays, reservations = finder.arrays, finder.reservations
    graph, prices = arrays.graph.snapshot(), prices_of(arrays.graph)
    pool_a = arrays.pool_a
    active_a = np.zeros(graph.arc_count)
    active_w: dict[str, float] = {}
    for resource, amount in reservations.needed_under_any(failures, instead_of).items():
        if resource.kind is ResourceKind.SOURCE:
            active_w[resource.id] = amount
        elif resource.kind is ResourceKind.LINK_DIRECTION:
            arc = arrays.arc(resource.id, resource.from_router_id)
            if arc is not None:
                active_a[arc] = amount
    spare_a = pool_a - active_a
    graph.load_a -= spare_a
    # What passes a converter of limited power is held to the sum of all pools there: it shares no room.
    graph.headroom_a += np.where(np.isin(graph.tail, list(graph.through_w)), 0.0, spare_a)
    available_w = {
        source_id: free_w + reservations.pool(source_of(source_id)) - active_w.get(source_id, 0.0)
        for source_id, free_w in finder.available_w(source_ids, circuit_id).items()
    }
    return StandbyArrays(graph, spare_a, available_w, prices)


def as_it_stands(
    finder: RouteFinder, source_ids: Collection[str], circuit_id: int = 0
) -> StandbyArrays:
    """What working routes meet, and dedicated standbys: all that is reserved, and no room to share."""
    graph = finder.arrays.graph
    available_w = finder.available_w(source_ids, circuit_id)
    return StandbyArrays(graph, np.zeros(graph.arc_count), available_w, prices_of(graph))


def prices_of(graph: PowerGraph) -> Floats:
    """What it costs to reserve a watt on each arc: 1 on an empty line, and more the fuller it is, so that there is room
    for those who have no way around it.

    B. Awerbuch, Y. Azar, S. Plotkin, "Throughput-competitive on-line routing", FOCS 1993.
    """
    prices: Floats = np.exp(_DEARER * fullness(graph))
    return prices


def fullness(graph: PowerGraph) -> Floats:
    """Of each arc the share of its line that is reserved; or of what its sender may convert, where that leaves less."""
    left_a = np.clip(graph.headroom_a, 0.0, graph.ampacity_a)
    full: Floats = 1.0 - left_a / np.maximum(graph.ampacity_a, np.finfo(float).tiny)
    return full
