"""A batch against the same requests one by one, and what admissions may never do."""

from dataclasses import dataclass
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.routing.graph import PowerGraph, graph_of_links
from controller.routing.paths.batch import (
    ADMITTED,
    NO_ROUTE,
    OVER_LOAD_LIMIT,
    Admissions,
    Ends,
    Requests,
    admit_batch,
    ends,
    release,
    requests,
)
from controller.routing.paths.cspf import RELATIVE_TOLERANCE, PathSearch
from controller.routing.paths.landmarks import Landmarks
from tests.support.random_cases import examples

MOST = settings(max_examples=examples(80))


@dataclass
class Case:
    graph: PowerGraph
    ends: Ends
    requests: Requests
    candidates: list[list[int]] | None

    def search(self, landmarks: bool) -> PathSearch:
        return PathSearch(self.graph, Landmarks(self.graph, 3) if landmarks else None)


def case(seed: int) -> Case:
    """Lines, sources and loads that some of the requests fill up; several sources at a router."""
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(2, 30))
    pairs = rng.integers(nodes, size=(2 * nodes, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    graph = graph_of_links(
        rng.uniform(0.9, 1.0, nodes),
        pairs[:, 0],
        pairs[:, 1],
        rng.uniform(0.0, 1.0, len(pairs)),
        np.full(len(pairs), 1000.0),
        rng.uniform(5.0, 40.0, len(pairs)),
    )
    if graph.arc_count:
        graph.take_out_of_service(int(rng.integers(graph.arc_count)))
    sources, loads, count = (int(each) for each in rng.integers(1, 20, size=3))
    where = ends(
        nodes,
        rng.integers(nodes, size=sources),
        rng.uniform(0.0, 50_000.0, sources),
        rng.integers(nodes, size=loads),
        rng.uniform(5_000.0, 60_000.0, loads),
    )
    power_w = 10 ** rng.uniform(2.0, 4.5, count)
    candidates = None
    if rng.random() < 0.6:
        candidates = [rng.integers(sources, size=rng.integers(1, 12)).tolist() for _ in power_w]
    asked = requests(
        rng.integers(loads, size=count),
        power_w,
        max_injected_w=np.where(rng.random(count) < 0.5, inf, 1.3 * power_w),
        most_hops=rng.choice([-1, -1, 2, 5], count),
        candidates=candidates,
    )
    return Case(graph, where, asked, candidates)


CASES = st.integers(0, 100_000).map(case)


def one_by_one(case: Case) -> list[tuple[int, float, list[int]]]:
    """The rule of a batch in plain words: source, injected power and arcs, or -1."""
    graph, where, asked = case.graph, case.ends, case.requests
    search = PathSearch(graph)
    answers: list[tuple[int, float, list[int]]] = []
    for i, (load, power_w) in enumerate(zip(asked.load, asked.power_w, strict=True)):
        every = range(len(where.source_node))
        candidates = list(every) if case.candidates is None else case.candidates[i]
        available_w: dict[int, float] = {}
        for source in candidates:
            node = int(where.source_node[source])
            available_w[node] = max(available_w.get(node, -inf), where.source_free_w[source])
        path = search.best(
            int(where.load_node[load]),
            float(power_w),
            available_w,
            max_injected_w=float(asked.max_injected_w[i]),
            max_hops=None if asked.most_hops[i] < 0 else int(asked.most_hops[i]),
        )
        if path is None or power_w > where.load_free_w[load] * (1 + RELATIVE_TOLERANCE):
            answers.append((-1, 0.0, []))
            continue
        tolerance = 1 + RELATIVE_TOLERANCE
        chosen = next(
            source
            for source in (sorted(candidates) if case.candidates is None else candidates)
            if where.source_node[source] == path.nodes[0]
            and where.source_free_w[source] * tolerance >= path.injected_w
        )
        where.source_free_w[chosen] -= path.injected_w
        where.load_free_w[load] -= power_w
        for arc, received_w in zip(path.arcs, path.entering_w[1:], strict=True):
            added_a = received_w / graph.voltage_v[arc]
            down = int(graph.twin[arc])
            was_down = down >= 0 and graph.headroom_a[down] == -inf
            graph.set_load(arc, graph.load_a[arc] + added_a)
            if was_down:
                graph.take_out_of_service(down)
        answers.append((chosen, path.injected_w, list(path.arcs)))
    return answers


def answers(done: Admissions) -> list[tuple[int, float, list[int]]]:
    return [
        (
            int(source),
            float(done.injected_w[i]),
            done.arcs[done.start[i] : done.start[i + 1]].tolist(),
        )
        for i, source in enumerate(done.source)
    ]


@MOST
@given(st.integers(0, 100_000))
def test_a_batch_is_the_same_requests_one_by_one(seed: int) -> None:
    together, apart = case(seed), case(seed)
    done = admit_batch(together.search(landmarks=False), together.ends, together.requests)
    assert answers(done) == one_by_one(apart)
    assert np.array_equal(together.graph.load_a, apart.graph.load_a)
    assert np.array_equal(together.graph.headroom_a, apart.graph.headroom_a)
    assert np.array_equal(together.ends.source_free_w, apart.ends.source_free_w)
    assert np.array_equal(together.ends.load_free_w, apart.ends.load_free_w)
    # The room is as it was: the next batch starts from nothing.
    again = case(seed)
    search = together.search(landmarks=False)
    admit_batch(search, together.ends, together.requests)
    fresh = PathSearch(again.graph).best(0, 100.0, {0: 1e3})
    assert (search.best(0, 100.0, {0: 1e3}) is None) == (fresh is None)


@MOST
@given(CASES, st.booleans())
def test_nothing_is_ever_over_subscribed(case: Case, landmarks: bool) -> None:
    graph, where, asked = case.graph, case.ends, case.requests
    source_w, load_w = where.source_free_w.copy(), where.load_free_w.copy()
    done = admit_batch(case.search(landmarks), where, asked)
    in_service = graph.headroom_a > -inf
    assert np.all(graph.headroom_a[in_service] >= -1e-9 * graph.ampacity_a[in_service])
    assert np.all(where.source_free_w >= -1e-9 * source_w)
    assert np.all(where.load_free_w >= -1e-9 * load_w)
    admitted = done.status == ADMITTED
    assert np.array_equal(admitted, done.source >= 0)
    assert np.all(done.injected_w[admitted] <= asked.max_injected_w[admitted] * (1 + 1e-9))
    hops = np.diff(done.start)
    assert np.all((asked.most_hops < 0) | (hops <= asked.most_hops))
    if case.candidates is not None:
        for i in np.flatnonzero(admitted):
            assert done.source[i] in case.candidates[i]


@MOST
@given(CASES)
def test_what_is_released_is_free_again(case: Case) -> None:
    graph, where, asked = case.graph, case.ends, case.requests
    before = [
        each.copy()
        for each in (graph.load_a, graph.headroom_a, where.source_free_w, where.load_free_w)
    ]
    done = admit_batch(case.search(landmarks=False), where, asked)
    for index in np.flatnonzero(done.status == ADMITTED):
        release(graph, where, asked, done, int(index))
    after = (graph.load_a, graph.headroom_a, where.source_free_w, where.load_free_w)
    for old, new in zip(before, after, strict=True):
        assert new == pytest.approx(old, rel=1e-9, abs=1e-9)
    assert np.all(graph.load_a >= 0.0)


def two_routers() -> tuple[PathSearch, Ends]:
    graph = graph_of_links([1.0, 1.0], [0], [1], [0.0], [1000.0], [10.0])
    return PathSearch(graph), ends(2, [0, 0], [4_000.0, 20_000.0], [1], [16_000.0])


def test_says_why_and_takes_the_first_source_that_has_enough() -> None:
    search, where = two_routers()
    asked = requests([0, 0, 0, 0], [5_000.0, 11_000.0, 3_000.0, 6_000.0])
    done = admit_batch(search, where, asked)
    assert done.status.tolist() == [ADMITTED, NO_ROUTE, ADMITTED, NO_ROUTE]
    assert done.source.tolist() == [1, -1, 0, -1]
    done = admit_batch(search, where, requests([0], [9_000.0]))
    assert done.status.tolist() == [OVER_LOAD_LIMIT]


def test_what_is_not_held_is_not_given_back() -> None:
    search, where = two_routers()
    asked = requests([0], [11_000.0])
    done = admit_batch(search, where, asked)
    with pytest.raises(ValueError, match="request 0 was not admitted"):
        release(search.graph, where, asked, done, 0)


def test_senseless_requests_are_refused_before_anything_is_admitted() -> None:
    search, where = two_routers()
    for power_w in (0.0, -1.0, inf, float("nan")):
        with pytest.raises(ValueError, match="finite power above 0 W"):
            requests([0], [power_w])
    with pytest.raises(ValueError, match="at least one candidate"):
        requests([0], [1.0], candidates=[[]])
    with pytest.raises(ValueError, match="load beyond the 1"):
        admit_batch(search, where, requests([1], [1.0]))
    with pytest.raises(ValueError, match="source beyond the 2"):
        admit_batch(search, where, requests([0], [1.0], candidates=[[2]]))
    with pytest.raises(ValueError, match="needs a router"):
        ends(2, [2], [1.0], [0], [1.0])
