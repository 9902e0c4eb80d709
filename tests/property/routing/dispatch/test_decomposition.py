"""Circuits of a dispatch, admitted one by one by the controller's own rule, carry exactly what was dispatched."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from controller.routing.dispatch import (
    Dispatch,
    DispatchProblem,
    PlannedCircuit,
    decompose,
    dispatch,
)
from controller.routing.graph import graph_of_links
from tests.support.dispatch_cases import random_problem
from tests.support.random_cases import examples

MOST = settings(max_examples=examples(150))


def admit_all(
    problem: DispatchProblem, circuits: tuple[PlannedCircuit, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Current added to each arc, and what each source injects; no arc may be overdrawn."""
    graph = problem.graph
    added_a = np.zeros(graph.arc_count)
    injected_w = np.zeros(len(problem.source_node))
    for circuit in circuits:
        assert circuit.nodes[0] == problem.source_node[circuit.source]
        assert circuit.nodes[-1] == problem.load_node[circuit.load]
        entering_w = circuit.delivered_w / graph.efficiency[circuit.nodes[-1]]
        for arc in reversed(circuit.arcs):
            own_a = entering_w / graph.voltage_v[arc]
            both_a = added_a[arc] + (added_a[graph.twin[arc]] if graph.twin[arc] >= 0 else 0.0)
            assert both_a + own_a <= graph.headroom_a[arc] * (1 + 1e-6)
            before_a = graph.load_a[arc] + added_a[arc]
            added_a[arc] += own_a
            loss_w = graph.resistance_ohm[arc] * own_a * (2 * before_a + own_a)
            entering_w = (entering_w + loss_w) / graph.efficiency[graph.tail[arc]]
        assert abs(entering_w - circuit.injected_w) <= 1e-9 * entering_w
        injected_w[circuit.source] += entering_w
    return added_a, injected_w


def assert_same(problem: DispatchProblem, answer: Dispatch) -> tuple[PlannedCircuit, ...]:
    circuits = decompose(problem, answer)
    added_a, injected_w = admit_all(problem, circuits)
    planned_a = answer.received_w / problem.graph.voltage_v
    much_a = planned_a.max(initial=0.0)
    np.testing.assert_allclose(added_a, planned_a, rtol=1e-7, atol=1e-9 * much_a)
    much_w = answer.generated_w.max(initial=0.0)
    np.testing.assert_allclose(injected_w, answer.generated_w, rtol=1e-7, atol=1e-9 * much_w)
    delivered_w = np.zeros(len(problem.load_node))
    for circuit in circuits:
        delivered_w[circuit.load] += circuit.delivered_w
    np.testing.assert_allclose(delivered_w, answer.served_w, rtol=1e-9)
    return circuits


@MOST
@given(st.integers(0, 10**6))
def test_circuits_add_up_to_the_flows(seed: int) -> None:
    problem = random_problem(seed)
    circuits = assert_same(problem, dispatch(problem))
    for circuit in circuits:
        assert circuit.delivered_w > 0.0
        assert len(set(circuit.nodes)) == len(circuit.nodes)


@settings(MOST, max_examples=examples(30))
@given(st.integers(0, 10**6))
def test_circuits_of_larger_networks_are_few(seed: int) -> None:
    problem = random_problem(seed, most_routers=60)
    answer = dispatch(problem)
    circuits = assert_same(problem, answer)
    arcs = int(np.count_nonzero(answer.received_w))
    sources = int(np.count_nonzero(answer.generated_w))
    # Each cut closes an arc or a source.
    assert len(circuits) <= np.count_nonzero(answer.served_w) + arcs + sources


@MOST
@given(st.integers(0, 10**6))
def test_without_the_slivers_no_circuit_needs_more(seed: int) -> None:
    problem = random_problem(seed)
    circuits = decompose(problem, dispatch(problem))
    kept = tuple(circuit for circuit in circuits if not circuit.is_residue)
    lost_w = sum(circuit.delivered_w for circuit in circuits if circuit.is_residue)
    assert lost_w <= len(circuits)
    for circuit, injected_w in zip(kept, injected_in_turn(problem, kept), strict=True):
        assert injected_w <= circuit.injected_w * (1 + 1e-9)


def injected_in_turn(problem: DispatchProblem, circuits: tuple[PlannedCircuit, ...]) -> list[float]:
    graph, load_a = problem.graph, problem.graph.load_a.copy()
    injected_w = []
    for circuit in circuits:
        entering_w = circuit.delivered_w / graph.efficiency[circuit.nodes[-1]]
        for arc in reversed(circuit.arcs):
            own_a = entering_w / graph.voltage_v[arc]
            loss_w = graph.resistance_ohm[arc] * own_a * (2 * load_a[arc] + own_a)
            load_a[arc] += own_a
            entering_w = (entering_w + loss_w) / graph.efficiency[graph.tail[arc]]
        injected_w.append(float(entering_w))
    return injected_w


def test_a_load_is_cut_as_often_as_it_has_sources_and_comes_before_the_next_one() -> None:
    graph = graph_of_links([0.95, 0.98], [0], [1], [0.5], [1e4], [50.0])
    problem = DispatchProblem(
        graph,
        source_node=np.zeros(120, dtype=np.int32),
        source_max_w=np.full(120, 1e3),
        load_node=np.array([1, 1], dtype=np.int32),
        load_power_w=np.array([2e4, 7e4]),
    )
    circuits = assert_same(problem, dispatch(problem))
    assert len(circuits) > 100
    assert [circuit.load for circuit in circuits] == sorted(
        (circuit.load for circuit in circuits), reverse=True
    )
