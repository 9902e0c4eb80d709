"""The network as arrays: what the kernels read, and admission updates in place."""

from copy import copy

import numpy as np
import numpy.typing as npt

from digitalgrid.physics import received_w

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

# The headroom of an arc that is out of service: nothing fits, and nothing given back to it makes it fit.
OUT_OF_SERVICE_A = -np.inf


class PowerGraph:
    """``n`` routers and ``m`` arcs in compressed rows by head, because routes are searched backward from the sink.

    An arc is one direction of a power link. Arcs are numbered by head: those into router v are ``start[v]`` up to
    ``start[v + 1]``, those that leave it ``leaving[leaving_start[v]:leaving_start[v + 1]]``. ``link[k]`` is the link
    of arc k and ``twin[k]`` its other direction, -1 where there is none. ``load_a[k]`` is the current reserved on
    arc k, ``headroom_a[k]`` what its link may still carry in either direction; both change with every admission and
    release, all else is fixed. Arrays of arcs have length m, of routers n.
    """

    def __init__(
        self,
        efficiency: npt.ArrayLike,
        tail: npt.ArrayLike,
        head: npt.ArrayLike,
        link: npt.ArrayLike,
        resistance_ohm: npt.ArrayLike,
        voltage_v: npt.ArrayLike,
        ampacity_a: npt.ArrayLike,
    ) -> None:
        """Raises ValueError where arcs do not stand in the order of their heads, or a loss could be negative."""
        self.efficiency = _floats(efficiency)
        self.tail = _ints(tail)
        self.head = _ints(head)
        self.link = _ints(link)
        self.resistance_ohm = _floats(resistance_ohm)
        self.voltage_v = _floats(voltage_v)
        self.ampacity_a = _floats(ampacity_a)
        self.node_count = len(self.efficiency)
        self.arc_count = len(self.tail)
        self._check()
        self.start = row_starts(self.head, self.node_count)
        self.leaving = np.argsort(self.tail, kind="stable").astype(np.int32)
        self.leaving_start = row_starts(self.tail, self.node_count)
        self.twin = _twins(self.link)
        self.load_a = np.zeros(self.arc_count)
        self.headroom_a = self.ampacity_a.copy()
        # What may still enter each node whose converter is limited (W).
        self.through_w: dict[int, float] = {}

    def snapshot(self) -> "PowerGraph":
        """The same network with loads and headroom of its own, as they are now."""
        same = copy(self)
        same.load_a = self.load_a.copy()
        same.headroom_a = self.headroom_a.copy()
        same.through_w = dict(self.through_w)
        return same

    def set_load(self, arc: int, load_a: float) -> None:
        """Say what is reserved on an arc that is in service; its link's headroom follows."""
        self.load_a[arc] = load_a
        twin = int(self.twin[arc])
        both_a = load_a if twin < 0 else load_a + self.load_a[twin]
        self.headroom_a[arc] = self.ampacity_a[arc] - both_a
        if twin >= 0:
            self.headroom_a[twin] = self.headroom_a[arc]

    def room_of_line_a(self, arc: int) -> float:
        """What the line of an arc may still carry, whatever its tail's converter lets through."""
        if self.headroom_a[arc] == OUT_OF_SERVICE_A:
            return OUT_OF_SERVICE_A
        twin = int(self.twin[arc])
        both_a = self.load_a[arc] + (self.load_a[twin] if twin >= 0 else 0.0)
        return float(self.ampacity_a[arc] - both_a)

    def limit_headroom(self, arc: int, again_w: float = 0.0, again_a: float = 0.0) -> None:
        """Cut an arc's headroom to what its tail may still convert, if that is limited.

        What leaves a node by one arc needs so much more at its entrance the more it is. So for one path at a time a
        limit of a node is one of each arc that leaves it, and searches need not know of it. ``again_w`` of the node
        and ``again_a`` of the arc are held by who is searched for, and free to it.
        """
        room_a = self.room_of_line_a(arc)
        free_w = self.through_w.get(int(self.tail[arc]))
        if free_w is not None and room_a != OUT_OF_SERVICE_A:
            voltage_v = float(self.voltage_v[arc])
            sent_w = max(0.0, free_w + again_w) * float(self.efficiency[self.tail[arc]])
            before_a = max(0.0, float(self.load_a[arc]) - again_a)
            most_a = (
                received_w(sent_w, float(self.resistance_ohm[arc]), voltage_v, before_a) / voltage_v
            )
            room_a = min(room_a, most_a - again_a)
        self.headroom_a[arc] = room_a

    def set_figures(
        self, arc: int, resistance_ohm: float, voltage_v: float, ampacity_a: float
    ) -> None:
        """Say what an arc's line is like now; loads must be set again, and searches and landmarks told."""
        self.resistance_ohm[arc] = resistance_ohm
        self.voltage_v[arc] = voltage_v
        self.ampacity_a[arc] = ampacity_a

    def take_out_of_service(self, arc: int) -> None:
        """Nothing may cross the arc, until :meth:`set_load` puts it into service again."""
        self.headroom_a[arc] = OUT_OF_SERVICE_A

    def _check(self) -> None:
        ends = (self.tail, self.head)
        if self.arc_count and not all(
            int(end.min()) >= 0 and int(end.max()) < self.node_count for end in ends
        ):
            raise ValueError(f"arcs lead to nodes beyond the {self.node_count} that there are")
        if np.any(np.diff(self.head) < 0):
            raise ValueError("arcs must stand in the order of their heads")
        if not np.all((self.efficiency > 0.0) & (self.efficiency <= 1.0)):
            raise ValueError("efficiencies must be above 0 and at most 1")
        if not (np.all(self.resistance_ohm >= 0.0) and np.all(self.voltage_v > 0.0)):
            raise ValueError("resistances must be at least 0 and voltages above 0")


def graph_of_links(
    efficiency: npt.ArrayLike,
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    resistance_ohm: npt.ArrayLike,
    voltage_v: npt.ArrayLike,
    ampacity_a: npt.ArrayLike,
) -> PowerGraph:
    """Both directions of each link; ``a`` and ``b`` are the routers at its ends."""
    tail = np.concatenate([_ints(a), _ints(b)])
    head = np.concatenate([_ints(b), _ints(a)])
    order = np.argsort(head, kind="stable")
    link = np.tile(np.arange(len(tail) // 2), 2)
    figures = (np.tile(_floats(each), 2)[order] for each in (resistance_ohm, voltage_v, ampacity_a))
    return PowerGraph(efficiency, tail[order], head[order], link[order], *figures)


def _ints(values: npt.ArrayLike) -> Ints:
    return np.array(values, dtype=np.int32)


def _floats(values: npt.ArrayLike) -> Floats:
    return np.array(values, dtype=np.float64)


def row_starts(row_of: Ints, rows: int) -> Ints:
    starts = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(np.bincount(row_of, minlength=rows), out=starts[1:])
    return starts


def _twins(link: Ints) -> Ints:
    """The other arc of each arc's link, -1 for a link of one arc."""
    twin = np.full(len(link), -1, dtype=np.int32)
    order = np.argsort(link, kind="stable")
    pairs = np.flatnonzero(link[order][:-1] == link[order][1:])
    one, other = order[pairs], order[pairs + 1]
    twin[one], twin[other] = other, one
    return twin
