"""Whatever stands and waits: moves that make room fit one after another, and then so does what is served."""

import numpy as np
import pytest

from controller.routing.assignments.room import Wanted, make_room
from controller.routing.paths.cspf import PathSearch
from tests.support.standing_circuits import held_by, make_move, random_standing


@pytest.mark.parametrize("seed", range(60))
def test_after_the_moves_there_is_a_path_for_each_that_is_served(seed: int) -> None:
    graph, circuits = random_standing(seed)
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 4))
    wanted = Wanted(
        sink=rng.integers(0, graph.node_count, count).tolist(),
        power_w=rng.uniform(500.0, 8000.0, count).tolist(),
        choice=rng.integers(0, len(circuits.choices), count).tolist(),
        choices=circuits.choices,
        max_injected_w=[np.inf] * count,
        max_hops=[graph.node_count] * count,
        rank=rng.integers(0, 3, count).tolist(),
    )
    before_a = graph.load_a.copy()
    plan = make_room(graph, circuits, wanted)
    assert np.array_equal(graph.load_a, before_a)
    assert len({move.circuit for move in plan.moves}) == len(plan.moves)
    held = held_by(circuits)
    for move in plan.moves:
        assert move.source in circuits.choices[circuits.choice[move.circuit]].sources
        make_move(graph, circuits, held, move)
    if not plan.served:
        assert plan.moves == ()
        return
    # One at a time: the others that are served come beside it.
    first = plan.served[0]
    choice = circuits.choices[wanted.choice[first]]
    source_of = {int(circuits.source_node[each]): 1e12 for each in choice.sources}
    path = PathSearch(graph).best(
        wanted.sink[first], wanted.power_w[first], source_of, avoid_nodes=choice.avoid_nodes
    )
    assert path is not None
