"""Both algorithms on networks that one can work out by hand, and what a change costs them."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from benchmarks.distributed_instances import (
    Optimum,
    meshed_lines,
    optimum,
    radial_lines,
    random_cells,
)
from router_agent.distributed.coordination import CoordinatedAgent
from router_agent.distributed.messages import Epoch, Frame, Hello, Join
from router_agent.distributed.problem import Cell, Line, Source, UnusableProblem
from router_agent.distributed.push_relabel import PushRelabelAgent
from router_agent.distributed.simulated_network import SimulatedNetwork
from router_agent.distributed.successive_shortest_path import SuccessiveShortestPathAgent

AGENTS = [SuccessiveShortestPathAgent, PushRelabelAgent]
both = pytest.mark.parametrize("agent", AGENTS)
Agent = Callable[[Cell, Iterable[Line]], CoordinatedAgent]
Network = SimulatedNetwork[CoordinatedAgent]

SUN, COAL = Source("sun", 5, 0), Source("coal", 100, 10)


def settled(agent: Agent, cells: Iterable[Cell], lines: Iterable[Line]) -> Network:
    network: Network = SimulatedNetwork(agent, cells, lines)
    network.start()
    network.run()
    assert network.done
    return network


def result(network: Network) -> Optimum:
    demand = sum(agent.cell.cell.demand for agent in network.agents.values())
    return Optimum(demand - sum(network.unserved().values()), network.cost())


@both
def test_the_cheaper_source_comes_first_and_the_other_fills_up(agent: Agent) -> None:
    cells = [Cell("a", 0, (SUN,)), Cell("b", 8), Cell("c", 0, (COAL,))]
    network = settled(agent, cells, [Line("ab", "a", "b", 9, 1), Line("bc", "b", "c", 9, 1)])
    assert network.flows() == {"ab": 5, "bc": -3}
    assert network.agents["c"].outputs == {"coal": 3}


@both
def test_what_no_line_can_bring_is_unserved_where_it_is_missing(agent: Agent) -> None:
    cells = [Cell("a", 2, (COAL,)), Cell("b", 8), Cell("island", 3)]
    network = settled(agent, cells, [Line("ab", "a", "b", 6, 1)])
    assert network.unserved() == {"b": 2, "island": 3}
    assert network.cost() == 8 * 10 + 6


@both
def test_a_router_alone_serves_itself_by_its_cheapest_sources(agent: Agent) -> None:
    network = settled(agent, [Cell("a", 7, (COAL, SUN, Source("wind", 1, 0)))], [])
    assert network.agents["a"].outputs == {"coal": 1, "sun": 5, "wind": 1}


@both
def test_parallel_lines_are_filled_in_the_order_of_their_cost(agent: Agent) -> None:
    lines = [Line(f"l{cost}", "b", "a", 4, cost) for cost in (3, 1, 2)]
    network = settled(agent, [Cell("a", 9), Cell("b", 0, (COAL,))], lines)
    assert network.flows() == {"l3": 1, "l1": 4, "l2": 4}


@both
def test_a_source_that_pays_is_used_before_one_that_is_free_but_not_without_demand(
    agent: Agent,
) -> None:
    paying = Source("paying", 4, -2)
    network = settled(agent, [Cell("a", 3, (SUN, paying)), Cell("b", 0, (paying,))], [])
    assert network.agents["a"].outputs == {"sun": 0, "paying": 3}
    assert network.agents["b"].outputs == {"paying": 0}


@both
def test_a_small_load_beside_a_huge_one(agent: Agent) -> None:
    cells = [Cell("a", 1, (Source("plant", 10**15, 7),)), Cell("b", 10**15)]
    network = settled(agent, cells, [Line("ab", "a", "b", 10**15, 1)])
    assert network.unserved() == {"b": 1} or network.unserved() == {"a": 1}
    assert result(network) == optimum(cells, network.lines.values())


@both
@pytest.mark.parametrize("lines_of", [radial_lines, meshed_lines])
def test_a_small_change_costs_less_than_a_fresh_start(agent: Agent, lines_of) -> None:  # type: ignore[no-untyped-def]
    cells = random_cells(40, seed=3)
    network: Network = SimulatedNetwork(agent, cells, lines_of(cells, seed=3))
    network.start(["r0"])
    fresh = network.run().messages
    for router in ("r7", "r23", "r31"):
        former = network.agents[router].cell.cell
        network.change_cell(replace(former, demand=former.demand + 1))
        assert network.run().messages < fresh
        now = [each.cell.cell for each in network.agents.values()]
        assert result(network) == optimum(now, network.lines.values())


@both
def test_unchanged_and_sound_neighbours_only_greet_each_other(agent: Agent) -> None:
    network = settled(agent, [Cell("a", 0, (COAL,)), Cell("b", 8)], [Line("ab", "a", "b", 9, 1)])
    epoch = network.agents["a"].epoch
    assert network.heal().messages == 2
    assert network.agents["b"].epoch == epoch


@both
def test_a_router_whose_neighbour_holds_another_flow_begins_again(agent: Agent) -> None:
    network = settled(agent, [Cell("a", 0, (COAL,)), Cell("b", 8)], [Line("ab", "a", "b", 9, 1)])
    b = network.agents["b"]
    frame = Frame(b.epoch, b.ends["ab"].own_total + 1, b.price, Hello(None))
    assert network.agents["a"].on_message("ab", frame) == []  # not done itself, it says
    certificate = b.on_hello()[0][1].body
    replies = network.agents["a"].on_message("ab", replace(frame, total=99, body=certificate))
    assert [type(reply.body) for _, reply in replies] == [Join]


@both
def test_any_single_corruption_is_noticed_and_mended(agent: Agent) -> None:
    cells = [Cell("a", 0, (COAL,)), Cell("b", 8), Cell("c", 2, (SUN,))]
    network = settled(agent, cells, [Line("ab", "a", "b", 9, 1), Line("bc", "b", "c", 9, 1)])
    right = network.flows()

    def mend() -> None:
        network.heal()
        assert network.flows() == right
        assert network.agents["a"].outputs == {"coal": 5}

    network.agents["a"].cell.outputs["coal"] = 7
    mend()
    network.agents["b"].cell.shortage = 1
    mend()
    network.agents["b"].price *= 3
    mend()
    network.agents["a"].ends["ab"].own_total += 1
    mend()
    network.agents["b"].ends["bc"].their_total += 1
    mend()
    network.agents["c"].epoch = Epoch(99, "c")
    mend()
    network.agents["b"].done = False
    mend()


@both
def test_frames_of_a_former_epoch_only_tell_the_flow(agent: Agent) -> None:
    router = agent(Cell("a"), [Line("ab", "a", "b", 9, 1)])
    router.on_start()
    assert router.on_message("ab", Frame(Epoch(0, "b"), 7, 5, Join())) == []
    assert router.ends["ab"].inflow == 7
    assert router.on_message("no such line", Frame(Epoch(9, "b"), 7, 5, Join())) == []


def test_costs_beyond_what_a_penalty_can_top_are_refused() -> None:
    with pytest.raises(UnusableProblem, match="too high"):
        settled(SuccessiveShortestPathAgent, [Cell("a", 1, (Source("s", 1, 1 << 61),))], [])
