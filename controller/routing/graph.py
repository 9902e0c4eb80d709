"""The network as arrays: what the kernels read, and admission updates in place."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arc:
    """One direction of a power link, between router indices."""

    tail: int
    head: int
    resistance_ohm: float
    voltage_v: float


class ArcGraph:
    """Arcs in compressed rows by head, because routes are searched backward from the sink.

    ``load_a[k]`` is the current reserved on arc k, ``headroom_a[k]`` what its link may still carry (the
    ampacity is shared by both directions). Both change with every admission; all else is fixed.
    """

    def __init__(self, efficiency: Sequence[float], arcs: Sequence[Arc]) -> None:
        count = len(efficiency)
        self.efficiency = list(efficiency)
        self.tail = [arc.tail for arc in arcs]
        self.head = [arc.head for arc in arcs]
        self.resistance_ohm = [arc.resistance_ohm for arc in arcs]
        self.voltage_v = [arc.voltage_v for arc in arcs]
        self.load_a = [0.0] * len(arcs)
        self.headroom_a = [0.0] * len(arcs)
        rows: list[list[int]] = [[] for _ in range(count)]
        for index, arc in enumerate(arcs):
            rows[arc.head].append(index)
        self.arcs_into_start = [0] * (count + 1)
        self.arcs_into: list[int] = []
        for node, row in enumerate(rows):
            self.arcs_into.extend(row)
            self.arcs_into_start[node + 1] = len(self.arcs_into)

    @property
    def node_count(self) -> int:
        return len(self.efficiency)
