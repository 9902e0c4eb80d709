"""Disjoint pairs against brute force over all pairs of simple paths, and against networkx's minimum-cost flow."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from math import inf, log
from typing import Any

import hypothesis.strategies as st
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings

from controller.routing.alternatives.disjoint import Disjointness, DisjointPair, PairSearch
from controller.routing.alternatives.risk_groups import RiskGroups
from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths.additive_hierarchy import AdditiveHierarchy
from controller.routing.paths.cspf import RELATIVE_TOLERANCE
from controller.routing.paths.hierarchy import Hierarchy
from controller.routing.paths.landmarks import Landmarks
from tests.support.random_cases import examples
from tests.support.there import there

GUIDES = ("", "landmarks", "hierarchy", "hierarchy for standing loads")
MOST = settings(max_examples=examples(400))


@dataclass
class Case:
    """A graph with what is reserved on it, the groups of each link, and a question."""

    graph: PowerGraph
    groups: list[set[int]]
    sink: int
    power_w: float
    sources: list[int]
    disjointness: Disjointness
    limits: dict[str, Any] = field(default_factory=dict)
    led_by: str = ""

    def search(self) -> PairSearch:
        guides: dict[str, Callable[[], Landmarks | AdditiveHierarchy | None]] = {
            "": lambda: None,
            "landmarks": lambda: Landmarks(self.graph, count=2),
            "hierarchy": lambda: AdditiveHierarchy(Hierarchy(self.graph)),
            "hierarchy for standing loads": lambda: AdditiveHierarchy(
                Hierarchy(self.graph, self.graph.load_a)
            ),
        }
        return PairSearch(self.graph, guides[self.led_by](), risk_groups(self.groups))


def risk_groups(of_links: list[set[int]]) -> RiskGroups:
    start = np.cumsum([0, *map(len, of_links)], dtype=np.int32)
    groups = [group for groups in of_links for group in sorted(groups)]
    return RiskGroups(start, np.array(groups, dtype=np.int32))


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[Disjointness, ...]) -> Case:
    """Small networks with parallel links, self-loops, islands, lines without loss, lines that are full or down.

    They are drawn at random from a seed, because what hypothesis likes best, few links, has no pairs.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes = int(rng.integers(2, 7))
    links = int(rng.integers(nodes - 1, 13))
    ends = rng.integers(0, nodes, (links, 2))
    graph = graph_of_links(
        np.where(rng.random(nodes) < 0.2, 1.0, rng.uniform(0.8, 1.0, nodes)),
        ends[:, 0],
        ends[:, 1],
        np.where(rng.random(links) < 0.2, 0.0, rng.uniform(0.0, 5.0, links)),
        rng.choice([400.0, 1000.0], links),
        rng.uniform(10.0, 80.0, links),
    )
    for arc in np.flatnonzero(rng.random(2 * links) < 0.4):
        graph.set_load(int(arc), float(rng.uniform(0.0, 20.0)))
    if rng.random() < 0.2:
        graph.take_out_of_service(int(rng.integers(2 * links)))
    limits = {
        "maximally": draw(st.booleans()),
        "from_two_sources": draw(st.booleans()),
        "avoid_nodes": set(rng.integers(0, nodes, int(rng.random() < 0.2)).tolist()),
        "avoid_arcs": set(rng.integers(0, 2 * links, int(rng.random() < 0.3)).tolist()),
    }
    sink = int(rng.integers(nodes))
    sources = rng.integers(0, nodes, int(rng.integers(1, 4))).tolist()
    if rng.random() < 0.9:
        sources = [(sink + 1) % nodes if source == sink else source for source in sources]
    of_group = rng.integers(0, 5, (links, 2))
    group_share = rng.uniform(0.0, 0.6)
    return Case(
        graph,
        [set(each[rng.random(2) < group_share].tolist()) for each in of_group],
        sink,
        float(rng.uniform(100.0, 8_000.0)),
        sources,
        draw(st.sampled_from(kinds)),
        limits,
        draw(st.sampled_from(GUIDES)),
    )


