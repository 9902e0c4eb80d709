"""CSPF against brute force over all simple paths, and against networkx where losses are a plain sum."""

from dataclasses import dataclass, field
from math import exp, inf, log
from typing import Any

import hypothesis.strategies as st
import networkx as nx
import pytest
from hypothesis import given, settings

from controller.routing.graph import PowerGraph
from controller.routing.paths.cspf import RELATIVE_TOLERANCE, Path, PathSearch
from digitalgrid.physics import sent_w
from tests.support.graphs import graph_of_arcs
from tests.support.random_cases import examples
from tests.support.there import there

MOST = settings(max_examples=examples(200))


@dataclass
class Case:
    """A graph with what is reserved on it, and a question."""

    graph: PowerGraph
    sink: int
    power_w: float
    available_w: dict[int, float]
    limits: dict[str, Any] = field(default_factory=dict)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    nodes = draw(st.integers(1, 6))
    node = st.integers(0, nodes - 1)
    efficiency = draw(st.lists(st.floats(0.8, 1.0), min_size=nodes, max_size=nodes))
    ends = draw(st.lists(st.tuples(node, node).filter(lambda e: e[0] != e[1]), max_size=9))
    if nodes == 1:
        ends = []
    ohms = st.floats(0.0, 5.0)
    arcs = [(tail, head, draw(ohms), draw(st.sampled_from([400.0, 1000.0]))) for tail, head in ends]
    graph = graph_of_arcs(efficiency, arcs)
    credit_a = {}
    for arc in range(len(arcs)):
        graph.load_a[arc] = draw(st.floats(0.0, 20.0))
        graph.headroom_a[arc] = draw(st.floats(0.0, 40.0))
        if draw(st.booleans()):
            # A part of what is reserved is the circuit's own.
            credit_a[arc] = graph.load_a[arc] * draw(st.floats(0.0, 1.0))
    arc_sets = st.sets(st.sampled_from(range(len(arcs))), max_size=2) if arcs else st.just(set())
    power_w = draw(st.floats(100.0, 10_000.0))
    limits = {
        "max_hops": draw(st.none() | st.integers(0, 4)),
        "max_injected_w": draw(st.just(inf) | st.floats(1.0, 2.5).map(lambda f: f * power_w)),
        "avoid_nodes": draw(st.sets(node, max_size=1)),
        "avoid_arcs": draw(arc_sets),
        "credit_a": credit_a,
    }
    available_w = draw(st.dictionaries(node, st.floats(0.0, 20_000.0), max_size=3))
    return Case(graph, draw(node), power_w, available_w, limits)


def ask(case: Case) -> Path | None:
    search = PathSearch(case.graph)
    return search.best(case.sink, case.power_w, case.available_w, **case.limits)


def entering_w(case: Case, arcs: list[int]) -> list[float] | None:
    """Power that enters each router of a path, source first; None where it does not fit."""
    graph = case.graph
    power = [case.power_w / graph.efficiency[case.sink]]
    for arc in reversed(arcs):
        received_w, voltage_v = power[0], graph.voltage_v[arc]
        own_a = case.limits.get("credit_a", {}).get(arc, 0.0)
        added_a = received_w / voltage_v
        if added_a > (graph.headroom_a[arc] + own_a) * (1 + RELATIVE_TOLERANCE):
            return None
        # The routers clamp both generations together to the larger.
        before_a = graph.load_a[arc] - min(own_a, added_a)
        sent = sent_w(received_w, graph.resistance_ohm[arc], voltage_v, before_a)
        power.insert(0, sent / graph.efficiency[graph.tail[arc]])
    return power


def simple_paths(case: Case) -> list[tuple[int, list[int]]]:
    """Every way from a candidate source to the sink that the constraints leave: (source node, arcs)."""
    limits, graph = case.limits, case.graph
    network = nx.MultiDiGraph()
    network.add_nodes_from(range(graph.node_count))
    for arc, (tail, head) in enumerate(zip(graph.tail, graph.head, strict=True)):
        if arc not in limits.get("avoid_arcs", ()):
            network.add_edge(tail, head, arc)
    network.remove_nodes_from(limits.get("avoid_nodes", ()))
    found: list[tuple[int, list[int]]] = []
    for node in case.available_w:
        if node in network and case.sink in network:
            if node == case.sink:
                found.append((node, []))
            paths = nx.all_simple_edge_paths(network, node, case.sink)
            found += [(node, [arc for _, _, arc in path]) for path in paths if path]
    most_hops = limits.get("max_hops")
    return [each for each in found if most_hops is None or len(each[1]) <= most_hops]


def least_injected_w(case: Case) -> float:
    best_w = inf
    for node, arcs in simple_paths(case):
        power = entering_w(case, arcs)
        limit_w = min(case.available_w[node], case.limits.get("max_injected_w", inf))
        if power is not None and power[0] <= limit_w * (1 + RELATIVE_TOLERANCE):
            best_w = min(best_w, power[0])
    return best_w


@MOST
@given(cases())
def test_injects_as_little_as_the_best_of_all_paths(case: Case) -> None:
    path = ask(case)
    best_w = least_injected_w(case)
    if path is None:
        assert best_w == inf
    else:
        assert path.injected_w == pytest.approx(best_w, rel=1e-9)


