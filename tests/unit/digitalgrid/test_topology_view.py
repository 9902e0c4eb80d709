from digitalgrid.client.topology_view import TopologyView
from digitalgrid.v1 import northbound_pb2 as pb


def link(link_id: str, up: bool = True) -> pb.LinkState:
    return pb.LinkState(link_id=link_id, up=up)


def router(router_id: str) -> pb.RouterState:
    return pb.RouterState(router_id=router_id, connected=True)


WHOLE = pb.Topology(
    lsdb_version=3, routers=[router("r1"), router("r2")], links=[link("l1"), link("l2")]
)


def test_changes_are_laid_over_the_whole_view() -> None:
    view = TopologyView()
    assert view.take(pb.WatchTopologyResponse(topology=WHOLE)) == WHOLE
    partial = pb.Topology(lsdb_version=4, links=[link("l1", up=False), link("l0")])
    now = view.take(
        pb.WatchTopologyResponse(topology=partial, partial=True, removed_router_ids=["r2"])
    )
    assert now == pb.Topology(
        lsdb_version=4,
        routers=[router("r1")],
        links=[link("l0"), link("l1", up=False), link("l2")],
    )


def test_a_whole_view_replaces_everything() -> None:
    view = TopologyView()
    view.take(pb.WatchTopologyResponse(topology=WHOLE))
    other = pb.Topology(lsdb_version=9, links=[link("l7")])
    assert view.take(pb.WatchTopologyResponse(topology=other)) == other
    empty = pb.WatchTopologyResponse(topology=pb.Topology(lsdb_version=10), partial=True)
    assert view.take(empty) == pb.Topology(lsdb_version=10, links=[link("l7")])