def arc_cost(case: Case, arc: int) -> float:
    """What the arc adds at the power that enters the sink's router, from the physics; infinite if it does not fit."""
    graph = case.graph
    power_w = case.power_w / graph.efficiency[case.sink]
    current_a, voltage_v = power_w / graph.voltage_v[arc], graph.voltage_v[arc]
    if current_a > graph.headroom_a[arc] * (1 + RELATIVE_TOLERANCE):
        return inf
    loss_w = graph.resistance_ohm[arc] * (
        (graph.load_a[arc] + current_a) ** 2 - graph.load_a[arc] ** 2
    )
    return log((current_a * voltage_v + loss_w) / power_w / graph.efficiency[graph.tail[arc]])


def simple_paths(case: Case, source: int) -> list[tuple[int, ...]]:
    graph, limits = case.graph, case.limits
    network = nx.MultiDiGraph()
    network.add_nodes_from(range(graph.node_count))
    for arc, (tail, head) in enumerate(zip(graph.tail, graph.head, strict=True)):
        if arc not in limits["avoid_arcs"] and arc_cost(case, arc) < inf:
            network.add_edge(int(tail), int(head), arc)
    network.remove_nodes_from(limits["avoid_nodes"])
    if source not in network or case.sink not in network:
        return []
    if source == case.sink:
        return [()]
    paths = nx.all_simple_edge_paths(network, source, case.sink)
    return [tuple(arc for _, _, arc in path) for path in paths]


def routers_between(case: Case, path: tuple[int, ...]) -> set[int]:
    return {int(case.graph.head[arc]) for arc in path[:-1]}


def common(case: Case, one: tuple[int, ...], other: tuple[int, ...]) -> tuple[set[int], ...]:
    """Links, routers between the ends, and risk groups that two paths share."""
    links = [{int(case.graph.link[arc]) for arc in path} for path in (one, other)]
    groups = [set().union(*(case.groups[link] for link in each)) for each in links]
    routers = routers_between(case, one) & routers_between(case, other)
    return links[0] & links[1], routers, groups[0] & groups[1]


def counted(case: Case, one: tuple[int, ...], other: tuple[int, ...]) -> int:
    links, routers, groups = common(case, one, other)
    also = {Disjointness.LINK: (), Disjointness.ROUTER: routers, Disjointness.RISK_GROUP: groups}
    return len(links) + len(also[case.disjointness])


def best_of_all_pairs(case: Case) -> tuple[int, float] | None:
    """The fewest shared elements, and the least cost with so many."""
    sources = list(dict.fromkeys(case.sources))
    starts = [sources] if case.limits["from_two_sources"] else [[each] for each in sources]
    best = None
    for start in starts:
        paths = [path for source in start for path in simple_paths(case, source)]
        cost = {path: sum(arc_cost(case, arc) for arc in path) for path in paths}
        for one, other in combinations_with_replacement(paths, 2):
            key = (counted(case, one, other), cost[one] + cost[other])
            if (key[0] == 0 or case.limits["maximally"]) and (best is None or key < best):
                best = key
    return best


def check_that_it_is_a_pair(case: Case, pair: DisjointPair) -> None:
    for path, cost in ((pair.first, pair.first_cost), (pair.second, pair.second_cost)):
        source = int(case.graph.tail[path[0]]) if path else case.sink
        assert source in case.sources
        assert path in simple_paths(case, source)
        assert cost == pytest.approx(sum(arc_cost(case, arc) for arc in path), abs=1e-12)
    assert pair.first_cost <= pair.second_cost
    shared = tuple(map(set, (pair.shared_links, pair.shared_routers, pair.shared_groups)))
    assert shared == common(case, pair.first, pair.second)


def check_against_all_pairs(case: Case) -> None:
    search = case.search()
    ask = (case.sink, case.power_w, case.sources, case.disjointness)
    answer, expected = search.best(*ask, **case.limits), best_of_all_pairs(case)
    assert answer.proven
    assert search.best(*ask, **case.limits) == answer
    if answer.pair is None:
        assert expected is None
        return
    check_that_it_is_a_pair(case, answer.pair)
    shared = counted(case, answer.pair.first, answer.pair.second)
    least = there(expected)
    assert (shared, answer.pair.cost) == (least[0], pytest.approx(least[1], abs=1e-9))


