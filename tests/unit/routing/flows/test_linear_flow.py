"""Linear min-cost flow against networkx and HiGHS; every optimum is proven by its own prices."""

from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import linprog
from scipy.sparse import coo_matrix, hstack, identity

from controller.routing.flows.linear_flow import LinearFlow, Status, linear_min_cost_flow
from tests.support.random_cases import examples

HIGHS_SLIP = 1e-9
MOST = settings(max_examples=examples(150))


@dataclass(frozen=True)
class Case:
    """A question, as it is asked."""

    tail: np.ndarray
    head: np.ndarray
    capacity: np.ndarray
    cost: np.ndarray
    supply: np.ndarray
    spare_supply: bool = False
    unserved_demand: bool = False

    def answer(self) -> LinearFlow:
        return linear_min_cost_flow(
            len(self.supply),
            self.tail,
            self.head,
            self.capacity,
            self.cost,
            self.supply,
            spare_supply=self.spare_supply,
            unserved_demand=self.unserved_demand,
        )

    def net_outflow(self, flow: np.ndarray) -> np.ndarray:
        net = np.zeros(len(self.supply))
        np.add.at(net, self.tail, flow)
        np.subtract.at(net, self.head, flow)
        return net


def assert_proven(case: Case, found: LinearFlow) -> None:
    """Bounds, balance, and complementary slackness of the prices: together they prove that a flow is optimal."""
    assert found.status is Status.OPTIMAL
    flow, price = found.flow, found.price
    assert np.all(flow >= 0.0)
    assert np.all(flow <= case.capacity)
    scale = max(1e-300, np.abs(case.supply).max(initial=0.0), flow.max(initial=0.0))
    sent = case.supply - found.unused + found.unserved
    # Each node's balance is off by no more than its own additions round.
    assert case.net_outflow(flow) == pytest.approx(sent, rel=1e-12, abs=1e-12 * scale)
    assert found.cost == pytest.approx(float(flow @ case.cost), rel=1e-9)

    finite_cost = np.abs(case.cost).max(initial=0.0) + np.abs(price).max(initial=0.0)
    slip = 1e-12 * (finite_cost + found.penalty)
    reduced = case.cost + price[case.tail] - price[case.head]
    small = 1e-11 * scale
    other = case.tail != case.head
    assert np.all(reduced[other & (flow < case.capacity - small)] >= -slip)
    assert np.all(reduced[other & (flow > small)] <= slip)
    own = np.where(case.cost < 0.0, case.capacity, 0.0)
    assert np.array_equal(flow[~other], own[~other])

    source, demand = case.supply > 0.0, case.supply < 0.0
    unused_price = 0.0 if case.spare_supply else -found.penalty
    assert np.all(price[source & (found.unused > small)] <= unused_price + slip)
    assert np.all(price[demand & (found.unserved > small)] >= found.penalty - slip)
    if case.spare_supply:
        assert np.all(price[source & (found.unused < case.supply - small)] >= -slip)
    if case.unserved_demand:
        assert np.all(
            price[demand & (found.unserved < -case.supply - small)] <= found.penalty + slip
        )
    assert not np.any(found.unused[~source])
    assert not np.any(found.unserved[~demand])


