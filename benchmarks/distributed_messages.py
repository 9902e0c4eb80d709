"""How many messages and rounds the two distributed algorithms need, on radial and on meshed networks.

There is no peer: the two are compared with each other, and both with the optimum that networkx finds. One router wakes
the others; every message counts, also those that build the tree and find out that a stage has ended. A round is a step
of the longest chain of messages of which each was caused by the one before it. Besides the fresh start, the median of
ten changes of a load by one unit shows what a change costs after it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.distributed_instances import (
    Optimum,
    meshed_lines,
    optimum,
    radial_lines,
    random_cells,
)
from benchmarks.harness import Row, seconds_of
from router_agent.distributed.coordination import CoordinatedAgent
from router_agent.distributed.push_relabel import PushRelabelAgent
from router_agent.distributed.simulated_network import Effort, SimulatedNetwork
from router_agent.distributed.successive_shortest_path import SuccessiveShortestPathAgent

AGENTS: dict[str, type[CoordinatedAgent]] = {
    "successive-shortest-path": SuccessiveShortestPathAgent,
    "push-relabel": PushRelabelAgent,
}
LINES = {"radial": radial_lines, "mesh": meshed_lines}
LIMIT = 20_000_000
CHANGES = 10


@dataclass(frozen=True)
class Outcome:
    fresh: Effort
    change: int
    seconds: float
    optimal: bool


def outcome(agent: type[CoordinatedAgent], kind: str, size: int, seed: int) -> Outcome:
    cells = random_cells(size, seed)
    network = SimulatedNetwork(agent, cells, LINES[kind](cells, seed))
    network.start([cells[0].router])
    seconds, fresh = seconds_of(lambda: network.run(LIMIT))
    optimal = _is_optimal(network)
    chance = random.Random(seed)
    changes = []
    for router in chance.sample(sorted(network.agents), min(size, CHANGES)):
        cell = network.agents[router].cell.cell
        network.change_cell(replace(cell, demand=cell.demand + 1))
        changes.append(network.run(LIMIT).messages)
    return Outcome(fresh, int(median(changes)), seconds, optimal and _is_optimal(network))


def _is_optimal(network: SimulatedNetwork[CoordinatedAgent]) -> bool:
    cells = [agent.cell.cell for agent in network.agents.values()]
    served = sum(cell.demand for cell in cells) - sum(network.unserved().values())
    best = optimum(cells, network.lines.values())
    return network.done and Optimum(served, network.cost()) == best


def _row(kind: str, size: int, seed: int) -> Row:
    found = {name: outcome(agent, kind, size, seed) for name, agent in AGENTS.items()}
    return Row(
        name="distributed-messages",
        size=size,
        instance=f"{kind}, {size} routers, seed {seed}",
        ours_s=found["push-relabel"].seconds,
        peers={},
        agree=all(each.optimal for each in found.values()),
        extra={
            "messages": {name: each.fresh.messages for name, each in found.items()},
            "rounds": {name: each.fresh.rounds for name, each in found.items()},
            "messages_after_change": {name: each.change for name, each in found.items()},
        },
    )


def rows(full: bool) -> Iterator[Row]:
    """The rows, and at the end a table of the messages on the error stream, where progress goes too."""
    found = []
    for kind in LINES:
        # Successive shortest paths take millions of messages beyond, in a meshed network sooner.
        sizes = [10, 30, 100, 300] if full and kind == "radial" else [10, 30, 100]
        for size in sizes:
            for seed in range(1, 6 if full else 3):
                found.append(_row(kind, size, seed))
                yield found[-1]
    Console(stderr=True).print(table(found))


def table(found: list[Row]) -> Table:
    """By network, each pair of columns with the ratio of successive shortest paths to push-relabel."""
    made = Table(title="Messages: successive shortest path / push-relabel = ratio")
    for column in ("network", "messages", "rounds", "messages after a change of one load"):
        made.add_column(column, justify="left" if column == "network" else "right")
    for row in found:
        cells = []
        for key in ("messages", "rounds", "messages_after_change"):
            ssp, push = (row.extra[key][name] for name in AGENTS)
            cells.append(f"{ssp:,} / {push:,} = {ssp / max(1, push):.2f}")
        made.add_row(row.instance + ("" if row.agree else " (NOT OPTIMAL)"), *cells)
    return made
