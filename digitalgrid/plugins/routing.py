"""Interface of routing algorithms, version 1: given a view of the network and a request, propose a path.

The controller judges what is proposed by its own physics and reservations, as the network is by then, and goes its own
way where nothing fits. So an algorithm may be wrong, slow or broken, and no line is ever over-subscribed. It runs in a
process of its own, one call at a time, for a bounded time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

import numpy as np
import numpy.typing as npt

from digitalgrid.physics import sent_w

INTERFACE_VERSION = 1
GROUP = "digitalgrid.routing_algorithms"

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkView:
    """The network at one moment, with what is reserved in it; nothing of it can be written.

    Routers are numbered from 0 to n - 1, and arcs, each one direction of a line, from 0 to m - 1. ``router_ids`` and
    ``efficiency`` (of its converter, above 0 and at most 1) have length n, all else length m, but for ``link_ids``:
    the line of arc k is ``link_ids[link[k]]``, and leads from router ``tail[k]`` to ``head[k]``.
    ``load_a`` is what is reserved on an arc (A), ``headroom_a`` what may still be added, whatever binds: the line, both
    of its directions together, or the converter that sends. It is -inf where an arc is out of service.
    """

    router_ids: tuple[str, ...]
    efficiency: Floats
    tail: Ints
    head: Ints
    link: Ints
    link_ids: tuple[str, ...]
    resistance_ohm: Floats
    voltage_v: Floats
    load_a: Floats
    headroom_a: Floats

    def __post_init__(self) -> None:
        for each in (self.efficiency, self.tail, self.head, self.link, self.resistance_ohm):
            each.setflags(write=False)
        for each in (self.voltage_v, self.load_a, self.headroom_a):
            each.setflags(write=False)

    @property
    def router_count(self) -> int:
        return len(self.router_ids)

    @property
    def arc_count(self) -> int:
        return len(self.tail)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source that may serve a request, and what it can inject for it (W)."""

    source_id: str
    router: int
    available_w: float
    cost_per_mwh: float


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """``power_w`` is to be delivered at router ``sink``, from one of the ``sources``, over one path.

    A proposal must inject no more than ``max_injected_w``, cross no more than ``max_hops`` lines (None: any number),
    and keep off routers and arcs that are to be avoided.
    """

    sink: int
    power_w: float
    sources: tuple[Candidate, ...]
    max_injected_w: float = inf
    max_hops: int | None = None
    avoid_routers: frozenset[int] = frozenset()
    avoid_arcs: frozenset[int] = frozenset()


class RoutingAlgorithm(Protocol):
    """What an entry point of group ``digitalgrid.routing_algorithms`` names: an instance, or a class that is called
    without arguments, once in a process.
    """

    @property
    def interface_version(self) -> int:
        """1."""

    def propose(self, view: NetworkView, request: RouteRequest) -> Sequence[int] | None:
        """Arcs of one path, source first; none where a source is at the sink's own router; None for no proposal.

        Must not repeat a router. What it raises is told to whoever asked, and is no proposal.
        """


def injected_w(view: NetworkView, request: RouteRequest, arcs: Sequence[int]) -> float:
    """What a source must inject for a path (W), as the controller works it out; inf where a line has no room.

    ValueError where the arcs do not join, or do not end at the sink.
    """
    at = request.sink
    entering_w = request.power_w / float(view.efficiency[at])
    for arc in reversed(arcs):
        if view.head[arc] != at:
            raise ValueError(f"arc {arc} leads to router {view.head[arc]}, not to {at}")
        at, voltage_v = int(view.tail[arc]), float(view.voltage_v[arc])
        if entering_w / voltage_v > float(view.headroom_a[arc]):
            return inf
        sent = sent_w(
            entering_w, float(view.resistance_ohm[arc]), voltage_v, float(view.load_a[arc])
        )
        entering_w = sent / float(view.efficiency[at])
    return entering_w
