"""Moves that make room, where it is known which they are."""

from math import inf

import numpy as np

from controller.routing.assignments.room import RoomPlan, Wanted, make_room
from controller.routing.assignments.standing import Choice, Circuits
from controller.routing.graph import PowerGraph
from tests.unit.routing.assignments.test_reoptimise import diamond, standing

OVER_1 = Choice((0,), avoid_nodes=frozenset({2}))


def wanted(power_w: float, choice: Choice = OVER_1, rank: int = 0, **more: float) -> Wanted:
    return Wanted(
        sink=[3],
        power_w=[power_w],
        choice=[0],
        choices=[choice],
        max_injected_w=[more.get("max_injected_w", inf)],
        max_hops=[int(more.get("max_hops", 9))],
        rank=[rank],
    )


def crowded() -> tuple[PowerGraph, Circuits]:
    """Two circuits fill the way over 1; nothing stands on the way over 2."""
    graph = diamond()
    return graph, standing(graph, [[0, 2], [0, 2]], [2000.0, 1500.0])


def test_who_can_go_another_way_makes_room_for_who_cannot() -> None:
    graph, circuits = crowded()
    loads = graph.load_a.copy()
    plan = make_room(graph, circuits, wanted(1200.0))
    assert plan.served == (0,)
    # One is enough, though both could go.
    (move,) = plan.moves
    assert move.arcs == (1, 3)
    assert np.array_equal(graph.load_a, loads)


def test_nobody_moves_where_it_would_not_help() -> None:
    graph, circuits = crowded()
    assert make_room(graph, circuits, wanted(6000.0)) == RoomPlan()
    assert make_room(graph, circuits, wanted(2000.0, max_injected_w=2001.0)) == RoomPlan()
    assert make_room(graph, circuits, wanted(2000.0, max_hops=1)) == RoomPlan()


def test_where_there_is_room_already_nobody_has_to_move() -> None:
    graph, circuits = crowded()
    over_2 = Choice((0,), avoid_nodes=frozenset({1}))
    assert make_room(graph, circuits, wanted(2000.0, over_2)) == RoomPlan((), (0,))


def test_of_two_that_cannot_both_be_served_the_more_urgent_is() -> None:
    graph, circuits = crowded()
    both = Wanted(
        sink=[3, 3],
        power_w=[1300.0, 1200.0],
        choice=[0, 0],
        choices=[OVER_1],
        max_injected_w=[inf, inf],
        max_hops=[9, 9],
        rank=[0, 3],
    )
    assert make_room(graph, circuits, both).served == (1,)


def test_with_nobody_waiting_there_is_nothing_to_do() -> None:
    graph, circuits = crowded()
    nobody = Wanted([], [], [], [], [], [], [])
    assert make_room(graph, circuits, nobody) == RoomPlan()


def test_what_a_converter_lets_through_is_nobodys_room() -> None:
    """Over 2 there are lines, but 2 converts no more than 1 kW."""
    graph, circuits = crowded()
    graph.through_w = {2: 1000.0}
    over_2 = Choice((0,), avoid_nodes=frozenset({1}))
    assert make_room(graph, circuits, wanted(2000.0, over_2)) == RoomPlan()
    assert make_room(graph, circuits, wanted(700.0, over_2)) == RoomPlan((), (0,))
    # Nor can anybody go there to make room over 1.
    assert make_room(graph, circuits, wanted(1200.0)) == RoomPlan()
    graph.through_w = {2: 2300.0}
    (move,) = make_room(graph, circuits, wanted(1200.0)).moves
    assert (move.circuit, move.arcs) == (1, (1, 3))


def test_who_leaves_a_converter_makes_room_in_it_and_its_passage_is_no_hop() -> None:
    """Node 1 is full with what stands there, and lets through no more."""
    graph, circuits = crowded()
    graph.through_w = {1: 0.0, 2: 9000.0, 3: 9000.0}
    plan = make_room(graph, circuits, wanted(1200.0, max_hops=2))
    assert plan.served == (0,)
    assert [move.arcs for move in plan.moves] == [(1, 3)]
    assert make_room(graph, circuits, wanted(1200.0, max_hops=1)) == RoomPlan()