@st.composite
def cases(
    draw: st.DrawFn, *, whole: bool, least_cost: int = -5, endless: bool = False, nodes: int = 7
) -> Case:
    n = draw(st.integers(1, nodes))
    node = st.integers(0, n - 1)
    ends = draw(st.lists(st.tuples(node, node), max_size=18))
    m = len(ends)
    tail, head = (np.array([end[k] for end in ends], dtype=np.int32) for k in (0, 1))
    amounts: st.SearchStrategy[float]
    costs: st.SearchStrategy[float]
    supplies: st.SearchStrategy[float]
    if whole:
        amounts, costs, supplies = st.integers(0, 9), st.integers(least_cost, 9), st.integers(-9, 9)
    else:
        size = st.sampled_from([1e-6, 0.1, 1.0, 7.3, 1e9])
        parts = st.floats(0.01, 1.0)
        amounts = st.just(0.0) | st.builds(lambda a, b: a * b, size, parts)
        costs = st.builds(lambda a, b, c: a * b * c, size, parts, st.sampled_from([1.0, 1.0, -1.0]))
        if least_cost >= 0:
            costs = costs.map(abs)
        supplies = st.builds(lambda a, b: a * b, amounts, st.sampled_from([1.0, -1.0, 0.0]))
    capacity = np.array(draw(st.lists(amounts, min_size=m, max_size=m)), dtype=np.float64)
    if endless:
        open_ = draw(st.lists(st.booleans(), min_size=m, max_size=m))
        capacity[np.array(open_, dtype=np.bool_)] = np.inf
    return Case(
        tail,
        head,
        capacity,
        np.array(draw(st.lists(costs, min_size=m, max_size=m)), dtype=np.float64),
        np.array(draw(st.lists(supplies, min_size=n, max_size=n)), dtype=np.float64),
    )


def balanced(case: Case) -> Case:
    supply = case.supply.copy()
    supply[0] -= supply.sum()
    return replace(case, supply=supply)


def networkx_cost(case: Case) -> float | None:
    """Exact, for whole numbers; None where it is infeasible."""
    network = nx.MultiDiGraph()
    for node, supply in enumerate(case.supply):
        network.add_node(node, demand=-int(supply))
    arcs = zip(case.tail, case.head, case.capacity, case.cost, strict=True)
    for tail, head, capacity, cost in arcs:
        limit = {} if np.isinf(capacity) else {"capacity": int(capacity)}
        network.add_edge(int(tail), int(head), weight=int(cost), **limit)
    try:
        return float(nx.network_simplex(network)[0])
    except nx.NetworkXUnfeasible:
        return None


def highs(case: Case) -> tuple[float, float]:
    """Of case's relaxed form, what goes unserved at least, and at which least cost; by two linear programs."""
    n, m = len(case.supply), len(case.tail)
    source, demand = (np.flatnonzero(each) for each in (case.supply > 0.0, case.supply < 0.0))
    arcs = coo_matrix(
        (np.r_[np.ones(m), -np.ones(m)], (np.r_[case.tail, case.head], np.tile(np.arange(m), 2))),
        shape=(n, m),
    )
    eye = identity(n, format="csc")
    balance = hstack([arcs, eye[:, source], -eye[:, demand]]).tocsr()
    bounds = [(0.0, None if np.isinf(each) else each) for each in case.capacity]
    bounds += [(0.0, each) for each in np.abs(case.supply[np.r_[source, demand]])]
    missing = np.zeros(len(bounds))
    missing[m + len(source) :] = 1.0
    if not case.spare_supply:
        missing[m : m + len(source)] = 1.0
    if not len(bounds):
        return 0.0, 0.0
    first = linprog(missing, A_eq=balance, b_eq=case.supply, bounds=bounds)
    assert first.status == 0
    cost = np.r_[case.cost, np.zeros(len(bounds) - m)]
    slack = HIGHS_SLIP * max(1.0, first.fun)
    second = linprog(
        cost,
        A_ub=missing[None, :],
        b_ub=[first.fun + slack],
        A_eq=balance,
        b_eq=case.supply,
        bounds=bounds,
    )
    return first.fun, second.fun if second.status == 0 else -np.inf


@MOST
@given(cases(whole=True).map(balanced))
def test_whole_numbers_cost_exactly_what_networkx_finds(case: Case) -> None:
    found = case.answer()
    best = networkx_cost(case)
    if best is None:
        assert found.status is Status.INFEASIBLE
    else:
        assert_proven(case, found)
        assert found.cost == best
        assert np.array_equal(found.flow, np.round(found.flow))


