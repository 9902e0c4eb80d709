"""Grids of any size, made from a number and a seed: the same ones give the same grid."""

import math
import random

from digitalgrid.gridfile import Grid, Link, Load, Router, Source

# Lines of 20 kV that carry 14 MW; two loads of 200 kW at each router, and a source of 3 MW at every fourth.
_EFFICIENCY = 0.97
_VOLTAGE_V = 20_000.0
_AMPACITY_A = 700.0
_LOADS_PER_ROUTER = 2
_LOAD_W = 200_000.0
_SOURCE_W = 3_000_000.0
_ROUTERS_PER_SOURCE = 4


def ring_grid(n: int = 6) -> Grid:
    """``n`` routers in a ring, a source at every fourth, two loads at each."""
    if n < 3:
        raise ValueError(f"a ring has at least 3 routers, not {n}")
    pairs = [(index, (index + 1) % n) for index in range(n)]
    turns = [math.tau * index / n for index in range(n)]
    places = [(n / 6 * math.sin(turn), n / 6 * math.cos(turn)) for turn in turns]
    return _grid(f"ring{n}", places, pairs, random.Random(n))


def mesh_grid(n: int = 100, seed: int = 1) -> Grid:
    """``n`` routers placed at random and joined to near ones, with 3 or 4 power links each.

    With 100 routers, one circuit for each of its 200 loads can be served, also with some links cut.
    A ring through all routers comes first (so that no single cut divides it), then chords: the
    nearest pairs of routers that still lack a third link, and a fourth where parity asks for it.
    """
    if n < 5:
        raise ValueError(f"a mesh with 3 links at each router has at least 5 routers, not {n}")
    rng = random.Random(seed)
    places = [(rng.random(), rng.random()) for _ in range(n)]
    order = _tour(places)
    pairs = {_pair(a, b) for a, b in zip(order, order[1:] + order[:1], strict=True)}
    degrees = [2] * n
    by_length = sorted(
        (math.dist(places[a], places[b]), a, b) for a in range(n) for b in range(a + 1, n)
    )
    for most in (2, 3):
        for _, a, b in by_length:
            lacking = min(degrees[a], degrees[b]) <= 2 and max(degrees[a], degrees[b]) <= most
            if lacking and (a, b) not in pairs:
                pairs.add((a, b))
                degrees[a] += 1
                degrees[b] += 1
    side = math.sqrt(n)
    return _grid(f"mesh{n}-{seed}", [(side * x, side * y) for x, y in places], sorted(pairs), rng)


def _tour(places: list[tuple[float, float]]) -> list[int]:
    """All places, each followed by the nearest that was not visited yet."""
    order, left = [0], set(range(1, len(places)))
    while left:
        here = places[order[-1]]
        nearest = min(left, key=lambda index: (math.dist(here, places[index]), index))
        order.append(nearest)
        left.remove(nearest)
    return order


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _grid(
    name: str, places: list[tuple[float, float]], pairs: list[tuple[int, int]], rng: random.Random
) -> Grid:
    n = len(places)
    ids = [f"r{index + 1}" for index in range(n)]
    return Grid(
        name=name,
        routers=tuple(
            Router(router_id, _EFFICIENCY, at=(round(x, 3), round(y, 3)))
            for router_id, (x, y) in zip(ids, places, strict=True)
        ),
        links=tuple(
            Link(
                id=f"{ids[a]}-{ids[b]}",
                a=ids[a],
                b=ids[b],
                resistance_ohm=round(rng.uniform(0.2, 0.6), 2),
                voltage_v=_VOLTAGE_V,
                ampacity_a=_AMPACITY_A,
            )
            for a, b in pairs
        ),
        sources=tuple(
            Source(f"source{index + 1}", ids[index], _SOURCE_W)
            for index in range(0, n, _ROUTERS_PER_SOURCE)
        ),
        loads=tuple(
            Load(f"load{index + 1}{suffix}", ids[index], _LOAD_W)
            for index in range(n)
            for suffix in "ab"[:_LOADS_PER_ROUTER]
        ),
    )
