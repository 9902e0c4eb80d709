"""Networks for the distributed algorithms, and what networkx makes of them."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import networkx as nx

from router_agent.distributed.problem import Cell, Line, Source


@dataclass(frozen=True)
class Optimum:
    served: int
    cost: int


def optimum(cells: Iterable[Cell], lines: Iterable[Line]) -> Optimum:
    """The most that can be served, and what it costs at least, by network simplex on integers."""
    cells, lines = list(cells), list(lines)
    costs = [line.cost for line in lines]
    costs += [abs(source.cost) for cell in cells for source in cell.sources]
    penalty = (len(cells) + 2) * max(costs, default=0) + 1
    graph = nx.MultiDiGraph()
    graph.add_node("ground", demand=-sum(cell.demand for cell in cells))
    unserved = []
    for cell in cells:
        graph.add_node(cell.router, demand=cell.demand)
        for source in cell.sources:
            graph.add_edge("ground", cell.router, capacity=source.limit, weight=source.cost)
        key = graph.add_edge("ground", cell.router, capacity=cell.demand, weight=penalty)
        unserved.append((cell.router, key))
    for line in lines:
        graph.add_edge(line.a, line.b, capacity=line.capacity, weight=line.cost)
        graph.add_edge(line.b, line.a, capacity=line.capacity, weight=line.cost)
    total, flow = nx.network_simplex(graph)
    missing = sum(flow["ground"][router][key] for router, key in unserved)
    return Optimum(sum(cell.demand for cell in cells) - missing, total - penalty * missing)


def random_cells(
    count: int, seed: int, margin: float = 1.3, highest_cost: int = 100
) -> Sequence[Cell]:
    """Six of ten routers have a load, one of eight has a source; together sources give ``margin`` times the demand."""
    chance = random.Random(seed)
    demands = [chance.randint(1, 20) if chance.random() < 0.6 else 0 for _ in range(count)]
    owners = chance.sample(range(count), max(2, count // 8))
    share = sum(demands) * margin / len(owners)
    sources = {
        owner: Source(
            f"s{owner}", int(share * chance.uniform(0.5, 1.5)), chance.randint(0, highest_cost)
        )
        for owner in owners
    }
    return [
        Cell(f"r{k}", demand, (sources[k],) if k in sources else ())
        for k, demand in enumerate(demands)
    ]


def radial_lines(cells: Sequence[Cell], seed: int) -> list[Line]:
    """A tree: each router hangs on one of the six before it."""
    chance = random.Random(seed)
    pairs = [(chance.randrange(max(0, k - 6), k), k) for k in range(1, len(cells))]
    return _lines(cells, pairs, chance)


def meshed_lines(cells: Sequence[Cell], seed: int) -> list[Line]:
    """The tree of ``radial_lines``, and tie lines until a router has three and a half lines at the mean."""
    chance = random.Random(seed)
    count = len(cells)
    pairs = [(chance.randrange(max(0, k - 6), k), k) for k in range(1, count)]
    ties = min(3 * count // 4, count * (count - 1) // 2 - len(pairs))
    while ties:
        a = chance.randrange(count)
        b = min(count - 1, a + chance.randint(1, 12))
        if a != b and (a, b) not in pairs:
            pairs.append((a, b))
            ties -= 1
    return _lines(cells, pairs, chance)


def _lines(
    cells: Sequence[Cell], pairs: Iterable[tuple[int, int]], chance: random.Random
) -> list[Line]:
    demand = sum(cell.demand for cell in cells)
    return [
        Line(
            f"l{k}",
            cells[a].router,
            cells[b].router,
            chance.randint(demand // 10, demand // 2),
            chance.randint(1, 20),
        )
        for k, (a, b) in enumerate(pairs)
    ]
