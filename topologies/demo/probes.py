"""Small sources and loads at every router, so that power can be asked for between any two of them."""

from dataclasses import replace

from digitalgrid.gridfile import Grid, Load, Source

# Of a probe's source and load, which is little beside any line.
PROBE_LIMIT_W = 100e3


def probe_source_id(router_id: str) -> str:
    return f"probe-source-{router_id}"


def probe_load_id(router_id: str) -> str:
    return f"probe-load-{router_id}"


def with_probes(grid: Grid) -> Grid:
    """The grid, and at every router a source and a load too small to matter to its own."""
    sources = tuple(
        Source(probe_source_id(router.id), router.id, PROBE_LIMIT_W, 0.0, False)
        for router in grid.routers
    )
    loads = tuple(
        Load(probe_load_id(router.id), router.id, PROBE_LIMIT_W, 0, 0.0) for router in grid.routers
    )
    return replace(grid, sources=grid.sources + sources, loads=grid.loads + loads)
