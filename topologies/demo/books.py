"""The energy books of a whole network, from the meters of its routers. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import power_link_pb2 as pb


@dataclass(frozen=True, slots=True)
class Books:
    """Energies in millijoules since the routers were made.

    ``conservation_error_mj`` adds up, without regard to sign, what any router and any line cannot account for.
    """

    injected_mj: int
    delivered_mj: int
    converter_loss_mj: int
    line_loss_mj: int
    buffered_mj: int
    lost_to_faults_mj: int
    lost_in_transit_mj: int
    conservation_error_mj: int
    max_formula_deviation_mj: float
    oversubscribed_instants: int
    demand_mw: int


def add_up(meters: Iterable[pb.RouterMeters]) -> Books:
    meters = list(meters)
    links = [link for router in meters for link in router.links]
    dissipated_mj = sum(router.dissipated_mj for router in meters)
    return Books(
        injected_mj=sum(each.injected_mj for router in meters for each in router.sources),
        delivered_mj=sum(each.delivered_mj for router in meters for each in router.loads),
        converter_loss_mj=sum(router.converter_loss_mj for router in meters),
        line_loss_mj=sum(link.line_loss_mj for link in links),
        buffered_mj=sum(router.buffered_mj for router in meters),
        lost_to_faults_mj=sum(link.lost_to_faults_mj for link in links) + dissipated_mj,
        lost_in_transit_mj=sum(link.lost_in_transit_mj for link in links),
        conservation_error_mj=sum(abs(_router_error_mj(router)) for router in meters)
        + sum(abs(error) for error in _line_errors_mj(meters)),
        max_formula_deviation_mj=max(
            (router.max_formula_deviation_mj for router in meters), default=0.0
        ),
        oversubscribed_instants=sum(router.oversubscribed_instants for router in meters)
        + sum(link.oversubscribed_instants for link in links),
        demand_mw=sum(router.demand_mw for router in meters),
    )


def _router_error_mj(router: pb.RouterMeters) -> int:
    """In less out, less loss, less what is inside."""
    taken_in = sum(link.received_mj for link in router.links)
    taken_in += sum(source.injected_mj for source in router.sources)
    given_out = sum(link.sent_mj for link in router.links)
    given_out += sum(load.delivered_mj for load in router.loads)
    return (
        taken_in - given_out - router.converter_loss_mj - router.dissipated_mj - router.buffered_mj
    )


def _line_errors_mj(meters: list[pb.RouterMeters]) -> list[int]:
    """For each line, both directions together: sent less loss, less what arrived or is known to be lost."""
    error_mj: dict[str, int] = defaultdict(int)
    for router in meters:
        for link in router.links:
            error_mj[link.link_id] += link.sent_mj - link.line_loss_mj - link.received_mj
            error_mj[link.link_id] -= link.lost_to_faults_mj + link.lost_in_transit_mj
    return list(error_mj.values())


def powers_w(before: Iterable[pb.RouterMeters], after: Iterable[pb.RouterMeters]) -> "Powers":
    """Mean powers between two readings, each router by its own clock.

    What is not in both readings was not measured, and is left out; so is all of a router that was made anew between
    them, whose counters began again.
    """
    delivered: dict[str, float] = {}
    generated: dict[str, float] = {}
    earlier = {router.router_id: router for router in before}
    for router in after:
        old = earlier.get(router.router_id)
        if old is None or router.time_ns <= old.time_ns or router.boot_id != old.boot_id:
            continue
        span_s = (router.time_ns - old.time_ns) / NS_PER_S
        at_load = {load.load_id: load.delivered_mj for load in old.loads}
        at_source = {source.source_id: source.injected_mj for source in old.sources}
        for load in router.loads:
            if load.load_id in at_load and not load.former:
                grown_mj = load.delivered_mj - at_load[load.load_id]
                delivered[load.load_id] = grown_mj / 1e3 / span_s
        for source in router.sources:
            if source.source_id in at_source and not source.former:
                grown_mj = source.injected_mj - at_source[source.source_id]
                generated[source.source_id] = grown_mj / 1e3 / span_s
    return Powers(delivered, generated)


@dataclass(frozen=True, slots=True)
class Powers:
    """Mean powers by load and by source, in watt; what was not measured is not in them."""

    delivered_w: dict[str, float]
    generated_w: dict[str, float]

    def total_generated_w(self, source_ids: Iterable[str]) -> float | None:
        """Of all these together; None where one of them was not measured."""
        each_w = [self.generated_w.get(source_id) for source_id in source_ids]
        measured_w = [power_w for power_w in each_w if power_w is not None]
        return sum(measured_w) if len(measured_w) == len(each_w) else None
