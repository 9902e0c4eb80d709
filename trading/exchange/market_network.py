"""The controller's topology as markets see it: arrays for the kernels, and at which router each meter is."""

from collections.abc import Iterable, Mapping

import numpy as np

from controller.routing.graph import OUT_OF_SERVICE_A, PowerGraph, graph_of_links
from digitalgrid.v1 import northbound_pb2 as pb
from trading.exchange.config import MeterConfig
from trading.mechanisms.network import MarketNetwork


def network_of(topology: pb.Topology, meters: Iterable[MeterConfig]) -> MarketNetwork:
    """What is out of service, drained, or at a router that the controller does not reach carries nothing new; what is
    reserved stands. A meter whose source or load is not where it should be is not in it.
    """
    routers = topology.routers
    node_of = {router.router_id: node for node, router in enumerate(routers)}
    links = [
        each for each in topology.links if {each.a_router_id, each.b_router_id} <= set(node_of)
    ]
    graph = graph_of_links(
        [router.efficiency for router in routers],
        [node_of[link.a_router_id] for link in links],
        [node_of[link.b_router_id] for link in links],
        [link.resistance_ohm for link in links],
        [link.voltage_v for link in links],
        [link.ampacity_a for link in links],
    )
    _reserve(graph, links, node_of)
    _close(graph, links, routers)
    _limit_converters(graph, routers)
    return MarketNetwork(
        graph,
        tuple([router.router_id for router in routers]),
        tuple([link.link_id for link in links]),
        _router_of(topology, meters, node_of),
        tuple([link.cost_per_mwh for link in links]),
    )


def _reserve(graph: PowerGraph, links: list[pb.LinkState], node_of: Mapping[str, int]) -> None:
    if not links:
        return
    a = np.array([node_of[link.a_router_id] for link in links])
    forth = np.array([link.reserved_a_to_b_a for link in links])
    back = np.array([link.reserved_b_to_a_a for link in links])
    graph.load_a[:] = np.where(graph.tail == a[graph.link], forth[graph.link], back[graph.link])
    graph.headroom_a[:] = graph.ampacity_a - (forth + back)[graph.link]


def _close(graph: PowerGraph, links: list[pb.LinkState], routers: Iterable[pb.RouterState]) -> None:
    is_open = np.array([_serves(router) for router in routers], dtype=bool)
    is_up = np.array([link.up and not link.HasField("admin") for link in links], dtype=bool)
    for arc in range(graph.arc_count):
        ends = is_open[graph.tail[arc]] and is_open[graph.head[arc]]
        if not (ends and is_up[graph.link[arc]]):
            graph.headroom_a[arc] = OUT_OF_SERVICE_A


def _serves(router: pb.RouterState) -> bool:
    is_ours = not (router.HasField("profile") and router.profile.agents)
    return router.connected and is_ours and not router.HasField("admin")


def _limit_converters(graph: PowerGraph, routers: Iterable[pb.RouterState]) -> None:
    for node, router in enumerate(routers):
        if router.profile.HasField("max_through_w"):
            free_w = router.profile.max_through_w - router.reserved_through_w
            graph.through_w[node] = max(0.0, free_w)
            for arc in np.flatnonzero(graph.tail == node).tolist():
                graph.limit_headroom(arc)


def _router_of(
    topology: pb.Topology, meters: Iterable[MeterConfig], node_of: Mapping[str, int]
) -> dict[str, int]:
    serving = {each.router_id for each in topology.routers if _serves(each)}
    sources = {each.source_id: each.router_id for each in topology.sources}
    loads = {each.load_id: each.router_id for each in topology.loads}
    return {
        meter.meter: node_of[meter.router]
        for meter in meters
        if meter.router in serving
        and (not meter.source or sources.get(meter.source) == meter.router)
        and (not meter.load or loads.get(meter.load) == meter.router)
    }
