"""What keeps loads from more power."""

import numpy as np

from controller.routing.dispatch import binding_cut, dispatch
from controller.routing.graph import PowerGraph, graph_of_links
from tests.support.dispatch_cases import problem_of


def chain(ampacity_a: list[float]) -> PowerGraph:
    routers = len(ampacity_a) + 1
    a, b = np.arange(routers - 1), np.arange(1, routers)
    ones = np.ones(routers - 1)
    return graph_of_links(np.full(routers, 0.99), a, b, ones, 1000 * ones, ampacity_a)


def test_the_full_line_binds_though_losses_come_after_it() -> None:
    problem = problem_of(chain([50.0, 10.0, 50.0]), [0], [1e6], [3], [20e3])
    cut = binding_cut(problem, dispatch(problem), [0])
    assert cut.links == (1,)
    assert cut.sources == ()
    assert cut.nodes.tolist() == [False, False, True, True]


def test_exhausted_sources_bind() -> None:
    problem = problem_of(chain([50.0, 10.0]), [0, 2], [1e3, 2e3], [1, 2], [9e3, 0.0])
    cut = binding_cut(problem, dispatch(problem), [0])
    assert cut.links == ()
    assert cut.sources == (0, 1)


def test_what_others_get_lies_inside() -> None:
    # Router 1 sends on to the load at 2 what the one at 1 lacks.
    problem = problem_of(chain([10.0, 50.0]), [0], [1e6], [1, 2], [5e3, 9e3], load_priority=[0, 1])
    cut = binding_cut(problem, dispatch(problem), [0])
    assert cut.links == (0,)
    assert cut.nodes.tolist() == [False, True, True]


def test_an_island_has_neither() -> None:
    graph = chain([10.0])
    graph.take_out_of_service(0)
    graph.take_out_of_service(1)
    problem = problem_of(graph, [0], [1e6], [1], [5e3])
    cut = binding_cut(problem, dispatch(problem), [0])
    assert cut.links == () and cut.sources == ()
