"""The grid view with its loads and reservations, as clients see it."""

from collections.abc import Iterator

from controller.core.network.link import LinkState, LinkView
from controller.core.network.view import RouterView
from controller.core.questions import Questions
from controller.northbound.drain_codec import word_to_pb
from digitalgrid.convert import claims_to_pb, profile_to_pb
from digitalgrid.model import LoadAdvertisement, SourceAdvertisement
from digitalgrid.v1 import northbound_pb2 as pb


def topology_to_pb(known: Questions, now_ns: int) -> pb.Topology:
    topology = pb.Topology()
    for part in topology_parts(known, now_ns):
        topology.MergeFrom(part)
    return topology


def topology_parts(known: Questions, now_ns: int) -> Iterator[pb.Topology]:
    """The topology piece by piece; merged, or joined as bytes, they are the whole.

    The network is that of the first piece, and what is reserved in it that of each piece as it is asked for.
    """
    view, fresh = known.view, known.fresh_router_ids(now_ns)
    yield pb.Topology(lsdb_version=known.lsdb_version)
    # Ids alone are sorted several times faster than with what they name.
    for router_id in sorted(view.routers):
        yield pb.Topology(routers=[_router_to_pb(known, view.routers[router_id], now_ns)])
    for link_id in sorted(view.links):
        yield pb.Topology(links=[_link_to_pb(known, view.links[link_id], fresh)])
    for source_id in sorted(view.sources):
        yield pb.Topology(sources=[_source_to_pb(known, *view.sources[source_id])])
    for load_id in sorted(view.loads):
        yield pb.Topology(loads=[_load_to_pb(known, *view.loads[load_id])])


def _router_to_pb(known: Questions, router: RouterView, now_ns: int) -> pb.RouterState:
    router_id = router.router_id
    refused = known.refused_claims(router_id)
    lateness = known.lateness(router_id, now_ns)
    return pb.RouterState(
        router_id=router_id,
        connected=known.is_connected(router_id),
        boot_id=router.boot_id,
        efficiency=router.efficiency,
        table_version=known.table_version(router_id),
        refused_claims=claims_to_pb(refused),
        refused_claim_count=len(refused),
        late_ms=lateness.late_ms,
        unanswered=lateness.unanswered,
        profile=profile_to_pb(router.profile),
        reserved_through_w=known.reserved_through_w(router_id),
        admin=word_to_pb(known, router_id),
    )


def _link_to_pb(known: Questions, link: LinkView, fresh: frozenset[str]) -> pb.LinkState:
    return pb.LinkState(
        link_id=link.link_id,
        a_router_id=link.a,
        b_router_id=link.b,
        up=link.state is LinkState.UP and {link.a, link.b} <= fresh,
        resistance_ohm=link.resistance_ohm,
        voltage_v=link.voltage_v,
        ampacity_a=link.ampacity_a,
        cost_per_mwh=link.cost_per_mwh,
        reserved_a_to_b_a=known.reserved_on_link_a(link.link_id, link.a),
        reserved_b_to_a_a=known.reserved_on_link_a(link.link_id, link.b),
        circuit_ids=known.circuits_on_link(link.link_id, link.a, link.b),
        risk_groups=sorted(link.risk_groups),
        admin=word_to_pb(known, link.link_id),
    )


def _source_to_pb(known: Questions, router_id: str, source: SourceAdvertisement) -> pb.SourceState:
    return pb.SourceState(
        source_id=source.source_id,
        router_id=router_id,
        max_power_w=source.max_power_w,
        reserved_w=known.reserved_at_source_w(source.source_id),
        cost_per_mwh=source.cost_per_mwh,
        renewable=source.renewable,
        carbon_kg_per_mwh=source.carbon_kg_per_mwh,
    )


def _load_to_pb(known: Questions, router_id: str, load: LoadAdvertisement) -> pb.LoadState:
    return pb.LoadState(
        load_id=load.load_id,
        router_id=router_id,
        max_power_w=load.max_power_w,
        reserved_w=known.reserved_at_load_w(load.load_id),
        priority=load.priority,
        value_per_mwh=load.value_per_mwh,
    )