@MOST
@given(cases((Disjointness.LINK, Disjointness.ROUTER)))
def test_is_the_best_of_all_pairs(case: Case) -> None:
    check_against_all_pairs(case)


@MOST
@given(cases((Disjointness.RISK_GROUP,)))
def test_is_the_best_of_all_pairs_with_risk_groups(case: Case) -> None:
    check_against_all_pairs(case)


def mesh(nodes: int, seed: int) -> PowerGraph:
    """Routers on a ring, each joined to the next and to some that are near."""
    rng = np.random.default_rng(seed)
    near = rng.integers(0, nodes, nodes)
    a = np.concatenate([np.arange(nodes), near])
    b = np.concatenate([np.arange(1, nodes + 1), near + rng.integers(2, 8, nodes)]) % nodes
    graph = graph_of_links(
        rng.uniform(0.97, 1.0, nodes),
        a,
        b,
        rng.uniform(0.0, 2.0, len(a)),
        np.full(len(a), 1000.0),
        rng.uniform(20.0, 200.0, len(a)),
    )
    for arc in range(graph.arc_count):
        graph.set_load(arc, rng.uniform(0.0, 10.0))
    return graph


def cost_of_minimum_cost_flow(case: Case, source: int) -> float | None:
    """Two units of flow over arcs of capacity 1, at whole costs; routers are split where they may be used once."""
    scale = 1e9
    network = nx.DiGraph()
    once = case.disjointness is Disjointness.ROUTER
    for node in range(case.graph.node_count):
        between = once and node not in (source, case.sink)
        network.add_edge(("in", node), ("out", node), capacity=1 if between else 2, weight=0)
    for arc in range(case.graph.arc_count):
        cost, tail = arc_cost(case, arc), int(case.graph.tail[arc])
        if cost < inf:
            # A node amid each arc, because parallel ones must stay apart.
            network.add_edge(("out", tail), ("arc", arc), capacity=1, weight=round(cost * scale))
            network.add_edge(("arc", arc), ("in", int(case.graph.head[arc])), capacity=1, weight=0)
    network.add_node(("in", source), demand=-2)
    network.add_node(("out", case.sink), demand=2)
    try:
        return float(nx.network_simplex(network)[0] / scale)
    except nx.NetworkXUnfeasible:
        return None