@MOST
@given(cases(whole=True, endless=True).map(balanced))
def test_endless_capacities_are_unbounded_only_on_negative_cycles(case: Case) -> None:
    found = case.answer()
    try:
        best = networkx_cost(case)
    except nx.NetworkXUnbounded:
        assert found.status is Status.UNBOUNDED
        return
    if found.status is Status.UNBOUNDED:
        # networkx says first that it is infeasible.
        assert best is None
        assert has_endless_negative_cycle(case)
    elif best is None:
        assert found.status is Status.INFEASIBLE
    else:
        assert_proven(case, found)
        assert found.cost == best


def has_endless_negative_cycle(case: Case) -> bool:
    network = nx.MultiDiGraph()
    for tail, head, capacity, cost in zip(
        case.tail, case.head, case.capacity, case.cost, strict=True
    ):
        if np.isinf(capacity):
            network.add_edge(tail, head, weight=cost)
    return bool(nx.negative_edge_cycle(network))


@MOST
@given(cases(whole=True, nodes=9), st.booleans(), st.booleans())
def test_serves_the_most_at_least_cost(case: Case, spare: bool, unserved: bool) -> None:
    case = replace(case, spare_supply=spare, unserved_demand=unserved)
    supplied, demanded = case.supply.clip(0).sum(), -case.supply.clip(max=0).sum()
    found = case.answer()
    if (supplied > demanded and not spare) or (supplied < demanded and not unserved):
        assert found.status is Status.UNBALANCED
        assert not found.flow.any()
        return
    missing, cost = highs(case)
    lacking = found.unserved.sum() + (0.0 if spare else found.unused.sum())
    assert lacking == pytest.approx(missing, abs=1e-6)
    must_miss = demanded - supplied if unserved else 0.0
    if missing > must_miss + 1e-6 and not (spare and unserved):
        assert found.status is Status.INFEASIBLE
    else:
        assert_proven(case, found)
        assert found.cost == pytest.approx(cost, abs=1e-5)


@MOST
@given(cases(whole=False))
def test_figures_of_any_size_are_proven_optimal(case: Case) -> None:
    case = replace(case, spare_supply=True, unserved_demand=True)
    assert_proven(case, case.answer())


@MOST
@given(cases(whole=False, least_cost=0, nodes=30))
def test_figures_of_any_size_where_nothing_costs_less_than_nothing(case: Case) -> None:
    case = replace(case, spare_supply=True, unserved_demand=True)
    assert_proven(case, case.answer())


