"""The controller's topology as markets have it: what carries nothing new is closed; meters are where they belong."""

import numpy as np

from controller.routing.graph import OUT_OF_SERVICE_A
from digitalgrid.v1 import northbound_pb2 as pb
from trading.exchange.config import MeterConfig
from trading.exchange.market_network import network_of


def link(a: str, b: str, **figures: object) -> pb.LinkState:
    said = {"up": True, "resistance_ohm": 0.5, "voltage_v": 20_000.0, "ampacity_a": 300.0} | figures
    return pb.LinkState(link_id=f"{a}-{b}", a_router_id=a, b_router_id=b, **said)  # type: ignore[arg-type]


def topology() -> pb.Topology:
    return pb.Topology(
        routers=[
            pb.RouterState(router_id=name, connected=name != "r4", efficiency=0.97)
            for name in ("r1", "r2", "r3", "r4")
        ],
        links=[
            link("r1", "r2", cost_per_mwh=2.0, reserved_a_to_b_a=100.0, reserved_b_to_a_a=20.0),
            link("r2", "r3", up=False),
            link("r1", "r3", admin=pb.AdminWord(state=pb.ADMIN_STATE_DRAINING)),
            link("r3", "r4"),
        ],
        sources=[pb.SourceState(source_id="pv", router_id="r1")],
        loads=[pb.LoadState(load_id="town", router_id="r2")],
    )


def meter(name: str, router: str, source: str = "", load: str = "") -> MeterConfig:
    injected, drawn = (1.0 if source else 0.0), (1.0 if load else 0.0)
    return MeterConfig(name, router, source, load, injected, drawn)


def test_what_is_reserved_counts_in_its_direction_and_what_is_out_of_service_is_closed() -> None:
    graph = network_of(topology(), ()).graph
    names = ("r1", "r2", "r3", "r4")
    arcs = {
        (names[tail], names[head]): arc
        for arc, (tail, head) in enumerate(zip(graph.tail, graph.head, strict=True))
    }
    assert graph.load_a[arcs["r1", "r2"]] == 100.0
    assert graph.load_a[arcs["r2", "r1"]] == 20.0
    assert graph.headroom_a[arcs["r1", "r2"]] == graph.headroom_a[arcs["r2", "r1"]] == 180.0
    closed = {ends for ends, arc in arcs.items() if graph.headroom_a[arc] == OUT_OF_SERVICE_A}
    assert closed == set(arcs) - {("r1", "r2"), ("r2", "r1")}
    assert network_of(topology(), ()).toll_per_mwh == (2.0, 0.0, 0.0, 0.0)


def test_a_meter_is_there_only_where_its_source_or_load_is() -> None:
    meters = [
        meter("here", "r1", source="pv"),
        meter("moved", "r3", source="pv"),
        meter("unknown", "r2", load="village"),
        meter("town", "r2", load="town"),
        meter("away", "r4", load="town"),
    ]
    assert network_of(topology(), meters).router_of == {"here": 0, "town": 1}


def test_a_converter_that_is_nearly_full_limits_what_leaves_it() -> None:
    limited = topology()
    limited.routers[0].profile.max_through_w = 1e6
    limited.routers[0].reserved_through_w = 9e5
    graph = network_of(limited, ()).graph
    assert graph.through_w == {0: 1e5}
    leaving = graph.headroom_a[(graph.tail == 0) & np.isfinite(graph.headroom_a)]
    assert leaving.max() < 1e5 / 20_000.0


def test_an_empty_network_is_one_too() -> None:
    network = network_of(pb.Topology(), ())
    assert (network.graph.node_count, network.graph.arc_count) == (0, 0)
