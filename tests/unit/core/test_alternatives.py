"""More than one path for a request: the best few, and pairs."""

from collections.abc import Iterable
from typing import Any

import pytest

from controller.core.admission.alternatives import RoutePair
from controller.core.circuits.circuit import Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal
from controller.routing.alternatives.disjoint import Disjointness
from digitalgrid.gridfile import Grid, loads_grid
from digitalgrid.reasons import Reason
from tests.support.simulated_network import SimulatedNetwork

# Two ways from plant to town share r2; two lines lie in one duct; and there is a long way round.
GRID = """
name: ways
defaults: {voltage_v: 20000, efficiency: 0.99, ampacity_a: 300}
routers: [{id: r1}, {id: r2}, {id: r3}, {id: r4}, {id: r5}]
links:
  - {id: north, a: r1, b: r2, resistance_ohm: 0.1, risk_groups: [duct]}
  - {id: south, a: r1, b: r2, resistance_ohm: 0.2}
  - {id: east, a: r2, b: r4, resistance_ohm: 0.1, risk_groups: [duct]}
  - {id: west, a: r2, b: r4, resistance_ohm: 0.2}
  - {id: out, a: r1, b: r3, resistance_ohm: 2, risk_groups: [duct]}
  - {id: back, a: r3, b: r4, resistance_ohm: 2, ampacity_a: 100}
  - {id: spur, a: r4, b: r5, resistance_ohm: 0.1}
sources: [{id: plant, router: r1, max_power_w: 9e6}]
loads: [{id: town, router: r4, power_w: 9e6}, {id: farm, router: r5, power_w: 9e6}]
"""


@pytest.fixture(scope="module")
def grid() -> Grid:
    return loads_grid(GRID, "ways")


@pytest.fixture
def network(grid: Grid) -> SimulatedNetwork:
    return SimulatedNetwork.running(grid)


def request(power_w: float = 1e6, sink_id: str = "town", **wanted: Any) -> PowerRequest:
    return PowerRequest("r", sink_id, power_w, **wanted)


def links(routes: Iterable[Route]) -> list[list[str]]:
    return [[link.link_id for link in route.links] for route in routes]


def pair(network: SimulatedNetwork, kind: Disjointness, asked: PowerRequest) -> RoutePair:
    return network.core.disjoint(asked, kind, network.now_ns)


def test_the_best_few_paths_come_in_order_of_loss(network: SimulatedNetwork) -> None:
    routes = network.core.best_routes(request(), 9, network.now_ns)
    expected = [["north", "east"], ["north", "west"], ["south", "east"], ["south", "west"]]
    found = links(routes)
    assert (found[0], sorted(found[:4]), found[4:]) == (
        expected[0],
        sorted(expected),
        [["out", "back"]],
    )
    injected_w = [route.injected_w for route in routes]
    assert injected_w == sorted(injected_w)
    assert {route.source_id for route in routes} == {"plant"}
    assert links(network.core.best_routes(request(), 2, network.now_ns)) == found[:2]
    # Nothing is held.
    assert network.core.questions.reserved() == {}


def test_the_best_few_paths_meet_what_is_asked(network: SimulatedNetwork) -> None:
    core, now_ns = network.core, network.now_ns
    avoiding = request(constraints=Constraints(avoid_ids=("r2",)))
    assert links(core.best_routes(avoiding, 9, now_ns)) == [["out", "back"]]
    # The long way is too weak.
    assert len(core.best_routes(request(3e6), 9, now_ns)) == 4
    short = request(sink_id="farm", constraints=Constraints(max_hops=2))
    with pytest.raises(Refusal) as refusal:
        core.best_routes(short, 9, now_ns)
    assert refusal.value.reason == "CONSTRAINTS_UNSATISFIABLE"
    assert len(core.best_routes(request(constraints=Constraints(max_hops=2)), 9, now_ns)) == 5


@pytest.mark.parametrize(
    ("kind", "paths", "shared"),
    [
        (Disjointness.LINK, [["north", "east"], ["south", "west"]], ("r2",)),
        (Disjointness.ROUTER, [["north", "east"], ["out", "back"]], ("duct",)),
        (Disjointness.RISK_GROUP, [["north", "east"], ["south", "west"]], ("r2",)),
    ],
)
def test_a_pair_has_nothing_in_common_of_what_was_named(
    network: SimulatedNetwork, kind: Disjointness, paths: list[list[str]], shared: tuple[str, ...]
) -> None:
    found = pair(network, kind, request())
    assert (links(found.routes), found.shared_ids, found.proven) == (paths, shared, True)
    assert all(route.power_w == 1e6 for route in found.routes)


def test_where_no_pair_is_disjoint_the_shared_things_are_named(network: SimulatedNetwork) -> None:
    found = pair(network, Disjointness.LINK, request(sink_id="farm"))
    assert links(found.routes) == [["north", "east", "spur"], ["south", "west", "spur"]]
    assert set(found.shared_ids) == {"spur", "r2", "r4"}


def test_of_a_pair_each_path_is_worked_out_by_itself_on_what_is_reserved(
    network: SimulatedNetwork,
) -> None:
    network.request(PowerRequest("other", "town", 4e6))
    network.deliver_all()
    reserved_w = network.core.questions.reserved_at_load_w("town")
    found = pair(network, Disjointness.LINK, request())
    assert len(found.routes) == 2
    assert network.core.questions.reserved_at_load_w("town") == reserved_w


def test_no_pair_and_no_path_are_different_answers(network: SimulatedNetwork) -> None:
    with pytest.raises(Refusal) as refusal:
        pair(network, Disjointness.LINK, request(4e6, constraints=Constraints(max_hops=0)))
    assert refusal.value.reason == "CONSTRAINTS_UNSATISFIABLE"
    # The better path loses 3.02 %, the other one 3.07 %.
    lossless = request(constraints=Constraints(max_loss_fraction=0.0304))
    with pytest.raises(Refusal) as refusal:
        pair(network, Disjointness.LINK, lossless)
    assert refusal.value.reason is Reason.NO_PAIR