def mesh(seed: int, *, surplus: float = 1.3, whole: bool, negative: bool = False) -> Case:
    """A ring with chords, some sources and many demands, at capacities that bind in places."""
    rng = np.random.default_rng(seed)
    n = 300
    a = np.r_[np.arange(n), rng.integers(0, n, 250)]
    b = np.r_[(np.arange(n) + 1) % n, rng.integers(0, n, 250)]
    m = len(a)
    supply = -rng.integers(0, 100, n).astype(np.float64)
    source = rng.choice(n, 25, replace=False)
    supply[source] = 0.0
    share = rng.uniform(0.5, 1.5, 25)
    supply[source] = np.round(share / share.sum() * -supply.sum() * surplus)
    cost = rng.integers(-20 if negative else 0, 100, m).astype(np.float64)
    capacity = rng.integers(0, 600, m).astype(np.float64)
    if not whole:
        supply, cost, capacity = (
            each * rng.uniform(0.9, 1.1) / 3 for each in (supply, cost, capacity)
        )
    return Case(
        np.r_[a, b].astype(np.int32),
        np.r_[b, a].astype(np.int32),
        np.tile(capacity, 2),
        np.tile(cost, 2),
        supply,
        spare_supply=True,
        unserved_demand=True,
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("surplus", [0.7, 1.0, 1.5])
@pytest.mark.parametrize(("whole", "negative"), [(True, False), (False, False), (True, True)])
def test_meshes(seed: int, surplus: float, whole: bool, negative: bool) -> None:
    case = mesh(seed, surplus=surplus, whole=whole, negative=negative)
    found = case.answer()
    assert_proven(case, found)
    missing, cost = highs(case)
    assert found.unserved.sum() == pytest.approx(missing, rel=1e-7, abs=1e-6)
    abs_slip = 2 * HIGHS_SLIP * max(1.0, missing) * found.penalty
    assert found.cost == pytest.approx(cost, rel=1e-7, abs=abs_slip)
    again = case.answer()
    assert np.array_equal(found.flow, again.flow)


def test_a_price_is_what_one_more_watt_costs() -> None:
    """Two lines from the source: the cheap one is full, so one more comes over the dear one."""
    case = Case(
        np.array([0, 0]), np.array([1, 1]), np.array([5.0, 9.0]), np.array([1.0, 4.0]), np.array([20.0, -7.0]),
        spare_supply=True,
    )  # fmt: skip
    found = case.answer()
    assert list(found.flow) == [5.0, 2.0]
    assert (found.cost, list(found.price)) == (13.0, [0.0, 4.0])
    assert list(found.unused) == [13.0, 0.0]


def test_tiny_beside_huge() -> None:
    case = Case(
        np.array([0, 1, 0]), np.array([1, 2, 2]), np.array([1e9, 1e-6, 1e9]), np.array([1e-6, 1e-6, 1e9]),
        np.array([1e10, 0.0, -2e-6]), spare_supply=True,
    )  # fmt: skip
    found = case.answer()
    assert_proven(case, found)
    assert list(found.flow) == pytest.approx([1e-6, 1e-6, 1e-6], rel=1e-12)


def test_an_island_says_what_it_lacks() -> None:
    case = Case(
        np.array([0]), np.array([1]), np.array([10.0]), np.array([1.0]), np.array([8.0, -5.0, -3.0])
    )
    found = case.answer()
    assert found.status is Status.INFEASIBLE
    assert list(found.unserved) == [0.0, 0.0, 3.0]
    assert list(found.unused) == [3.0, 0.0, 0.0]
    found = replace(case, spare_supply=True, unserved_demand=True).answer()
    assert (found.status, found.cost) == (Status.OPTIMAL, 5.0)


def test_statuses_of_questions_without_an_answer() -> None:
    arcs = Case(
        np.array([0, 1]), np.array([1, 0]), np.array([1.0, 1.0]), np.array([1.0, 1.0]), np.array([2.0, -1.0])
    )  # fmt: skip
    assert arcs.answer().status is Status.UNBALANCED
    assert replace(arcs, supply=np.array([1.0, -2.0])).answer().status is Status.UNBALANCED
    assert replace(arcs, supply=np.array([2.0, -2.0])).answer().status is Status.INFEASIBLE
    endless = replace(
        arcs, capacity=np.full(2, np.inf), cost=np.array([1.0, -2.0]), supply=np.zeros(2)
    )
    assert endless.answer().status is Status.UNBOUNDED
    loop = replace(endless, tail=np.array([0, 0]), head=np.array([1, 0]))
    assert loop.answer().status is Status.UNBOUNDED


def test_nothing_to_do() -> None:
    nothing = np.array([])
    found = linear_min_cost_flow(0, nothing, nothing, nothing, nothing, nothing)
    assert (found.status, found.cost) == (Status.OPTIMAL, 0.0)
    found = linear_min_cost_flow(3, nothing, nothing, nothing, nothing, np.zeros(3))
    assert (found.status, found.cost) == (Status.OPTIMAL, 0.0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"capacity": [-1.0]}, "capacities"),
        ({"capacity": [np.nan]}, "capacities"),
        ({"cost": [np.inf]}, "costs"),
        ({"head": [2]}, "beyond the 2"),
        ({"tail": [-1]}, "beyond the 2"),
        ({"cost": [1.0, 2.0]}, "same length"),
        ({"supply": [1.0]}, "2 finite"),
        ({"supply": [np.nan, 0.0]}, "2 finite"),
    ],
)
def test_bad_figures_are_refused(changed: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {
        "tail": [0],
        "head": [1],
        "capacity": [1.0],
        "cost": [1.0],
        "supply": [1.0, -1.0],
    }
    with pytest.raises(ValueError, match=said):
        linear_min_cost_flow(2, **(asked | changed))
