"""Power networks made from a size, a seed and a share of routers with sources: the same ones give the same network."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from controller.routing.graph import Floats, Ints, PowerGraph, graph_of_links

VOLTAGE_V = 20_000.0
_OHM_PER_KM = 0.12
_NEAREST = 24


@dataclass(frozen=True, slots=True)
class Mesh:
    """Routers in the plane, each joined to near ones by 3 or 4 power links; arrays of links have one length.

    ``source_nodes`` are a share of the routers, chosen at random.
    """

    name: str
    places_km: npt.NDArray[np.float64]
    a: Ints
    b: Ints
    resistance_ohm: Floats
    ampacity_a: Floats
    efficiency: Floats
    source_nodes: Ints

    def graph(self) -> PowerGraph:
        voltage_v = np.full(len(self.a), VOLTAGE_V)
        return graph_of_links(
            self.efficiency, self.a, self.b, self.resistance_ohm, voltage_v, self.ampacity_a
        )


def mesh(n: int, seed: int, source_share: float, *, ampacity_a: float = 500.0) -> Mesh:
    """``n`` routers on a square, about one a km²; a closed tour through all of them, then the shortest chords.

    Line lengths are 1.0 to 1.5 times the distance, efficiencies 0.985 to 0.995. Raises ValueError below 8 routers.
    """
    if n < 8:
        raise ValueError(f"a mesh has at least 8 routers, not {n}")
    rng = np.random.default_rng([n, seed])
    places_km = rng.random((n, 2)) * np.sqrt(n)
    # Numbered along the tour, so that neighbours have near numbers.
    places_km = places_km[_along_strips(places_km)]
    pairs = {(node, node + 1) for node in range(n - 1)} | {(0, n - 1)}
    _add_chords(pairs, places_km)
    ends = np.array(sorted(pairs), dtype=np.int32)
    a, b = ends[:, 0], ends[:, 1]
    length_km = np.linalg.norm(places_km[a] - places_km[b], axis=1) * rng.uniform(1.0, 1.5, len(a))
    return Mesh(
        f"mesh n={n} seed={seed} source_share={source_share:g}",
        places_km,
        a,
        b,
        length_km * _OHM_PER_KM,
        ampacity_a * rng.uniform(0.6, 1.4, len(a)),
        rng.uniform(0.985, 0.995, n),
        np.sort(rng.choice(n, max(1, round(n * source_share)), replace=False)).astype(np.int32),
    )


def _along_strips(places_km: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """A tour up one strip of the square and down the next."""
    strips = max(1, round(np.sqrt(len(places_km) / 3)))
    side_km = np.sqrt(len(places_km))
    strip = np.minimum((places_km[:, 0] / side_km * strips).astype(int), strips - 1)
    along = np.where(strip % 2, -places_km[:, 1], places_km[:, 1])
    return np.lexsort((along, strip))


def _add_chords(pairs: set[tuple[int, int]], places_km: npt.NDArray[np.float64]) -> None:
    """The shortest pairs of routers of which one still lacks a third link, then a fourth where that is needed."""
    n = len(places_km)
    degrees = [2] * n
    distance_km, near = cKDTree(places_km).query(places_km, k=min(n, _NEAREST))
    near_pairs = sorted(
        (float(distance_km[a, k]), a, int(b))
        for a in range(n)
        for k, b in enumerate(near[a])
        if a < b
    )
    for most in (2, 3):
        for _, a, b in near_pairs:
            lacking = min(degrees[a], degrees[b]) <= 2 and max(degrees[a], degrees[b]) <= most
            if lacking and (a, b) not in pairs:
                pairs.add((a, b))
                degrees[a] += 1
                degrees[b] += 1
