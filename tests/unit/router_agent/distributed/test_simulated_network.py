import pytest

from router_agent.distributed.problem import Cell, Line, Source, UnusableProblem
from router_agent.distributed.push_relabel import PushRelabelAgent
from router_agent.distributed.simulated_network import NotSettled, SimulatedNetwork

CELLS = [Cell("a", sources=(Source("pv", 10, 3),)), Cell("b"), Cell("c", demand=4)]
LINES = [Line("ab", "a", "b", 5, 1), Line("bc", "c", "b", 5, 2)]


def test_counts_messages_and_the_longest_chain() -> None:
    network = SimulatedNetwork(PushRelabelAgent, CELLS, LINES)
    network.start(["a"])
    assert not network.step(3)
    effort = network.run()
    # Join and echo, prices, power and its end: each goes to the end of the chain of three, and back but for the last.
    assert effort.rounds >= 2 * 7
    assert effort.messages >= effort.rounds
    assert network.flows() == {"ab": 4, "bc": -4}
    assert network.cost() == 4 * (3 + 1 + 2)
    assert network.run().messages == 0


def test_the_same_seed_takes_the_same_course() -> None:
    efforts = []
    for seed in (1, 1, 2):
        network = SimulatedNetwork(PushRelabelAgent, CELLS, LINES, order="random", seed=seed)
        network.start()
        efforts.append(network.run())
    assert efforts[0] == efforts[1]


def test_a_run_beyond_its_bound_says_so() -> None:
    network = SimulatedNetwork(PushRelabelAgent, CELLS, LINES)
    network.start()
    with pytest.raises(
        NotSettled, match="3 routers with 2 lines have not settled after 5 messages"
    ):
        network.run(limit=5)


def test_what_is_under_way_is_lost_with_its_line() -> None:
    network = SimulatedNetwork(PushRelabelAgent, CELLS, LINES)
    network.start()
    network.step(2)
    network.cut_line("bc")
    network.run()
    assert network.flows() == {"ab": 0}
    assert network.unserved() == {"c": 4}


def test_a_line_stays_where_it_is() -> None:
    network = SimulatedNetwork(PushRelabelAgent, CELLS, LINES)
    with pytest.raises(UnusableProblem, match="line ab joins a and b: cut it before"):
        network.change_line(Line("ab", "a", "c", 1, 1))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Line("x", "a", "a", 1, 1), "line x: both ends are router a"),
        (lambda: Line("x", "a", "b", -1, 1), "line x: capacity is -1, want 0 or more"),
        (lambda: Line("x", "a", "b", 1, -1), "line x: cost is -1, want 0 or more"),
        (lambda: Source("s", -1, 1), "source s: limit is -1"),
        (lambda: Cell("a", -1), "router a: demand is -1"),
        (lambda: Cell("a", 1, (Source("s", 1, 1), Source("s", 2, 1))), "two sources have the same"),
        (lambda: SimulatedNetwork(PushRelabelAgent, CELLS, [Line("x", "a", "z", 1, 1)]), "at z"),
        (lambda: SimulatedNetwork(PushRelabelAgent, CELLS + CELLS, []), "router a is there twice"),
    ],
)
def test_meaningless_numbers_are_refused(make, complaint: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnusableProblem, match=complaint):
        make()
