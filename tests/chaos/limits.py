"""What routers are committed to, beside what links, sources and loads can take; looked at with every commitment."""

from collections import defaultdict
from collections.abc import Iterator

from digitalgrid.gridfile import Grid
from digitalgrid.model import HopSnapshot
from digitalgrid.physics import current_a

# Sums of reservations that two programs computed.
SLACK = 1 + 1e-6


class Commitments:
    """By limit, and then by router and circuit: what each generation takes. A router clamps a circuit to the larger
    of its generations.
    """

    def __init__(self, grid: Grid) -> None:
        self._voltage_v = {link.id: link.voltage_v for link in grid.links}
        self._limits = {
            **{("link", link.id): link.ampacity_a for link in grid.links},
            **{("source", source.id): source.max_power_w for source in grid.sources},
            **{("load", load.id): load.power_w for load in grid.loads},
        }
        self._taken: dict[tuple[str, str], dict[tuple[str, int], dict[int, float]]] = defaultdict(
            lambda: defaultdict(dict)
        )

    def add(self, router_id: str, hop: HopSnapshot) -> list[str]:
        """Take up a hop that was committed; a sentence on each limit that this exceeds."""
        exceeded = []
        for what, amount in self._uses(hop):
            taken = self._taken[what]
            taken[router_id, hop.circuit_id][hop.generation] = amount
            total = sum(max(each.values()) for each in taken.values() if each)
            if total > self._limits[what] * SLACK:
                kind, id_ = what
                exceeded.append(
                    f"{kind} {id_}: routers carry {total:.6g} of {self._limits[what]:.6g} once"
                    f" {router_id} has committed circuit {hop.circuit_id} generation {hop.generation}"
                )
        return exceeded

    def remove(self, router_id: str, hop: HopSnapshot) -> None:
        for what, _ in self._uses(hop):
            self._taken[what][router_id, hop.circuit_id].pop(hop.generation, None)

    def _uses(self, hop: HopSnapshot) -> Iterator[tuple[tuple[str, str], float]]:
        if hop.egress_link_id:
            voltage_v = self._voltage_v[hop.egress_link_id]
            yield ("link", hop.egress_link_id), current_a(hop.received_power_w, voltage_v)
        if hop.source_id:
            yield ("source", hop.source_id), hop.ingress_power_w
        if hop.load_id:
            yield ("load", hop.load_id), hop.power_w