@MOST
@given(cases())
def test_the_path_is_one_and_meets_every_constraint(case: Case) -> None:
    path = ask(case)
    if path is None:
        return
    graph, limits = case.graph, case.limits
    assert path.nodes[-1] == case.sink
    assert path.nodes == (*(graph.tail[arc] for arc in path.arcs), case.sink)
    assert [graph.head[arc] for arc in path.arcs] == list(path.nodes[1:])
    assert list(path.entering_w) == entering_w(case, list(path.arcs))
    assert len(path.arcs) <= (limits["max_hops"] if limits["max_hops"] is not None else inf)
    assert not limits["avoid_nodes"] & set(path.nodes)
    assert not limits["avoid_arcs"] & set(path.arcs)
    most_w = min(case.available_w[path.nodes[0]], limits["max_injected_w"])
    assert path.injected_w <= most_w * (1 + RELATIVE_TOLERANCE)


@MOST
@given(cases())
def test_the_same_question_has_the_same_answer(case: Case) -> None:
    assert ask(case) == ask(case)


@MOST
@given(cases())
def test_agrees_with_dijkstra_where_only_converters_lose(case: Case) -> None:
    graph = case.graph
    graph.resistance_ohm[:] = 0.0
    graph.headroom_a[:] = inf
    case.available_w = dict.fromkeys(case.available_w, inf)
    case.limits = {}
    network = nx.DiGraph()
    network.add_nodes_from(range(graph.node_count))
    for tail, head in zip(graph.tail, graph.head, strict=True):
        network.add_edge(head, tail, weight=-log(graph.efficiency[tail]))
    lost = nx.single_source_dijkstra_path_length(network, case.sink)
    reached = [lost[node] for node in case.available_w if node in lost]
    path = ask(case)
    if path is None:
        assert not reached
    else:
        at_sink_w = case.power_w / graph.efficiency[case.sink]
        assert path.injected_w == pytest.approx(at_sink_w * exp(min(reached)), rel=1e-9)


def two_ways() -> Case:
    """0 -> 3 directly over a poor line, or by 1 and 2 over good ones."""
    arcs = [(0, 1, 0.1, 1000.0), (1, 2, 0.1, 1000.0), (0, 3, 9.0, 1000.0), (2, 3, 0.1, 1000.0)]
    graph = graph_of_arcs([1.0] * 4, arcs, ampacity_a=100.0)
    return Case(graph, 3, 10_000.0, {0: 50_000.0})


def test_takes_the_way_with_less_loss_and_the_short_one_where_hops_are_few() -> None:
    case = two_ways()
    assert there(ask(case)).nodes == (0, 1, 2, 3)
    case.limits = {"max_hops": 2}
    assert there(ask(case)).nodes == (0, 3)
    case.limits = {"max_hops": 0}
    assert ask(case) is None


def test_what_others_reserved_makes_a_way_worse() -> None:
    case = two_ways()
    case.graph.load_a[[0, 1, 3]] = 80.0
    case.graph.resistance_ohm[2] = 3.0
    assert there(ask(case)).nodes == (0, 3)


def test_compares_what_sources_inject_and_not_labels_at_routers() -> None:
    case = two_ways()
    case.available_w = {0: 50_000.0, 2: 10_001.0}
    # Router 2 is nearer, and its source cannot inject what the line to the sink loses.
    assert there(ask(case)).nodes == (0, 1, 2, 3)
    case.available_w[2] = 10_010.0
    assert there(ask(case)).nodes == (2, 3)


def test_a_source_at_the_sinks_router_makes_a_circuit_without_hops() -> None:
    search = PathSearch(graph_of_arcs([0.9], []))
    path = search.best(0, 900.0, {0: 1000.0})
    assert path == Path((0,), (), (1000.0,))
    assert search.best(0, 900.1, {0: 1000.0}) is None


def test_credit_lets_a_circuit_use_again_what_it_holds() -> None:
    case = two_ways()
    case.graph.headroom_a[:] = [4.0, 4.0, 0.0, 4.0]
    alone = ask(two_ways())
    case.graph.load_a[:] = [7.0, 7.0, 0.0, 7.0]
    assert ask(case) is None
    case.limits = {"credit_a": {0: 7.0, 1: 7.0, 3: 7.0}}
    # And what it holds already makes it lose no more than if it were new.
    assert ask(case) == alone


def test_a_link_takes_exactly_what_is_free() -> None:
    search = PathSearch(graph_of_arcs([1.0, 1.0], [(0, 1, 0.0, 1000.0)], ampacity_a=10.0))
    assert search.best(1, 10_000.0, {0: inf}) is not None
    assert search.best(1, 10_000.1, {0: inf}) is None


@pytest.mark.parametrize(
    ("sink", "limits"),
    [
        (99, {}),
        (-1, {}),
        (3, {"avoid_nodes": [4]}),
        (3, {"avoid_arcs": [-1]}),
        (3, {"credit_a": {99: 1.0}}),
        (3, {"max_hops": -1}),
    ],
)
def test_what_is_not_there_is_refused_before_a_kernel_reads_it(
    sink: int, limits: dict[str, Any]
) -> None:
    search = PathSearch(two_ways().graph)
    with pytest.raises(ValueError, match=r"there is no|max_hops is -1"):
        search.best(sink, 1e3, {0: 1e9}, **limits)
    with pytest.raises(ValueError, match="there is no router 7"):
        search.best(3, 1e3, {7: 1e9})
