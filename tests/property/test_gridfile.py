"""Any grid that can be made can be written down and read back, exactly."""

import string

from hypothesis import given
from hypothesis import strategies as st

from digitalgrid.gridfile import (
    Grid,
    Link,
    Load,
    Router,
    Source,
    Standing,
    dump_grid,
    loads_grid,
)
from digitalgrid.limits import MAX_POWER_W
from digitalgrid.physics import line_fault
from digitalgrid.places import MAX_COORDINATE

ids = st.text(string.ascii_letters + string.digits + "_.-", min_size=1, max_size=8).filter(
    lambda text: text[0] not in "_.-"
)
positive = st.floats(min_value=1e-9, max_value=1e9)
not_negative = st.floats(min_value=0, max_value=1e9)
power_w = st.floats(min_value=0, max_value=MAX_POWER_W)


line_figures = st.tuples(not_negative, positive, positive, not_negative).filter(
    lambda figures: not line_fault(*figures[:3])
)


coordinates = st.floats(min_value=-MAX_COORDINATE, max_value=MAX_COORDINATE)
places = st.tuples(coordinates, coordinates)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    names = draw(st.lists(ids, min_size=2, max_size=12, unique=True))
    split = draw(st.integers(min_value=1, max_value=len(names) - 1))
    router_ids, link_ids = names[:split], names[split:]
    a_router = st.sampled_from(router_ids)
    pairs = st.permutations(router_ids)
    links = []
    for link_id in link_ids if len(router_ids) > 1 else ():
        a, b = draw(pairs)[:2]
        values = draw(line_figures)
        risk_groups = tuple(draw(st.lists(ids, max_size=2)))
        via = tuple(draw(st.lists(places, max_size=3)))
        links.append(Link(link_id, a, b, *values, risk_groups=risk_groups, via=via))
    standing = []
    for link in draw(st.lists(st.sampled_from(links), max_size=3)) if links else ():
        ends = draw(st.permutations([link.a, link.b]))
        alone = sum({other.a, other.b} == set(ends) for other in links) == 1
        named = None if alone and draw(st.booleans()) else link.id
        standing.append(Standing(ends[0], ends[1], draw(power_w), named))
    cell_ids = st.lists(ids, max_size=4, unique=True)
    return Grid(
        name=draw(st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]) | st.just(" "))),
        routers=tuple(
            Router(id_, draw(st.floats(min_value=0.001, max_value=1)), at=draw(st.none() | places))
            for id_ in router_ids
        ),
        links=tuple(links),
        sources=tuple(
            Source(
                id_,
                draw(a_router),
                draw(power_w),
                renewable=draw(st.booleans()),
                carbon_kg_per_mwh=draw(st.floats(0.0, 1e3)),
            )
            for id_ in draw(cell_ids)
        ),
        loads=tuple(
            Load(id_, draw(a_router), draw(power_w), draw(st.integers(-9, 9)))
            for id_ in draw(cell_ids)
        ),
        standing=tuple(standing),
    )


@given(grids())
def test_dumped_grids_read_back_equal(grid: Grid) -> None:
    assert loads_grid(dump_grid(grid)) == grid
