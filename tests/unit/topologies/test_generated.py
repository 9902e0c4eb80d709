import math
from collections import Counter
from pathlib import Path

import networkx as nx
import pytest

from digitalgrid.gridfile import Grid, dump_grid, load_grid, loads_grid
from topologies.generated import mesh_grid, ring_grid

TOPOLOGIES = Path(__file__).parents[3] / "topologies"


def graph_of(grid: Grid) -> nx.Graph:
    return nx.Graph([(link.a, link.b) for link in grid.links])


@pytest.mark.parametrize("n", [5, 6, 20, 99, 100])
@pytest.mark.parametrize("seed", range(4))
def test_a_mesh_has_three_or_four_links_at_each_router_and_no_weak_spot(n: int, seed: int) -> None:
    grid = mesh_grid(n, seed)
    degrees = Counter(router for link in grid.links for router in (link.a, link.b))
    assert len(degrees) == n
    assert set(degrees.values()) <= {3, 4}
    assert nx.edge_connectivity(graph_of(grid)) >= 2
    assert sum(load.power_w for load in grid.loads) < 0.8 * sum(
        source.max_power_w for source in grid.sources
    )


def test_a_hundred_routers_have_two_hundred_loads() -> None:
    assert len(mesh_grid(100).loads) == 200


def test_the_same_seed_gives_the_same_mesh() -> None:
    assert mesh_grid(30, 7) == mesh_grid(30, 7)
    assert mesh_grid(30, 7).links != mesh_grid(30, 8).links
    assert loads_grid(dump_grid(mesh_grid(30, 7))) == mesh_grid(30, 7)


def test_a_ring_is_a_ring() -> None:
    grid = ring_grid(7)
    assert nx.is_isomorphic(graph_of(grid), nx.cycle_graph(7))


@pytest.mark.parametrize(("make", "n"), [(ring_grid, 2), (mesh_grid, 4)])
def test_too_small_is_refused(make: object, n: int) -> None:
    with pytest.raises(ValueError, match=f"not {n}"):
        make(n)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "routers", "links"), [("elan9", 9, 15), ("ring", 6, 6), ("line3", 3, 2)]
)
def test_the_bundled_grid_files_are_good(name: str, routers: int, links: int) -> None:
    grid = load_grid(TOPOLOGIES / f"{name}.grid.yaml")
    assert (grid.name, len(grid.routers), len(grid.links)) == (name, routers, links)


@pytest.mark.parametrize("grid", [ring_grid(12), mesh_grid(50)], ids=lambda grid: grid.name)
def test_routers_of_generated_grids_have_places_apart(grid: Grid) -> None:
    assert len({router.at for router in grid.routers}) == len(grid.routers)


@pytest.mark.parametrize("path", sorted(TOPOLOGIES.glob("*.grid.yaml")), ids=lambda path: path.name)
def test_routers_of_the_grids_that_are_shipped_have_places_apart(path: Path) -> None:
    places = [router.at for router in load_grid(path).routers]
    for index, here in enumerate(places):
        assert here is not None
        for there in places[:index]:
            assert there is not None
            assert math.dist(here, there) > 0.9
