"""A network under study as arrays: what a worker process needs to know of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller.routing.graph import Floats, Ints
from digitalgrid.gridfile import Grid, Link
from topologies.importers.errors import NetworkError
from topologies.importers.imported import Imported

Bools = npt.NDArray[np.bool_]

# Impedance (ohm) given to a line without any, so that the shares of parallel lines can be told.
_MIN_OHM = 1e-9


@dataclass(frozen=True, slots=True)
class StudyCase:
    """Routers 0 to n-1, links, loads and sources in arrays.

    Node 0 is every router that the grid beyond feeds and takes from: out there they hang together. Parallel links are
    one, for nothing controls their shares. ``link_is_tie`` marks links at power routers, which are open in the network
    as operated. Units: ohm, V and A as in grid files; ``impedance_ohm`` includes
    reactance, and says how current is shared on loops.
    """

    efficiency: Floats
    link_a: Ints
    link_b: Ints
    resistance_ohm: Floats
    impedance_ohm: Floats
    voltage_v: Floats
    ampacity_a: Floats
    link_is_tie: Bools
    load_node: Ints
    load_priority: Ints
    source_node: Ints
    source_is_external: Bools

    @property
    def node_count(self) -> int:
        return len(self.efficiency)

    @property
    def passive_loops(self) -> int:
        """Independent loops of the network as operated, the one through the grid beyond included."""
        links = ~self.link_is_tie
        fed = self.fed(links)
        return int((links & fed[self.link_a]).sum() - fed.sum()) + 1

    def fed(self, links: Bools) -> Bools:
        """Routers that these links (a mask) join to the grid beyond; islands have nothing that would balance them."""
        reached = np.zeros(self.node_count, dtype=np.bool_)
        reached[0] = True
        a, b = self.link_a[links], self.link_b[links]
        while True:
            crossing = reached[a] != reached[b]
            if not crossing.any():
                return reached
            reached[a[crossing]] = True
            reached[b[crossing]] = True


def case_of(imported: Imported) -> StudyCase:
    """The arrays of an imported network. Raises NetworkError where the network as operated is not known."""
    grid = imported.grid
    if imported.dc_router_ids:
        raise NetworkError(
            f"{grid.name} has DC lines, whose schedule a study does not know; take them out of service first"
        )
    if not imported.external_source_ids:
        raise NetworkError(f"{grid.name} has no external grid to balance it; a study needs one")
    external = set(imported.external_source_ids)
    number = _numbers(grid, external)
    ties = set(imported.tie_router_ids)
    groups: dict[tuple[int, int], list[Link]] = {}
    for link in grid.links:
        one, other = sorted((number[link.a], number[link.b]))
        if one != other:
            groups.setdefault((one, other), []).append(link)
    merged = [_merged(group, imported.reactance_ohm) for group in groups.values()]
    efficiency = np.ones(max(number.values()) + 1)
    for router in grid.routers:
        efficiency[number[router.id]] = router.efficiency
    return StudyCase(
        efficiency=efficiency,
        link_a=_ints([one for one, _ in groups]),
        link_b=_ints([other for _, other in groups]),
        resistance_ohm=np.array([link.resistance_ohm for link in merged]),
        impedance_ohm=np.array([link.impedance_ohm for link in merged]),
        voltage_v=np.array([link.voltage_v for link in merged]),
        ampacity_a=np.array([link.ampacity_a for link in merged]),
        link_is_tie=np.array(
            [not ties.isdisjoint((group[0].a, group[0].b)) for group in groups.values()], np.bool_
        ),
        load_node=_ints([number[load.router] for load in grid.loads]),
        load_priority=_ints([load.priority for load in grid.loads]),
        source_node=_ints([number[source.router] for source in grid.sources]),
        source_is_external=np.array([source.id in external for source in grid.sources], np.bool_),
    )


def _numbers(grid: Grid, external: set[str]) -> dict[str, int]:
    outside = {source.router for source in grid.sources if source.id in external}
    number = dict.fromkeys(outside, 0)
    inside = [router.id for router in grid.routers if router.id not in outside]
    return number | {router_id: index for index, router_id in enumerate(inside, start=1)}


@dataclass(frozen=True, slots=True)
class _MergedLink:
    resistance_ohm: float
    impedance_ohm: float
    voltage_v: float
    ampacity_a: float


def _merged(group: list[Link], reactance_ohm: dict[str, float]) -> _MergedLink:
    """One link that loses what parallel ones lose; current is shared by impedance, the first to be full limits it.

    Voltages may differ a little between transformers: all is referred to the first link's.
    """
    voltage_v = group[0].voltage_v
    ratio = np.array([voltage_v / link.voltage_v for link in group])
    resistance = np.array([link.resistance_ohm for link in group]) * ratio**2
    reactance = np.array([reactance_ohm[link.id] for link in group]) * ratio**2
    ampacity_a = np.array([link.ampacity_a for link in group]) / ratio
    impedance = np.maximum(np.hypot(resistance, reactance), _MIN_OHM)
    admittance = 1.0 / impedance
    share = admittance / admittance.sum()
    return _MergedLink(
        resistance_ohm=float((share**2 * resistance).sum()),
        impedance_ohm=float(1.0 / admittance.sum()),
        voltage_v=voltage_v,
        ampacity_a=float((ampacity_a / share).min()),
    )


def _ints(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int32)
