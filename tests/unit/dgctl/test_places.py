import io

from dgctl.topology_tables import render
from digitalgrid.columns import parts_text
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import Place


def shown(*routers: pb.RouterState) -> str:
    return parts_text(render(pb.Topology(routers=routers)), io.StringIO())


def test_places_are_shown_where_any_router_says_its_own() -> None:
    placed = pb.RouterState(router_id="r1", at=Place(x=7.5, y=-48))
    lost = pb.RouterState(router_id="r2")
    assert "7.5, -48" in shown(placed, lost)
    assert "place" in shown(placed, lost)
    assert "place" not in shown(lost)
