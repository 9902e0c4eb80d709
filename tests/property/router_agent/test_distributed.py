"""Agents against network simplex: random networks, any order of messages, changes at any time, corrupted states."""

import random
from collections.abc import Callable, Iterable
from typing import Literal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.distributed_instances import Optimum, optimum
from router_agent.distributed.coordination import CoordinatedAgent
from router_agent.distributed.messages import Epoch
from router_agent.distributed.problem import Cell, Line, Source
from router_agent.distributed.push_relabel import PushRelabelAgent
from router_agent.distributed.simulated_network import SimulatedNetwork
from router_agent.distributed.successive_shortest_path import SuccessiveShortestPathAgent

Network = SimulatedNetwork[CoordinatedAgent]
LIMIT = 20_000


def scaled(cell: Cell, lines: Iterable[Line]) -> PushRelabelAgent:
    return PushRelabelAgent(cell, lines, first_epsilon=10, local_relabels=2)


AGENTS = {
    "successive-shortest-path": SuccessiveShortestPathAgent,
    "push-relabel": PushRelabelAgent,
    "push-relabel-scaled": scaled,
}
algorithm = pytest.mark.parametrize("agent", AGENTS.values(), ids=list(AGENTS))
exhaustive = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.generate],
)
Agent = Callable[[Cell, Iterable[Line]], CoordinatedAgent]


@st.composite
def cells(draw: st.DrawFn, router: str) -> Cell:
    sources = draw(
        st.lists(st.tuples(st.integers(0, 20), st.integers(-5, 30)), max_size=2), label="sources"
    )
    return Cell(
        router,
        draw(st.one_of(st.just(0), st.integers(0, 15)), label="demand"),
        tuple(Source(f"s{k}", limit, cost) for k, (limit, cost) in enumerate(sources)),
    )


@st.composite
def lines(draw: st.DrawFn, line_id: str, a: str, b: str) -> Line:
    return Line(line_id, a, b, draw(st.integers(0, 20)), draw(st.integers(0, 12)))


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[Cell], list[Line]]:
    """Trees, rings, meshes, parallel lines and islands of up to nine routers."""
    routers = [f"r{k}" for k in range(draw(st.integers(1, 9)))]
    pairs = [
        (routers[draw(st.integers(0, k - 1))], routers[k])
        for k in range(1, len(routers))
        if draw(st.integers(0, 7))  # else an island begins here
    ]
    if len(routers) > 1:
        chord = st.tuples(st.sampled_from(routers), st.sampled_from(routers))
        chords = draw(st.lists(chord, max_size=draw(st.sampled_from([0, 0, 1, 8]))))
        pairs += [(a, b) for a, b in chords if a != b]
    return (
        [draw(cells(router)) for router in routers],
        [draw(lines(f"l{k}", a, b)) for k, (a, b) in enumerate(pairs)],
    )


def check(network: Network) -> None:
    grid = [agent.cell.cell for agent in network.agents.values()]
    assert network.done
    for line in network.lines.values():
        assert network.agents[line.a].ends[line.id].inflow == -network.flows()[line.id]
        assert abs(network.flows()[line.id]) <= line.capacity
    for agent in network.agents.values():
        assert agent.need == 0
        assert agent.cell.within_limits()
    served = sum(cell.demand for cell in grid) - sum(network.unserved().values())
    assert Optimum(served, network.cost()) == optimum(grid, network.lines.values())


def change(network: Network, data: st.DataObject) -> None:
    kinds = ["cell"]
    if len(network.agents) > 1:
        kinds += ["new line"] + ["line", "cut"] * bool(network.lines)
    kind = data.draw(st.sampled_from(kinds), label="kind")
    if kind == "cell":
        network.change_cell(data.draw(cells(data.draw(st.sampled_from(sorted(network.agents))))))
    elif kind == "new line":
        a, b = data.draw(st.permutations(sorted(network.agents)))[:2]
        network.change_line(data.draw(lines(f"new{len(network.lines)}{a}{b}", a, b)))
    else:
        line = network.lines[data.draw(st.sampled_from(sorted(network.lines)))]
        if kind == "cut":
            network.cut_line(line.id)
        else:
            network.change_line(data.draw(lines(line.id, line.a, line.b)))


@algorithm
@exhaustive
@given(networks(), st.sampled_from(["rounds", "random"]), st.integers(0, 9))
def test_flow_is_optimal(
    agent: Agent, grid: tuple[list[Cell], list[Line]], order: Literal["rounds", "random"], seed: int
) -> None:
    network: Network = SimulatedNetwork(agent, *grid, order=order, seed=seed)
    network.start()
    network.run(LIMIT)
    check(network)


@algorithm
@exhaustive
@given(networks(), st.integers(0, 9), st.data())
def test_changes_at_any_time_end_in_the_new_optimum(
    agent: Agent, grid: tuple[list[Cell], list[Line]], seed: int, data: st.DataObject
) -> None:
    network: Network = SimulatedNetwork(agent, *grid, order="random", seed=seed)
    network.start()
    for _ in range(data.draw(st.integers(1, 4), label="changes")):
        network.step(data.draw(st.sampled_from([3, 30, 100, LIMIT]), label="steps"))
        change(network, data)
    network.run(LIMIT)
    check(network)


def corrupt(agent: CoordinatedAgent, chance: random.Random) -> None:
    """Puts nonsense into a part of what an agent remembers; its cell and its lines are given, not remembered."""
    for what in chance.sample(range(7), 3):
        if what == 0:
            agent.price = chance.randint(-(10**9), 10**9)
        elif what == 1:
            agent.epoch = Epoch(chance.randint(0, 20), chance.choice(["a", "r3", "z"]))
        elif what == 2:
            agent.done = not agent.done
        elif what == 3:
            agent.cell.outputs = {source: chance.randint(-9, 99) for source in agent.cell.outputs}
        elif what == 4:
            agent.cell.shortage = chance.randint(-9, 99)
        elif what == 5:
            agent._unacked = chance.randint(-2, 4)
            agent._leads_stage = chance.random() < 0.5
        for end in agent.ends.values():
            if what == 6:
                end.own_total += chance.randint(-30, 30)
                end.their_total += chance.randint(-30, 30)
                end.their_price = chance.randint(-(10**9), 10**9)
            if what == 5:
                end.unacked = chance.randint(-2, 4)
                end.is_child = chance.random() < 0.5


@algorithm
@exhaustive
@given(networks(), st.integers(0, 999), st.sampled_from([10, LIMIT]))
def test_corrupted_states_heal(
    agent: Agent, grid: tuple[list[Cell], list[Line]], seed: int, steps: int
) -> None:
    network: Network = SimulatedNetwork(agent, *grid, order="random", seed=seed)
    network.start()
    network.step(steps)
    chance = random.Random(seed)
    for victim in chance.sample(sorted(network.agents), chance.randint(1, len(network.agents))):
        corrupt(network.agents[victim], chance)
    network.heal(LIMIT)
    check(network)
