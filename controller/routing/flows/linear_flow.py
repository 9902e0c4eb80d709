"""Linear min-cost flow: dispatch where losses are off, and what one more watt costs at each router."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled
from controller.routing.flows.flow_start import adjacency, start
from controller.routing.flows.network_simplex import (
    OPTIMAL,
    STALLED,
    UNBOUNDED,
    Basis,
    Network,
    improve,
    set_prices,
    set_tree_flows,
)
from controller.routing.flows.spanning_tree import empty_tree
from controller.routing.graph import Floats, Ints

# What rounding may leave of a supply or a demand, relative to it.
_RELATIVE_TOLERANCE = 1e-9
# Many times more than was ever needed; who needs more is told so, and not left waiting.
_PIVOTS_AN_ARC = 50
_FEWEST_PIVOTS = 10_000
# The first penalties for what is not served, in the dearest price of what the start serves.
_PENALTIES = (1.0, 8.0)


class Status(Enum):
    """How a question ended; only an OPTIMAL flow is an answer.

    UNBALANCED: supplies and demands differ by more than rounding. INFEASIBLE: capacities keep some from being met;
    ``unused`` and ``unserved`` say where, when as much as possible is met. UNBOUNDED: a cycle of negative cost has
    endless capacity. STALLED: the limit of pivots was reached, which no input is known to do.
    """

    OPTIMAL = "optimal"
    UNBALANCED = "unbalanced"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class LinearFlow:
    """``flow`` by arc; ``price``, ``unused`` supply and ``unserved`` demand by node; ``cost`` of all flow.

    Prices prove that a flow is optimal: ``cost[k] + price[tail[k]] - price[head[k]]`` is at least 0 where arc k has
    room, and at most 0 where it has flow. What goes unserved costs ``penalty`` each, and so does unused supply that
    must be used; spare supply costs nothing. So a demand's price is at least the penalty where some of it is unserved,
    and at most that where some is served; a source's is at most 0 (minus the penalty, if all must be used) where some
    is unused, and at least that where some is used.
    """

    status: Status
    flow: Floats
    price: Floats
    unused: Floats
    unserved: Floats
    cost: float
    penalty: float


class _Arcs(NamedTuple):
    node_count: int
    tail: Ints
    head: Ints
    capacity: Floats
    cost: Floats


def linear_min_cost_flow(
    node_count: int,
    tail: npt.ArrayLike,
    head: npt.ArrayLike,
    capacity: npt.ArrayLike,
    cost: npt.ArrayLike,
    supply: npt.ArrayLike,
    *,
    spare_supply: bool = False,
    unserved_demand: bool = False,
) -> LinearFlow:
    """Send supplies (above 0) to demands (below 0) at least cost.

    ``spare_supply``: not all supply has to be used. ``unserved_demand``: not all demand has to be served, but as much
    as can be, and that at least cost (a min-cost maximum flow). Capacities may be infinite, costs negative; arcs may
    be parallel, or lead from a node to itself. The network simplex method on floats: arcs between 0 and their capacity
    form a forest, so what is given in whole numbers is sent in whole numbers. Raises ValueError for arrays of other
    lengths, nodes that there are not, figures that are no numbers or endless, and capacities below 0.
    """
    arcs = _checked_arcs(node_count, tail, head, capacity, cost)
    supplies = np.array(supply, dtype=np.float64)
    if supplies.shape != (node_count,) or not np.all(np.isfinite(supplies)):
        raise ValueError(f"supply must be {node_count} finite numbers, one a node")
    supplied, demanded = (float(each.clip(0.0).sum()) for each in (supplies, -supplies))
    excess = supplied - demanded
    rounding = node_count * np.finfo(np.float64).eps * max(supplied, demanded)
    if (excess > rounding and not spare_supply) or (-excess > rounding and not unserved_demand):
        return _no_flow(Status.UNBALANCED, arcs, supplies)
    loops = arcs.tail == arcs.head
    if np.any(loops & (arcs.cost < 0.0) & np.isinf(arcs.capacity)):
        return _no_flow(Status.UNBOUNDED, arcs, supplies)
    network, original = _network_of(*arcs, supplies, spare_supply)
    basis = _empty_basis(network)
    by_paths = bool(np.all(network.cost >= 0.0))
    end, penalty, by_rank = _solve(network, basis, supplies, by_paths)
    if end == UNBOUNDED:
        return _no_flow(Status.UNBOUNDED, arcs, supplies)
    flow = np.where(loops & (arcs.cost < 0.0), arcs.capacity, 0.0)
    flow[original] = basis.flow[: network.arc_count]
    if by_rank:
        penalty = _least_penalty(network, basis)
    price = basis.price[:node_count] + penalty * basis.rank[:node_count] - basis.price[node_count]
    unused, unserved = np.zeros(node_count), np.zeros(node_count)
    slack = basis.flow[network.arc_count : network.priced]
    unused[supplies > 0.0] = slack[supplies[supplies != 0.0] > 0.0]
    unserved[supplies < 0.0] = slack[supplies[supplies != 0.0] < 0.0]
    lost = _RELATIVE_TOLERANCE * np.abs(supplies) + min(abs(excess), rounding)
    if end == STALLED:
        status = Status.STALLED
    elif (not spare_supply and np.any(unused > lost)) or (
        not unserved_demand and np.any(unserved > lost)
    ):
        status = Status.INFEASIBLE
    else:
        status = Status.OPTIMAL
    return LinearFlow(
        status, flow, price, unused, unserved, float((flow * arcs.cost).sum()), penalty
    )


def compile_kernels() -> None:
    """Compile, or load, what a first question would wait for."""
    linear_min_cost_flow(2, [0, 1], [1, 0], [2.0, 1.0], [1.0, 1.0], [1.0, -1.0])


def _checked_arcs(
    node_count: int,
    tail: npt.ArrayLike,
    head: npt.ArrayLike,
    capacity: npt.ArrayLike,
    cost: npt.ArrayLike,
) -> _Arcs:
    arcs = _Arcs(
        node_count,
        np.asarray(tail, dtype=np.int32),
        np.asarray(head, dtype=np.int32),
        np.asarray(capacity, dtype=np.float64),
        np.asarray(cost, dtype=np.float64),
    )
    if len({each.shape for each in arcs[1:]}) != 1 or arcs.tail.ndim != 1:
        raise ValueError("tail, head, capacity and cost must have the same length")
    for end in (arcs.tail, arcs.head):
        if len(end) and (int(end.min()) < 0 or int(end.max()) >= node_count):
            raise ValueError(f"arcs lead to nodes beyond the {node_count} that there are")
    if not np.all(arcs.capacity >= 0.0):
        raise ValueError("capacities must be numbers of at least 0")
    if not np.all(np.isfinite(arcs.cost)):
        raise ValueError("costs must be finite numbers")
    return arcs


def _no_flow(status: Status, arcs: _Arcs, supplies: Floats) -> LinearFlow:
    unused, unserved = np.maximum(supplies, 0.0), np.maximum(-supplies, 0.0)
    flow, price = np.zeros(len(arcs.tail)), np.zeros(arcs.node_count)
    return LinearFlow(status, flow, price, unused, unserved, 0.0, 0.0)


@compiled
def _network_of(
    node_count: int,
    tail: Ints,
    head: Ints,
    capacity: Floats,
    cost: Floats,
    supply: Floats,
    spare_supply: bool,
) -> tuple[Network, Ints]:
    """Arcs in the order of their tails, without those that nothing flows over; and which arcs they were."""
    row = np.zeros(node_count + 1, dtype=np.int32)
    for arc in range(len(tail)):
        if tail[arc] != head[arc] and capacity[arc] > 0.0:
            row[tail[arc] + 1] += 1
    for node in range(node_count):
        row[node + 1] += row[node]
    arc_count = int(row[node_count])
    priced = arc_count + int(np.count_nonzero(supply))
    count = priced + node_count
    tails, heads = np.empty(count, dtype=np.uint32), np.empty(count, dtype=np.uint32)
    capacities, costs, ranks = np.empty(count), np.zeros(count), np.zeros(count)
    original = np.empty(arc_count, dtype=np.int32)
    for arc in range(len(tail)):
        if tail[arc] != head[arc] and capacity[arc] > 0.0:
            at = row[tail[arc]]
            row[tail[arc]] += 1
            original[at] = arc
            tails[at], heads[at] = tail[arc], head[arc]
            capacities[at], costs[at] = capacity[arc], cost[arc]
    slack = arc_count
    for node in range(node_count):
        if supply[node] != 0.0:
            supplied = supply[node] > 0.0
            tails[slack] = node if supplied else node_count
            heads[slack] = node_count if supplied else node
            capacities[slack] = abs(supply[node])
            ranks[slack] = 0.0 if supplied and spare_supply else 1.0
            slack += 1
        # Worse than any slack.
        tails[priced + node], heads[priced + node] = node_count, node
        capacities[priced + node], ranks[priced + node] = np.inf, 2.0
    return Network(node_count, arc_count, priced, tails, heads, capacities, costs, ranks), original


def _empty_basis(network: Network) -> Basis:
    arcs, nodes = len(network.tail), network.node_count
    return Basis(
        np.zeros(arcs),
        np.zeros(arcs, dtype=np.int8),
        empty_tree(nodes),
        np.zeros(nodes + 1),
        np.zeros(nodes + 1),
    )


@compiled
def _solve(
    network: Network, basis: Basis, supply: Floats, by_paths: bool
) -> tuple[int, float, bool]:
    """How it ended, the penalty, and whether that is yet to be found from the ranks.

    At first moderate penalties stand for each rank. Where all can be served that leads to the same flow in far fewer
    pivots, since those that serve something heed the cost of the way; and what is dear is better served last.
    """
    start(network, basis, adjacency(network), supply, by_paths)
    most_pivots = _FEWEST_PIVOTS + _PIVOTS_AN_ARC * network.priced
    dearest = np.max(np.abs(basis.price)) if by_paths else np.max(np.abs(network.cost))
    cost, no_ranks = network.cost.copy(), np.zeros_like(network.rank)
    penalised = Network(
        network.node_count,
        network.arc_count,
        network.priced,
        network.tail,
        network.head,
        network.capacity,
        cost,
        no_ranks,
    )
    end, penalty, by_rank = OPTIMAL, 0.0, True
    for factor in _PENALTIES:
        penalty = factor * dearest if dearest > 0.0 else 1.0
        cost[:] = network.cost + penalty * network.rank
        set_prices(penalised, basis)
        end = improve(penalised, basis, most_pivots, False)
        by_rank = bool(np.any((basis.flow > 0.0) & (network.rank > 0.0)))
        if end != OPTIMAL or not by_rank:
            break
    if end == OPTIMAL and by_rank:
        set_prices(network, basis)
        end = improve(network, basis, most_pivots, True)
    set_tree_flows(network, basis, supply)
    return end, penalty, by_rank


@compiled
def _least_penalty(network: Network, basis: Basis) -> float:
    """The least penalty for a rank with which no arc's reduced cost is of the wrong sign."""
    least = 0.0
    for arc in range(network.priced):
        tail, head, state = network.tail[arc], network.head[arc], basis.state[arc]
        ranks = network.rank[arc] + basis.rank[tail] - basis.rank[head]
        reduced = network.cost[arc] + basis.price[tail] - basis.price[head]
        if state * ranks > 0.0 and state * reduced < 0.0:
            least = max(least, -reduced / ranks)
    return least
