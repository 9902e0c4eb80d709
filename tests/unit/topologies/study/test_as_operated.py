import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.study_cases import VOLTAGE_V, study_case
from topologies.study.as_operated import AsOperated, _Mesh
from topologies.study.case import StudyCase


def by_recursion(case: StudyCase, needed_w: list[float]) -> tuple[float, float]:
    """Loss and what the external grid gives, straight from the definition of a line."""
    tree = nx.Graph()
    for k in range(len(case.link_a)):
        tree.add_edge(int(case.link_a[k]), int(case.link_b[k]), ohm=float(case.resistance_ohm[k]))

    def gather(node: int, parent: int | None) -> tuple[float, float]:
        need_w, lost_w = needed_w[node], 0.0
        for child in tree[node]:
            if child == parent:
                continue
            child_w, child_lost_w = gather(child, node)
            ohm = tree[node][child]["ohm"]
            if child_w >= 0.0:
                loss_w = ohm * (child_w / VOLTAGE_V) ** 2
            else:
                # What is received of the surplus solves received + ohm * (received / U)**2 = surplus.
                square = ohm / VOLTAGE_V**2
                received_w = -child_w
                if square > 0.0:
                    received_w = (math.sqrt(1 - 4 * square * child_w) - 1) / (2 * square)
                loss_w = -child_w - received_w
            need_w += child_w + loss_w
            lost_w += child_lost_w + loss_w
        return need_w, lost_w

    if len(tree) == 0:
        return needed_w[0], 0.0
    need_w, lost_w = gather(0, None)
    return need_w, lost_w


@st.composite
def trees(draw: st.DrawFn) -> tuple[StudyCase, list[float]]:
    nodes = draw(st.integers(1, 12))
    links = [
        (draw(st.integers(0, node - 1)), node, draw(st.sampled_from([0.0, 0.3, 2.0])), 1e6)
        for node in range(1, nodes)
    ]
    powers = st.floats(-5e6, 5e6, allow_nan=False)
    return study_case(links, [0]), draw(st.lists(powers, min_size=nodes, max_size=nodes))


@settings(max_examples=150)
@given(trees())
def test_the_sweep_is_exact_on_trees_whichever_way_power_flows(
    example: tuple[StudyCase, list[float]],
) -> None:
    case, needed_w = example
    operated = AsOperated(case)
    assert operated.is_radial
    operation = operated.flows(np.array([needed_w]))
    _, loss_w = by_recursion(case, needed_w)
    assert operation.loss_w[0] == pytest.approx(loss_w, rel=1e-6, abs=1e-2)
    assert operation.converged.all() and not operation.overloaded.any()


@settings(max_examples=50)
@given(trees())
def test_shares_by_impedance_leave_one_flow_on_a_tree(
    example: tuple[StudyCase, list[float]],
) -> None:
    case, needed_w = example
    needed = np.array([needed_w, [each / 2 for each in needed_w]])
    if case.node_count > 1:
        swept = AsOperated(case).flows(needed)
        shared = _Mesh(case, np.arange(len(case.link_a))).operate(needed)
        assert shared.converged.all()
        assert shared.loss_w == pytest.approx(swept.loss_w, rel=1e-5, abs=1e-1)


def test_two_ways_share_by_impedance() -> None:
    # 1 ohm directly, 1 + 2 ohm around: three quarters and one quarter of the current, nearly.
    case = study_case([(0, 1, 1.0, 1e3), (0, 2, 1.0, 1e3), (2, 1, 2.0, 1e3)], [1])
    operated = AsOperated(case)
    assert not operated.is_radial and case.passive_loops == 1
    operation = operated.flows(np.array([[0.0, 2e6, 0.0]]))
    current_a = 2e6 / VOLTAGE_V
    expected_w = (0.75**2 * 1.0 + 0.25**2 * 3.0) * current_a**2
    assert operation.loss_w[0] == pytest.approx(expected_w, rel=0.01)
    assert operation.converged[0]


def test_an_overload_is_noticed_and_a_full_line_is_none() -> None:
    case = study_case([(0, 1, 1.0, 100.0)], [1])
    full_w = 100.0 * VOLTAGE_V
    needed = np.array([[0.0, full_w], [0.0, 1.001 * full_w], [0.0, -1.2 * full_w]])
    assert AsOperated(case).flows(needed).overloaded.tolist() == [False, True, True]


def test_islands_take_nothing() -> None:
    case = study_case([(0, 1, 1.0, 1e3), (2, 3, 1.0, 1e3)], [1, 3])
    operated = AsOperated(case)
    assert operated.fed.tolist() == [True, True, False, False]
    needed = np.array([[0.0, 1e6, 0.0, 1e6]])
    assert operated.flows(needed).loss_w[0] == pytest.approx((1e6 / VOLTAGE_V) ** 2)


def test_ties_are_open() -> None:
    case = study_case([(0, 1, 1.0, 1e3), (1, 2, 1.0, 1e3), (0, 2, 1.0, 1e3)], [1], ties=[1, 2])
    operated = AsOperated(case)
    assert operated.is_radial
    assert operated.fed.tolist() == [True, True, False]
