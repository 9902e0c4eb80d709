"""The grid that chaos is made in: so tight that requests compete, some are refused, and others must be split."""

from dataclasses import replace

from digitalgrid.gridfile import Grid
from topologies.generated import mesh_grid

_AMPACITY_A = 60.0
_SOURCE_W = 1_200_000.0


def tight_grid(routers: int = 16) -> Grid:
    """Two loads of 200 kW at each router, and a source of 1.2 MW at every fourth."""
    grid = mesh_grid(routers)
    return replace(
        grid,
        links=tuple(replace(link, ampacity_a=_AMPACITY_A) for link in grid.links),
        sources=tuple(replace(source, max_power_w=_SOURCE_W) for source in grid.sources),
    )
