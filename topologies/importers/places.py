"""Places of buses and courses of lines, as pandapower keeps them (GeoJSON in the column ``geo``), for maps.

A router is where the first of its buses is that has a place; what has none of its own, such as a tie's power router or
the star of a transformer, is in the middle of its neighbours. Without any places nothing is made up.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from digitalgrid.gridfile import Link, Router
from digitalgrid.places import MAX_VIA, Place, place_problem
from topologies.importers.reading import Reading, Row


def placed(reading: Reading, routers: Iterable[Router], links: Iterable[Link]) -> list[Router]:
    """The routers with their places."""
    places = _router_places(reading)
    around: dict[str, list[Place]] = defaultdict(list)
    for link in links:
        for here, there in ((link.a, link.b), (link.b, link.a)):
            if there in places:
                around[here].append(places[there])
    return [
        replace(router, at=places.get(router.id) or _middle(around.get(router.id, [])))
        for router in routers
    ]


def course(row: Row) -> tuple[Place, ...]:
    """The corners of a line between its ends, thinned out where they are more than an advertisement takes."""
    corners = list(_places(row, "LineString"))[1:-1]
    if len(corners) > MAX_VIA:
        row.note(f"has more than {MAX_VIA} corners, of which as many are kept")
        corners = [corners[index * len(corners) // MAX_VIA] for index in range(MAX_VIA)]
    return tuple(corners)


def _router_places(reading: Reading) -> dict[str, Place]:
    places: dict[str, Place] = {}
    for row in reading.rows("bus"):
        router_id = reading.router_of.get(row.index)
        if router_id is not None and router_id not in places:
            for at in _places(row, "Point"):
                places[router_id] = at
    return places


def _places(row: Row, kind: str) -> Iterator[Place]:
    """Of the cell ``geo``; none, with a note, where that is no such geometry."""
    cell = row.cell("geo")
    if cell is None:
        return
    try:
        geometry = json.loads(cell)
        coordinates: Any = geometry["coordinates"]
        found = [coordinates] if geometry["type"] == "Point" else list(coordinates)
        # A height, where there is one, is of no use on a map.
        places = [(float(x), float(y)) for x, y, *_ in found]
    except (TypeError, ValueError, KeyError, OverflowError):
        places = []
    if _is_wrong(places):
        row.note(f"geo is no {kind} of GeoJSON; left without a place")
        return
    yield from places


def _is_wrong(places: list[tuple[float, float]]) -> bool:
    return not places or any(place_problem(each) for each in places)


def _middle(around: list[Place]) -> Place | None:
    if not around:
        return None
    x, y = (sum(each) / len(around) for each in zip(*around, strict=True))
    return (x, y)
