"""What the solver's flows lack in balance, to rounding, is moved over the lines that have the most room for it.

A spanning tree of greatest room (Kruskal) leads from each router over lines to a source, or to a load served in part,
that has room as well; walked from its leaves to its root, each line takes exactly what the router below it lacks. What
does not fit stays, and further rounds choose other ways around the lines that are full by then.
"""

import numpy as np
import numpy.typing as npt

from controller.routing.compiled import compiled_numeric
from controller.routing.dispatch.newton import Network
from controller.routing.graph import Floats, Ints

# At most; they end sooner where one corrects nothing more.
_MAX_ROUNDS = 12
# Of a limit: the room of what carries nothing, or all that it can. It comes after whatever has room both ways.
_ONE_SIDED = 1e-9
# Of the unit of power: what is lacking, and is rounding.
_ROUNDING = 1e-15


def corrected(
    network: Network, flow: Floats, power: Floats, is_adjustable: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Flows and cells' powers that balance at every router as far as limits let them.

    Of the cells, those that ``is_adjustable`` may change. ``flow`` has no opposite flows.
    """
    lacking = np.zeros(len(network.efficiency))
    least = _lack(network, flow, power, lacking)
    for _ in range(_MAX_ROUNDS):
        if least <= _ROUNDING:
            break
        room = _room(network, flow, power, is_adjustable)
        useful = np.flatnonzero(room > 0.0)
        widest_first = useful[np.argsort(-room[useful], kind="stable")].astype(np.int32)
        next_flow, next_power = flow.copy(), power.copy()
        _correct(network, widest_first, next_flow, next_power, lacking)
        left = _lack(network, next_flow, next_power, lacking)
        if left >= least:
            break
        flow, power, least = next_flow, next_power, left
    return flow, power


def _room(
    network: Network, flow: Floats, power: Floats, is_adjustable: npt.NDArray[np.bool_]
) -> Floats:
    """By link, then by cell: how far it can go both ways; of a router's cells only the widest, as a tree has one."""
    first, second = network.first, network.second
    used = flow[first] + np.where(second >= 0, flow[second], 0.0)
    link = np.maximum(np.minimum(used, network.capacity - used), _ONE_SIDED * network.capacity)
    both = np.minimum(power, network.cell_limit - power)
    cell = np.maximum(both, _ONE_SIDED * network.cell_limit)
    cell = np.where(is_adjustable, cell, 0.0)
    _keep_widest(network.cell_node, cell, len(network.efficiency))
    return np.concatenate([link, cell])


@compiled_numeric
def _keep_widest(cell_node: Ints, room: Floats, nodes: int) -> None:
    """Takes the room of all others; of two that are as wide the first is kept."""
    widest = np.full(nodes, -1, dtype=np.int32)
    for c in range(len(room)):
        other = widest[cell_node[c]]
        if other >= 0 and room[other] >= room[c]:
            room[c] = 0.0
            continue
        widest[cell_node[c]] = c
        if other >= 0:
            room[other] = 0.0


@compiled_numeric
def _lack(network: Network, flow: Floats, power: Floats, lacking: Floats) -> float:
    """Fills in what each router sends and serves beyond what it puts out; returns the most, either way."""
    lacking[:] = 0.0
    for k in range(len(flow)):
        tail, head = network.tail[k], network.head[k]
        lacking[head] -= network.efficiency[head] * flow[k]
        lacking[tail] += (network.linear[k] + network.square[k] * flow[k]) * flow[k]
    for c in range(len(power)):
        lacking[network.cell_node[c]] -= network.cell_gain[c] * power[c]
    most = 0.0
    for v in range(len(lacking)):
        most = max(most, abs(lacking[v]))
    return most


@compiled_numeric
def _root_of(parent: Ints, v: int) -> int:
    while parent[v] != v:
        parent[v] = parent[parent[v]]
        v = parent[v]
    return v


@compiled_numeric
def _correct(network: Network, order: Ints, flow: Floats, power: Floats, lacking: Floats) -> None:
    """One walk over the tree that takes links and cells in ``order``."""
    nodes, links = len(lacking), len(network.first)
    group = np.arange(nodes + 1).astype(np.int32)
    taken = np.zeros(len(order), dtype=np.bool_)
    degree = np.zeros(nodes + 2, dtype=np.int32)
    for index in range(len(order)):
        a, b = _ends(network, order[index], links, nodes)
        one, other = _root_of(group, a), _root_of(group, b)
        if one != other:
            group[one] = other
            taken[index] = True
            degree[a + 1] += 1
            degree[b + 1] += 1
    start = np.cumsum(degree)
    beside = np.empty(start[nodes + 1], dtype=np.int32)
    filled = start.copy()
    for index in range(len(order)):
        if taken[index]:
            a, b = _ends(network, order[index], links, nodes)
            beside[filled[a]] = order[index]
            filled[a] += 1
            beside[filled[b]] = order[index]
            filled[b] += 1
    # From the root on, each router after the one that it hangs on.
    walk = np.empty(nodes + 1, dtype=np.int32)
    above = np.full(nodes + 1, -1, dtype=np.int32)
    walk[0], count, done = nodes, 1, 0
    while done < count:
        v = walk[done]
        done += 1
        for p in range(start[v], start[v + 1]):
            edge = beside[p]
            a, b = _ends(network, edge, links, nodes)
            u = b if a == v else a
            if u != nodes and above[u] < 0:
                above[u] = edge
                walk[count] = u
                count += 1
    for index in range(count - 1, 0, -1):
        v = walk[index]
        if above[v] < links:
            _over_link(network, above[v], v, flow, lacking)
        else:
            _by_cell(network, above[v] - links, v, power, lacking)


@compiled_numeric
def _ends(network: Network, edge: int, links: int, root: int) -> tuple[int, int]:
    if edge < links:
        k = network.first[edge]
        return network.tail[k], network.head[k]
    return network.cell_node[edge - links], root


@compiled_numeric
def _by_cell(network: Network, c: int, v: int, power: Floats, lacking: Floats) -> None:
    gain, before = network.cell_gain[c], power[c]
    power[c] = min(max(before + lacking[v] / gain, 0.0), network.cell_limit[c])
    lacking[v] -= gain * (power[c] - before)


@compiled_numeric
def _over_link(network: Network, e: int, v: int, flow: Floats, lacking: Floats) -> None:
    """Lets a link bring to v what is lacking there, or take what is too much, as far as it can."""
    k, twin = network.first[e], network.second[e]
    into, out = (k, twin) if network.head[k] == v else (twin, k)
    # First less the other way, then more this way; both where the flow turns round.
    if lacking[v] > 0.0:
        _set_sent(network, out, v, flow, lacking)
        if into >= 0:
            _set_received(network, into, v, flow, lacking)
    elif lacking[v] < 0.0:
        if into >= 0:
            _set_received(network, into, v, flow, lacking)
        _set_sent(network, out, v, flow, lacking)


@compiled_numeric
def _set_received(network: Network, k: int, v: int, flow: Floats, lacking: Floats) -> None:
    before, efficiency = flow[k], network.efficiency[v]
    other = network.tail[k]
    most = network.capacity[network.link_of_arc[k]]
    after = min(max(before + lacking[v] / efficiency, 0.0), most)
    lacking[v] -= efficiency * (after - before)
    lacking[other] += (network.linear[k] + network.square[k] * (after + before)) * (after - before)
    flow[k] = after


@compiled_numeric
def _set_sent(network: Network, k: int, v: int, flow: Floats, lacking: Floats) -> None:
    if k < 0 or lacking[v] == 0.0:
        return
    before, other = flow[k], network.head[k]
    linear, square = network.linear[k], network.square[k]
    most = network.capacity[network.link_of_arc[k]]
    sent = (linear + square * before) * before - lacking[v]
    # The received power of what is sent, in the form that neither cancels nor divides by a square of 0.
    after = (
        2.0 * sent / (linear + np.sqrt(linear * linear + 4.0 * square * sent))
        if sent > 0.0
        else 0.0
    )
    after = min(after, most)
    lacking[v] += (linear + square * (after + before)) * (after - before)
    lacking[other] -= network.efficiency[other] * (after - before)
    flow[k] = after
