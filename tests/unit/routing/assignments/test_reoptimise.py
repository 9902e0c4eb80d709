"""Re-optimisation where the best paths are known."""

from typing import Any

import numpy as np
import pytest

from controller.routing.assignments.reoptimise import reoptimise
from controller.routing.assignments.standing import (
    Choice,
    Circuits,
    circuits_of,
    paths_of,
    total_injected_w,
)
from controller.routing.graph import PowerGraph
from tests.support.graphs import graph_of_arcs


def diamond(ampacity_a: float = 50.0) -> PowerGraph:
    """From 0 over 1 (arcs 0, 2: 1 ohm each) or 2 (arcs 1, 3: 3 ohm each) to 3."""
    return graph_of_arcs(
        [1.0] * 4,
        [(0, 1, 1.0, 100.0), (0, 2, 3.0, 100.0), (1, 3, 1.0, 100.0), (2, 3, 3.0, 100.0)],
        ampacity_a,
    )


def standing(
    graph: PowerGraph,
    arcs: list[list[int]],
    power_w: list[float],
    **limits: object,
) -> Circuits:
    """Circuits from 0 to 3, as they are admitted one after the other; their loads are set."""
    current_a = []
    for path, watts in zip(arcs, power_w, strict=True):
        entering_w = watts
        own_a: list[float] = []
        for arc in reversed(path):
            own_a.insert(0, entering_w / graph.voltage_v[arc])
            loss_w = graph.resistance_ohm[arc] * own_a[0] * (2.0 * graph.load_a[arc] + own_a[0])
            entering_w += loss_w
        for arc, added_a in zip(path, own_a, strict=True):
            graph.set_load(arc, graph.load_a[arc] + added_a)
        current_a += own_a
    choice = limits.pop("choice", Choice((0,)))
    assert isinstance(choice, Choice)
    count = len(arcs)
    return circuits_of(
        graph,
        sink=[3] * count,
        power_w=power_w,
        choice=[0] * count,
        choices=[choice],
        source_node=[0],
        source_limit_w=[np.inf],
        paths=paths_of([0] * count, arcs),
        current_a=np.array(current_a),
        **limits,  # type: ignore[arg-type]
    )


def test_a_circuit_goes_home_when_the_better_path_is_free() -> None:
    graph = diamond()
    circuits = standing(graph, [[1, 3]], [500.0])
    plan = reoptimise(graph, circuits)
    (move,) = plan.moves
    assert move.arcs == (0, 2)
    assert move.gain_w == pytest.approx(plan.before_w - plan.after_w)
    moved = total_injected_w(graph, circuits, paths_of([0], [[0, 2]]))
    assert plan.after_w == pytest.approx(moved)


def test_circuits_part_where_that_loses_least() -> None:
    graph = diamond()
    circuits = standing(graph, [[0, 2]] * 4, [300.0] * 4)
    plan = reoptimise(graph, circuits)
    # At 9 A and 3 A both paths cost the same at the margin.
    assert [move.arcs for move in plan.moves] == [(1, 3)]
    assert plan.after_w == plan.target_w
    assert plan.bound_w <= plan.after_w <= plan.bound_w * 1.01


def test_nothing_moves_where_all_is_best() -> None:
    graph = diamond()
    plan = reoptimise(graph, standing(graph, [[0, 2]], [500.0]))
    assert plan.moves == ()
    assert plan.after_w == plan.before_w


def test_capacity_is_kept() -> None:
    graph = diamond(ampacity_a=8.0)
    circuits = standing(graph, [[1, 3], [1, 3]], [300.0, 400.0])
    plan = reoptimise(graph, circuits)
    # Both would go home, but only the larger one has room there.
    assert [(move.circuit, move.arcs) for move in plan.moves] == [(1, (0, 2))]


@pytest.mark.parametrize(
    "limits",
    [
        {"choice": Choice((0,), avoid_nodes=frozenset({1}))},
        {"choice": Choice((0,), avoid_arcs=frozenset({2}))},
        {"max_hops": [1]},
        {"max_injected_w": [1.0]},
    ],
)
def test_constraints_are_kept(limits: dict[str, Any]) -> None:
    graph = diamond()
    plan = reoptimise(graph, standing(graph, [[1, 3]], [500.0], **limits))
    assert plan.moves == ()


def test_nobody_moves_onto_what_is_out_of_service() -> None:
    graph = diamond()
    circuits = standing(graph, [[1, 3]], [500.0])
    graph.take_out_of_service(0)
    assert reoptimise(graph, circuits).moves == ()


def test_no_circuits() -> None:
    graph = diamond()
    assert reoptimise(graph, standing(graph, [], [])).moves == ()


def test_powers_of_all_sizes() -> None:
    graph = diamond(ampacity_a=1e8)
    circuits = standing(graph, [[1, 3], [1, 3]], [1e-6, 2e3])
    plan = reoptimise(graph, circuits)
    assert 1 in {move.circuit for move in plan.moves}
    assert plan.after_w < plan.before_w


def test_a_path_must_lead_from_source_to_sink() -> None:
    graph = diamond()
    with pytest.raises(ValueError, match="path of circuit 0"):
        standing(graph, [[0, 3]], [500.0])


def test_a_power_must_be_above_zero() -> None:
    graph = diamond()
    with pytest.raises(ValueError, match="above 0"):
        standing(graph, [[0, 2]], [0.0])
