"""Arrays that are changed in place answer as arrays that are built anew."""

from dataclasses import replace
from typing import Any

import pytest

from controller.core.admission import arrays as grid_arrays
from controller.core.admission.arrays import GridArrays
from controller.core.circuits.reservations import Reservations
from controller.core.network.link import LinkState
from controller.core.network.view import GridView
from tests.support.grids import mesh
from tests.support.simulated_network import SimulatedNetwork


@pytest.fixture
def view() -> GridView:
    return SimulatedNetwork.running(mesh()).core.questions.view


@pytest.fixture(autouse=True)
def led(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks are searched without bounds; here these shall be kept true too."""
    monkeypatch.setattr(grid_arrays, "LEAD_FROM", 1)


def changed(view: GridView, link_id: str, **figures: Any) -> GridView:
    links = {**view.links, link_id: replace(view.links[link_id], **figures)}
    return replace(view, links=links)


def injected_w(arrays: GridArrays) -> dict[tuple[str, str], float | None]:
    """The least injection from every router to every other."""
    found = {}
    for source in arrays.router_ids:
        for sink in arrays.router_ids:
            path = arrays.search.best(arrays.node(sink), 1e6, {arrays.node(source): 9e6})
            found[source, sink] = path.injected_w if path else None
    return found


@pytest.mark.parametrize(
    "figures",
    [
        {"state": LinkState.DOWN},
        {"resistance_ohm": 0.01},
        {"resistance_ohm": 9.0},
        {"voltage_v": 40_000.0},
        {"ampacity_a": 20.0},
    ],
)
def test_a_changed_line_is_taken_over_in_place(view: GridView, figures: dict[str, Any]) -> None:
    arrays = GridArrays(view, Reservations())
    before = injected_w(arrays)
    other = changed(view, "r2-r5", **figures)
    graph = arrays.graph
    arrays.adopt(other)
    assert arrays.graph is graph
    assert injected_w(arrays) == pytest.approx(
        injected_w(GridArrays(other, Reservations())), rel=1e-12
    )
    assert injected_w(arrays) != before
    arrays.adopt(view)
    assert arrays.graph is graph
    assert injected_w(arrays) == pytest.approx(before, rel=1e-12)


def test_another_router_or_line_makes_other_arrays(view: GridView) -> None:
    arrays = GridArrays(view, Reservations())
    links = {key: link for key, link in view.links.items() if key != "r2-r5"}
    graph = arrays.graph
    arrays.adopt(replace(view, links=links))
    assert arrays.graph is not graph
    assert arrays.arc("r2-r5", "r2") is None
    assert arrays.arcs(["r2-r5", "r1-r2"]) == arrays.arcs(["r1-r2"])


def test_whatever_number_a_router_gets_its_figures_go_with_it(view: GridView) -> None:
    arrays = GridArrays(view, Reservations())
    for router_id, router in view.routers.items():
        assert arrays.graph.efficiency[arrays.node(router_id)] == router.efficiency
    for link in view.links.values():
        arc = arrays.arc(link.link_id, link.a)
        ends = (
            arrays.router_ids[int(arrays.graph.tail[arc])],
            arrays.router_ids[int(arrays.graph.head[arc])],
        )
        assert ends == (link.a, link.b)
        assert arrays.graph.resistance_ohm[arc] == link.resistance_ohm
