"""Two disjoint paths of least cost between two routers, against two units of minimum-cost flow of the peers.

Costs are the logarithms of the growth of power along arcs at the requested power, on a network that carries load.
Peers have them as whole millionths (scipy as they are), prepared beforehand, while ours works them out as it
searches, as they change with every admission. Disjoint in links: every arc carries one unit at most; disjoint in
routers: routers are split into two, too. networkx has the quicker of its network simplex and its capacity scaling,
and answers only the first questions, of 1e5 routers none: its seconds are in proportion to what ours takes for
those. scipy has no such flow: there it is Suurballe with its own Dijkstra, for links. OR-Tools' seconds are taken in
its own process, for supplies and solving.

``disjoint-pair-link`` and ``disjoint-pair-router`` take ours as long; networkx has half the nodes for links.

Each has its turn with all questions, one after the other; of five turns the median, by question. Ours is led
by an additive hierarchy, made once for the loads that stand, as the controller does while loads only grow, in
``hierarchy_s`` together with the one for single paths that it is made from;
``landmarks_s`` is a pair led by landmarks that know no loads, ``without_bounds_s`` one led by nothing.
``networkx_dijkstra_s`` is Suurballe's algorithm written by hand with networkx's Dijkstra: not what networkx offers,
but what it can do.
``agree``: by their true costs none of our pairs is dearer than a peer's.
"""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

import numpy as np

from benchmarks.disjoint_pair_peers import Network, Question
from benchmarks.harness import Row, seconds_of
from benchmarks.instances import mesh
from benchmarks.ortools_peer import OrtoolsFlow
from controller.routing.alternatives.disjoint import Disjointness, DisjointPair, PairSearch
from controller.routing.graph import Floats, PowerGraph
from controller.routing.paths.additive_hierarchy import AdditiveHierarchy
from controller.routing.paths.hierarchy import Hierarchy
from controller.routing.paths.landmarks import Landmarks

# What enters the sinks' routers, the same for all, so that peers can keep their costs.
_ENTERING_W = 1e6
_TURNS = 5
# Size: seeds, questions, and how many of them networkx is asked.
_QUICK = {1_000: ((1, 2), 30, 4), 10_000: ((1, 2), 8, 2)}
_FULL = {1_000: (range(1, 6), 60, 10), 10_000: (range(1, 6), 30, 4), 100_000: ((1, 2), 4, 0)}
# Below what the rounding of one arc's cost can make of a peer's choice.
_TOLERANCE = 1e-9

# Answers questions: the seconds for all of them, and the true cost of each.
Way = Callable[[Sequence[Question]], tuple[float, list[float]]]


def rows(full: bool) -> Iterator[Row]:
    for size, (seeds, questions, of_networkx) in (_FULL if full else _QUICK).items():
        for seed in seeds:
            for disjointness in (Disjointness.LINK, Disjointness.ROUTER):
                yield _row(size, seed, disjointness, questions, of_networkx)


def _row(size: int, seed: int, disjointness: Disjointness, count: int, of_networkx: int) -> Row:
    grid = mesh(size, seed, 0.1)
    graph = grid.graph()
    rng = np.random.default_rng([size, seed])
    graph.load_a[:] = graph.ampacity_a * rng.uniform(0.0, 0.45, graph.arc_count)
    graph.headroom_a[:] = graph.ampacity_a - graph.load_a - graph.load_a[graph.twin]
    costs = _costs(graph)
    network = Network(graph, costs, split_routers=disjointness is Disjointness.ROUTER)
    hierarchy_s, hierarchy = seconds_of(lambda: AdditiveHierarchy(Hierarchy(graph, graph.load_a)))
    plain = _ours(graph, PairSearch(graph), disjointness, costs)
    questions: list[Question] = []
    while len(questions) < count:
        source, sink = map(int, rng.choice(size, 2, replace=False))
        if plain([(source, sink)])[1][0] < np.inf:
            questions.append((source, sink))
    with OrtoolsFlow() as ortools:
        network.load(ortools)
        ways: dict[str, Way] = {
            "ours": _ours(graph, PairSearch(graph, hierarchy), disjointness, costs),
            "landmarks": _ours(graph, PairSearch(graph, Landmarks(graph)), disjointness, costs),
            "plain": plain,
            "ortools": lambda asked: network.by_ortools(ortools, asked),
        }
        if disjointness is Disjointness.LINK:
            ways["scipy"] = network.by_scipy
        seconds, found = _by_turns(ways, questions, _TURNS)
    slow: dict[str, Way] = {"networkx": network.by_networkx} if of_networkx else {}
    if disjointness is Disjointness.LINK:
        slow["networkx_dijkstra"] = network.by_networkx_dijkstra
    asked = questions[: max(of_networkx, 1)]
    slow_seconds, slow_found = _by_turns(slow, asked, 1)
    # Whoever answers the first questions only is compared by those: as near ends are, as quick is ours.
    same, _ = _by_turns({"ours": ways["ours"]}, asked, _TURNS)
    all_to_asked = seconds["ours"] / same["ours"]
    seconds |= {name: taken * all_to_asked for name, taken in slow_seconds.items()}
    found |= slow_found
    extra = {
        "hierarchy_s": hierarchy_s,
        "landmarks_s": seconds["landmarks"],
        "without_bounds_s": seconds["plain"],
    }
    if disjointness is Disjointness.LINK:
        extra["networkx_dijkstra_s"] = seconds["networkx_dijkstra"]
    return Row(
        f"disjoint-pair-{disjointness.value}",
        size,
        f"{grid.name} loaded, {disjointness.value}-disjoint, {count} pairs",
        seconds["ours"],
        {name: seconds[name] for name in ("networkx", "ortools", "scipy") if name in seconds},
        all(
            ours <= cost + _TOLERANCE
            for costs_of_one in found.values()
            for ours, cost in zip(found["ours"], costs_of_one, strict=False)
        ),
        extra,
    )


def _by_turns(
    ways: dict[str, Way], questions: Sequence[Question], turns: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Median seconds by question, and the costs that each found."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[float]] = {}
    for _ in range(turns):
        for name, way in ways.items():
            seconds, found[name] = way(questions)
            taken[name].append(seconds / len(questions))
    return {name: median(each) for name, each in taken.items()}, found


def _ours(graph: PowerGraph, search: PairSearch, disjointness: Disjointness, costs: Floats) -> Way:
    def answer(questions: Sequence[Question]) -> tuple[float, list[float]]:
        def pairs() -> list[DisjointPair | None]:
            return [
                search.best(
                    sink, _ENTERING_W * float(graph.efficiency[sink]), [source], disjointness
                ).pair
                for source, sink in questions
            ]

        seconds, found = seconds_of(pairs)
        return seconds, [
            np.inf if pair is None else float(costs[[*pair.first, *pair.second]].sum())
            for pair in found
        ]

    return answer


def _costs(graph: PowerGraph) -> Floats:
    """What arcs add at the requested power, from the physics; infinite where it does not fit."""
    added_a = _ENTERING_W / graph.voltage_v
    lost_w = graph.resistance_ohm * ((graph.load_a + added_a) ** 2 - graph.load_a**2)
    growth = (1.0 + lost_w / _ENTERING_W) / graph.efficiency[graph.tail]
    return np.where(added_a <= graph.headroom_a, np.log(growth), np.inf)
