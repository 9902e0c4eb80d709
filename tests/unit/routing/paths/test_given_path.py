"""A path that is given is what the search would have made of it."""

import pytest
from hypothesis import given

from controller.routing.paths.given_path import along
from tests.support.graphs import graph_of_arcs
from tests.unit.routing.paths.test_cspf import MOST, Case, ask, cases


@MOST
@given(cases())
def test_a_path_that_was_found_is_found_again(case: Case) -> None:
    path = ask(case)
    if path is not None:
        available_w = case.available_w[path.nodes[0]]
        credit_a = case.limits.get("credit_a")
        given_again = along(
            case.graph, path.arcs, case.sink, case.power_w, available_w, credit_a=credit_a
        )
        assert given_again == path


def test_what_does_not_fit_or_join_is_said() -> None:
    graph = graph_of_arcs([1.0] * 3, [(0, 1, 0.0, 1000.0), (1, 2, 0.0, 1000.0)], ampacity_a=10.0)
    assert along(graph, (0, 1), 2, 10_000.0, 10_000.0) is not None
    assert along(graph, (0, 1), 2, 10_001.0) is None
    assert along(graph, (0, 1), 2, 10_000.0, 9_999.0) is None
    with pytest.raises(ValueError, match="arc 0 leads to router 1, not to 2"):
        along(graph, (0,), 2, 1.0)
