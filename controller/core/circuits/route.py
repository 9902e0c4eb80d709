"""A route with the power reserved along it, and the snapshots that program its routers."""

import msgspec

from digitalgrid.model import CircuitGeneration, HopSnapshot


class RouteLink(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One link in the direction of the power, as reserved."""

    link_id: str
    from_router_id: str
    to_router_id: str
    sent_w: float
    received_w: float
    current_a: float
    resistance_ohm: float
    voltage_v: float


class Route(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """From one source to one sink. ``entering_w[k]`` enters router k when the circuit runs at its reservation.

    The resistances, voltages and efficiencies are those that it was admitted with. ``trickle_w[k]`` may enter router k
    while the generation is not demanded, to fill its buffers and those below; empty: none.
    """

    source_id: str
    sink_id: str
    router_ids: tuple[str, ...]
    links: tuple[RouteLink, ...]
    entering_w: tuple[float, ...]
    power_w: float
    efficiency: tuple[float, ...]
    trickle_w: tuple[float, ...] = ()

    @property
    def injected_w(self) -> float:
        return self.entering_w[0]

    @property
    def loss_fraction(self) -> float:
        return (self.injected_w - self.power_w) / self.injected_w

    @property
    def sink_router_id(self) -> str:
        return self.router_ids[-1]


def hop_snapshots(
    route: Route,
    key: CircuitGeneration,
    admission_seq: int,
    *,
    priority: int = 0,
    floor_w: float = 0.0,
    asked_w: float = 0.0,
    standby: bool = False,
    shared_standby: bool = False,
) -> dict[str, HopSnapshot]:
    """What each router on the route must be told, by router id."""
    return {
        router_id: hop_snapshot(
            route,
            index,
            key,
            admission_seq,
            priority=priority,
            floor_w=floor_w,
            asked_w=asked_w,
            standby=standby,
            shared_standby=shared_standby,
        )
        for index, router_id in enumerate(route.router_ids)
    }


def hop_snapshot(
    route: Route,
    index: int,
    key: CircuitGeneration,
    admission_seq: int,
    *,
    priority: int = 0,
    floor_w: float = 0.0,
    asked_w: float = 0.0,
    standby: bool = False,
    shared_standby: bool = False,
) -> HopSnapshot:
    """What the router at ``index`` must be told."""
    egress = route.links[index] if index < len(route.links) else None
    # By position: batches make very many of them.
    return HopSnapshot(
        key.circuit_id,
        key.generation,
        admission_seq,
        route.power_w,
        route.entering_w[index],
        egress.sent_w if egress else route.power_w,
        egress.received_w if egress else route.power_w,
        route.source_id if index == 0 else "",
        route.links[index - 1].link_id if index else "",
        "" if egress else route.sink_id,
        egress.link_id if egress else "",
        standby,
        priority,
        floor_w,
        route.trickle_w[index] if route.trickle_w else 0.0,
        asked_w if asked_w > route.power_w else 0.0,
        shared_standby and egress is not None,
    )
