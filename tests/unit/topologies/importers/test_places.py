"""Where things are on a map, as an import keeps it."""

import json

import pytest

pytest.importorskip("pandapower")

import pandapower.networks as networks

from digitalgrid.places import MAX_VIA
from tests.support.pandapower_networks import feeder, line
from topologies.importers.imported import Imported, Options
from topologies.importers.pandapower_import import import_pandapower


def point(*place: float) -> str:
    return json.dumps({"type": "Point", "coordinates": place})


def places(imported: Imported) -> dict[str, tuple[float, ...] | None]:
    return {router.id: router.at for router in imported.grid.routers}


def test_a_published_network_keeps_the_places_of_its_buses_and_the_corners_of_its_lines() -> None:
    net = networks.mv_oberrhein()
    imported = import_pandapower(net, Options(tie_routers=True))
    at = places(imported)
    assert all(place is not None for place in at.values())
    for bus, router_id in imported.router_of_bus.items():
        x, y = json.loads(net.bus.geo[bus])["coordinates"]
        assert at[router_id] == (x, y)
    bent = [link for link in imported.grid.links if link.via]
    assert len(bent) > len(imported.grid.links) / 2
    row = net.line.iloc[0]
    drawn = [tuple(each) for each in json.loads(row.geo)["coordinates"]]
    assert tuple(drawn[1:-1]) in {link.via for link in bent}
    # Between its two neighbours.
    tie = imported.tie_router_ids[0]
    ends = [link.a for link in imported.grid.links if link.b == tie]
    ends += [link.b for link in imported.grid.links if link.a == tie]
    x, y = at[tie] or (0.0, 0.0)
    assert x == pytest.approx(sum((at[end] or (0.0,))[0] for end in ends) / len(ends))


def test_without_places_nothing_is_made_up() -> None:
    imported = import_pandapower(feeder())
    assert set(places(imported).values()) == {None}
    assert not any(link.via for link in imported.grid.links)


def test_what_is_no_geometry_is_left_out_with_a_warning() -> None:
    net = feeder(2)
    line(net, 0, 1, name="long")
    net.bus["geo"] = None
    net.line["geo"] = None
    net.bus.loc[0, "geo"] = point(7.5, 48.0, 212.0)
    net.bus.loc[1, "geo"] = "somewhere"
    net.line.loc[net.line.name == "long", "geo"] = json.dumps(
        {"type": "LineString", "coordinates": [[number, 0] for number in range(500)]}
    )
    imported = import_pandapower(net)
    at = places(imported)
    assert at["Bus_0"] == (7.5, 48.0)
    # It is drawn beside what it hangs on.
    assert at["Bus_1"] == (7.5, 48.0)
    assert any("geo is no Point of GeoJSON" in warning for warning in imported.warnings)
    long = next(link for link in imported.grid.links if link.id == "long")
    assert len(long.via) == MAX_VIA
    assert any(f"more than {MAX_VIA} corners" in warning for warning in imported.warnings)