@pytest.mark.parametrize("disjointness", [Disjointness.LINK, Disjointness.ROUTER])
@pytest.mark.parametrize("seed", range(4))
def test_costs_what_the_minimum_cost_flow_does(disjointness: Disjointness, seed: int) -> None:
    graph = mesh(120, seed)
    groups: list[set[int]] = [set() for _ in range(graph.arc_count // 2)]
    rng = np.random.default_rng(seed)
    found = 0
    for round_ in range(6):
        source, sink = map(int, rng.choice(120, 2, replace=False))
        limits: dict[str, Any] = {"avoid_nodes": set(), "avoid_arcs": set()}
        case = Case(
            graph, groups, sink, 15_000.0, [source], disjointness, limits, GUIDES[round_ % 4]
        )
        pair = case.search().best(sink, case.power_w, [source], disjointness).pair
        expected = cost_of_minimum_cost_flow(case, source)
        if pair is None:
            assert expected is None
            continue
        found += 1
        assert counted(case, pair.first, pair.second) == 0
        assert pair.cost == pytest.approx(expected, abs=1e-6)
    assert found > 2


def ring_with_chord() -> PowerGraph:
    """0 - 1 - 2 - 3 - 0, and 1 - 3; the shortest path from 0 to 2 is 0 - 1 - 3 - 2, in the way of any other pair."""
    a, b = [0, 1, 2, 3, 1], [1, 2, 3, 0, 3]
    return graph_of_links([1.0] * 4, a, b, [1.0, 9.0, 1.0, 9.0, 1.0], [1e3] * 5, [100.0] * 5)


def nodes_of(graph: PowerGraph, path: tuple[int, ...]) -> list[int]:
    return [int(graph.tail[path[0]]), *graph.head[list(path)].tolist()]


def test_takes_back_a_part_of_the_shortest_path_where_that_is_in_the_way() -> None:
    graph = ring_with_chord()
    for disjointness in Disjointness:
        answer = PairSearch(graph).best(2, 1_000.0, [0], disjointness)
        assert answer.proven
        pair = there(answer.pair)
        assert sorted(nodes_of(graph, path) for path in (pair.first, pair.second)) == [
            [0, 1, 2],
            [0, 3, 2],
        ]


def two_rings() -> PowerGraph:
    """Two rings that meet in router 2, and a single line from 4 to 5."""
    a, b = [0, 1, 0, 3, 2, 4, 2, 6, 4], [1, 2, 3, 2, 4, 2, 6, 4, 5]
    return graph_of_links([1.0] * 7, a, b, [1.0] * 9, [1e3] * 9, [100.0] * 9)


def test_names_what_no_pair_can_avoid() -> None:
    graph = two_rings()
    search = PairSearch(graph)
    assert there(search.best(4, 1_000.0, [0]).pair).shared_routers == (2,)
    assert search.best(4, 1_000.0, [0], Disjointness.ROUTER).pair is None
    pair = there(search.best(4, 1_000.0, [0], Disjointness.ROUTER, maximally=True).pair)
    assert (pair.shared_routers, pair.shared_links) == ((2,), ())
    assert search.best(5, 1_000.0, [0]).pair is None
    pair = there(search.best(5, 1_000.0, [0], maximally=True).pair)
    assert (pair.shared_routers, pair.shared_links) == ((2, 4), (8,))


def test_the_only_path_twice_is_as_disjoint_as_it_gets_on_a_line() -> None:
    graph = graph_of_links([1.0] * 3, [0, 1], [1, 2], [1.0] * 2, [1e3] * 2, [100.0] * 2)
    for disjointness in Disjointness:
        answer = PairSearch(graph).best(2, 1_000.0, [0], disjointness, maximally=True)
        assert answer.proven
        pair = there(answer.pair)
        assert pair.first == pair.second
        assert pair.shared_links == (0, 1)


def test_both_directions_of_a_link_are_one() -> None:
    # Were they two, 0 - 1 - 2 - 3 and 0 - 2 - 1 - 3 would be a pair.
    a, b = [0, 0, 1, 1, 2], [1, 2, 2, 3, 3]
    graph = graph_of_links([1.0] * 4, a, b, [1.0, 9.0, 1.0, 9.0, 1.0], [1e3] * 5, [100.0] * 5)
    pair = there(PairSearch(graph).best(3, 1_000.0, [0]).pair)
    assert not pair.shared_links
    assert len(set(graph.link[[*pair.first, *pair.second]])) == 4


def test_parallel_links_are_disjoint_unless_one_event_takes_both() -> None:
    graph = graph_of_links([1.0] * 2, [0, 0], [1, 1], [1.0, 2.0], [1e3] * 2, [100.0] * 2)
    assert PairSearch(graph).best(1, 1_000.0, [0], Disjointness.ROUTER).pair is not None
    search = PairSearch(graph, risk_groups=risk_groups([{7}, {7}]))
    assert search.best(1, 1_000.0, [0], Disjointness.RISK_GROUP).pair is None
    pair = there(search.best(1, 1_000.0, [0], Disjointness.RISK_GROUP, maximally=True).pair)
    assert (pair.shared_links, pair.shared_groups) == ((), (7,))


@pytest.mark.parametrize("seed", range(20))
def test_where_no_risk_is_on_all_paths_but_each_pair_shares_one(seed: int) -> None:
    """Two times three parallel links; of three, any two are in a group that the third is not in."""
    rng = np.random.default_rng(seed)
    a, b = [0] * 3 + [1] * 3, [1] * 3 + [2] * 3
    ohms = rng.uniform(0.5, 9.0, 6)
    graph = graph_of_links([0.99] * 3, a, b, ohms, [1e3] * 6, [100.0] * 6)
    groups = [{0, 1}, {1, 2}, {0, 2}, {3, 4}, {4, 5}, {3, 5}]
    if rng.random() < 0.5:
        groups[int(rng.integers(6))].add(int(rng.integers(6)))
    limits = {
        "maximally": True,
        "from_two_sources": False,
        "avoid_nodes": set(),
        "avoid_arcs": set(),
    }
    check_against_all_pairs(Case(graph, groups, 2, 5_000.0, [0], Disjointness.RISK_GROUP, limits))


def test_two_sources_only_where_that_is_asked_for() -> None:
    graph = graph_of_links([1.0] * 3, [0, 2], [1, 1], [1.0] * 2, [1e3] * 2, [100.0] * 2)
    search = PairSearch(graph)
    assert search.best(1, 1_000.0, [0, 2]).pair is None
    pair = there(search.best(1, 1_000.0, [0, 2], from_two_sources=True).pair)
    assert {int(graph.tail[path[0]]) for path in (pair.first, pair.second)} == {0, 2}


def grid_with_groups(side: int, seed: int) -> Case:
    """A grid in which each group takes two links that leave the same router, at most of the routers."""
    rng = np.random.default_rng(seed)
    place = np.arange(side * side).reshape(side, side)
    across = [place[:, :-1].ravel(), place[:-1, :].ravel()]
    along_ = [place[:, 1:].ravel(), place[1:, :].ravel()]
    a, b = np.concatenate(across), np.concatenate(along_)
    links = len(a)
    graph = graph_of_links(
        rng.uniform(0.97, 1.0, side * side),
        a,
        b,
        rng.uniform(0.5, 2.0, links),
        [1e3] * links,
        [100.0] * links,
    )
    groups: list[set[int]] = [set() for _ in range(links)]
    for router in range(side * side):
        at = np.flatnonzero((a == router) | (b == router))
        if rng.random() < 0.5:
            for link in rng.choice(at, 2, replace=False):
                groups[link].add(router)
    limits: dict[str, Any] = {"avoid_nodes": set(), "avoid_arcs": set()}
    return Case(graph, groups, side * side - 1, 5_000.0, [0], Disjointness.RISK_GROUP, limits)


def test_a_limit_on_first_paths_is_told() -> None:
    proven = 0
    for seed in range(12):
        case = grid_with_groups(12, seed)
        search = case.search()
        ask = (case.sink, case.power_w, case.sources, case.disjointness)
        few, many = search.best(*ask, most_first_paths=1), search.best(*ask)
        proven += few.proven
        if many.pair is None:
            assert few.pair is None
            continue
        check = {"maximally": False, "from_two_sources": False}
        case.limits |= check
        assert counted(case, many.pair.first, many.pair.second) == 0
        if few.pair is not None and many.proven:
            assert there(many.pair).cost <= few.pair.cost
        if few.proven:
            assert there(few.pair).cost == pytest.approx(there(many.pair).cost)
    assert 0 < proven < 12


@pytest.mark.parametrize("power_w", [0.0, -1.0, inf, float("nan")])
def test_refuses_what_is_no_power(power_w: float) -> None:
    with pytest.raises(ValueError, match="above 0 W"):
        PairSearch(ring_with_chord()).best(2, power_w, [0])


def test_refuses_routers_arcs_and_links_that_are_not_there() -> None:
    graph = ring_with_chord()
    search = PairSearch(graph)
    with pytest.raises(ValueError, match="router numbers go from 0 to 3"):
        search.best(4, 1.0, [0])
    with pytest.raises(ValueError, match="router numbers"):
        search.best(2, 1.0, [-1])
    with pytest.raises(ValueError, match="arc numbers go from 0 to 9"):
        search.best(2, 1.0, [0], avoid_arcs=[10])
    with pytest.raises(ValueError, match="4 links of 5"):
        PairSearch(graph, risk_groups=risk_groups([set()] * 4))


def test_without_sources_there_is_no_pair() -> None:
    assert PairSearch(ring_with_chord()).best(2, 1.0, []).pair is None
