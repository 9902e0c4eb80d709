"""Shared standbys on random networks, admitted and released in any order: every single failure finds its room."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.instances import VOLTAGE_V, mesh
from benchmarks.shared_backup import Trial, tried
from controller.core.admission.cheapest_routes import Asked
from controller.core.admission.protected_routes import ProtectedRouteFinder, ProtectedRoutes
from controller.core.admission.route_finder import RouteFinder
from controller.core.admission.standby_arrays import prices_of
from controller.core.circuits.circuit import Constraints
from controller.core.circuits.disjointness import in_common
from controller.core.circuits.failures import Failure
from controller.core.circuits.protection import Against
from controller.core.circuits.reservations import Reservations
from controller.core.network.link import LinkState, LinkView
from controller.core.network.view import GridView, RouterView
from digitalgrid.model import CircuitGeneration, LoadAdvertisement, SourceAdvertisement

SOURCE_W = 3e6


def grid(n: int, seed: int) -> GridView:
    """A mesh with a load at every router, and lines and sources that a few circuits fill."""
    made = mesh(n, seed, 0.3, ampacity_a=120.0)
    lines = zip(made.a, made.b, made.resistance_ohm, made.ampacity_a, strict=True)
    return GridView(
        1,
        {
            f"r{k}": RouterView(f"r{k}", float(made.efficiency[k]), 1, True, True, holds_pools=True)
            for k in range(n)
        },
        {
            f"l{k}": LinkView(
                f"l{k}", f"r{a}", f"r{b}", float(ohm), VOLTAGE_V, float(most_a), 0.0, LinkState.UP,
                frozenset((f"g{k // 2}",)),
            )
            for k, (a, b, ohm, most_a) in enumerate(lines)
        },
        {f"s{k}": (f"r{k}", SourceAdvertisement(f"s{k}", SOURCE_W)) for k in made.source_nodes},
        {f"d{k}": (f"r{k}", LoadAdvertisement(f"d{k}", 1e9)) for k in range(n)},
    )  # fmt: skip


class Books:
    """Circuits that are admitted with a standby, and those that are left of them."""

    def __init__(self, view: GridView, against: Against, *, dedicated: bool = False) -> None:
        self.view, self.against, self.dedicated = view, against, dedicated
        self.reservations = Reservations()
        self.routes = RouteFinder(self.reservations)
        self.routes.adopt(view)
        self.pairs = ProtectedRouteFinder(self.routes)
        self.admitted: dict[int, ProtectedRoutes] = {}
        self.numbered = 0

    def admit(self, sink_id: str, power_w: float) -> None:
        asked = Asked(sink_id, power_w, (), Constraints())
        pair = self.pairs.best(asked, self.against, dedicated=self.dedicated)
        if pair is None:
            return
        self.numbered += 1
        self.reservations.reserve(CircuitGeneration(self.numbered, 1), pair.working)
        if pair.backup is not None:
            covers = None if self.dedicated else pair.backup.covers
            key = CircuitGeneration(self.numbered, 2)
            self.reservations.reserve(key, pair.backup.route, covers, standby=True)
            assert not in_common(self.view, pair.working, pair.backup.route, self.against)
        self.admitted[self.numbered] = pair

    def release(self, index: int) -> None:
        for circuit_id in list(self.admitted)[index : index + 1]:
            del self.admitted[circuit_id]
            for generation in (2, 1):
                self.reservations.release(CircuitGeneration(circuit_id, generation))

    def tried(self) -> Trial:
        pairs = self.admitted.values()
        routes = [(each.working, each.backup.route if each.backup else None) for each in pairs]
        return tried(self.view, routes, self.against)

    def failures(self) -> set[Failure]:
        pairs = self.admitted.values()
        return {each for pair in pairs if pair.backup for each in pair.backup.covers}


def fill(books: Books, rng: np.random.Generator, circuits: int) -> None:
    for _ in range(circuits):
        if rng.random() < 0.25:
            books.release(int(rng.integers(1 + len(books.admitted))))
        else:
            sink_id = f"d{rng.integers(len(books.view.loads))}"
            books.admit(sink_id, float(rng.uniform(1e4, 1e6)))


@settings(max_examples=30)
@given(
    n=st.integers(8, 14),
    seed=st.integers(0, 10_000),
    against=st.sampled_from(Against),
    dedicated=st.booleans(),
)
def test_every_single_failure_finds_room_for_all_that_it_makes_carry(
    n: int, seed: int, against: Against, dedicated: bool
) -> None:
    books = Books(grid(n, seed), against, dedicated=dedicated)
    fill(books, np.random.default_rng(seed), 40)
    trial = books.tried()
    assert (trial.over_subscribed, trial.unserved) == (0, 0)
    for resource in books.reservations.resources():
        assert books.reservations.total(resource) == books.reservations.recomputed(resource)
        for failure in books.failures():
            assert books.reservations.needed(resource, failure) <= books.reservations.pool(resource)
    books.routes.arrays.sync()
    assert np.all(books.routes.arrays.graph.headroom_a >= -1e-6)
    for _ in range(len(books.admitted)):
        books.release(0)
    assert list(books.reservations.resources()) == []
    books.routes.arrays.sync()
    assert not books.routes.arrays.graph.load_a.any()
    assert not books.routes.arrays.pool_a.any()


def test_standbys_that_share_more_than_they_may_are_found_out() -> None:
    """What the test above looks for would be seen."""
    books = Books(grid(10, 3), Against.LINK)
    rng = np.random.default_rng(3)
    for _ in range(60):
        books.admit(f"d{rng.integers(10)}", 1e6)
        last = CircuitGeneration(books.numbered, 2)
        if books.reservations.covers(last):
            books.reservations.cover(last, frozenset())
    assert books.tried().over_subscribed > 0


def test_sharing_lets_more_circuits_in_than_dedicated_standbys_do() -> None:
    counts = []
    for dedicated in (False, True):
        books = Books(grid(14, 1), Against.ROUTER, dedicated=dedicated)
        rng = np.random.default_rng(1)
        for _ in range(80):
            books.admit(f"d{rng.integers(14)}", 5e5)
        counts.append(len(books.admitted))
    assert counts[0] > counts[1]


def test_room_costs_more_the_fuller_its_line_is_in_either_direction() -> None:
    books = Books(grid(14, 1), Against.ROUTER)
    graph = books.routes.arrays.graph
    assert prices_of(graph).tolist() == [1.0] * graph.arc_count
    fill(books, np.random.default_rng(1), 40)
    books.routes.arrays.sync()
    prices = prices_of(graph)
    reserved_a = graph.load_a + graph.load_a[graph.twin]
    in_order = np.argsort(reserved_a / graph.ampacity_a)
    assert np.all(np.diff(prices[in_order]) >= -1e-9)
    assert np.array_equal(prices, prices[graph.twin])
    assert 1.0 <= prices.min() < prices.max() <= np.exp(2.0)


def test_a_line_out_of_service_is_as_dear_as_a_full_one() -> None:
    graph = Books(grid(8, 1), Against.ROUTER).routes.arrays.graph
    graph.take_out_of_service(0)
    assert prices_of(graph)[0] == prices_of(graph).max() == pytest.approx(np.exp(2.0))


def test_the_same_question_has_the_same_answer() -> None:
    books = Books(grid(12, 5), Against.ROUTER)
    fill(books, np.random.default_rng(5), 20)
    asked = Asked("d3", 2e5, (), Constraints(max_hops=6, max_loss_fraction=0.2, avoid_ids=("r1",)))
    first = books.pairs.best(asked, Against.ROUTER)
    assert first == books.pairs.best(asked, Against.ROUTER)
    assert first is not None and first.backup is not None
    for route in (first.working, first.backup.route):
        assert len(route.links) <= 6 and route.loss_fraction <= 0.2 and "r1" not in route.router_ids
