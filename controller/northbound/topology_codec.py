"""The grid view with its loads and reservations, as clients see it.

A *picture* is all that is told of one router, link, source or load: two that are equal need not be told twice.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from controller.core.network.lateness import Late
from controller.core.network.link import LinkState, LinkView
from controller.core.network.owners import RefusedClaim
from controller.core.network.view import GridView, RouterView
from controller.core.network.why_down import NOBODY_SAYS, WhyDown, why_down
from controller.core.questions import Questions
from controller.northbound.drain_codec import Word, word_on, word_to_pb
from digitalgrid.convert import claims_to_pb
from digitalgrid.convert_lsa import place_to_pb, places_to_pb, profile_to_pb
from digitalgrid.model import LoadAdvertisement, SourceAdvertisement
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import DownCause as DownCauseMessage


class Kind(IntEnum):
    """Of what is told, in its order."""

    VERSION = 0
    ROUTER = 1
    LINK = 2
    SOURCE = 3
    LOAD = 4


# Kinds have ids apart.
Key = tuple[Kind, str]


class RouterPicture(NamedTuple):
    router: RouterView
    connected: bool
    table_version: int
    refused: tuple[RefusedClaim, ...]
    lateness: Late
    reserved_through_w: float
    word: Word

    def add_to(self, topology: pb.Topology) -> None:
        router = self.router
        topology.routers.add(
            router_id=router.router_id,
            connected=self.connected,
            boot_id=router.boot_id,
            efficiency=router.efficiency,
            table_version=self.table_version,
            refused_claims=claims_to_pb(self.refused),
            refused_claim_count=len(self.refused),
            late_ms=self.lateness.late_ms,
            unanswered=self.lateness.unanswered,
            profile=profile_to_pb(router.profile),
            reserved_through_w=self.reserved_through_w,
            admin=word_to_pb(self.word),
            at=place_to_pb(router.at),
        )


class LinkPicture(NamedTuple):
    link: LinkView
    up: bool
    reserved_a_to_b_a: float
    reserved_b_to_a_a: float
    pool_a_to_b_a: float
    pool_b_to_a_a: float
    standby_a_to_b_a: float
    standby_b_to_a_a: float
    circuit_ids: list[int]
    word: Word
    why_down: WhyDown

    def add_to(self, topology: pb.Topology) -> None:
        link = self.link
        topology.links.add(
            link_id=link.link_id,
            a_router_id=link.a,
            b_router_id=link.b,
            up=self.up,
            resistance_ohm=link.resistance_ohm,
            voltage_v=link.voltage_v,
            ampacity_a=link.ampacity_a,
            cost_per_mwh=link.cost_per_mwh,
            reserved_a_to_b_a=self.reserved_a_to_b_a,
            reserved_b_to_a_a=self.reserved_b_to_a_a,
            pool_a_to_b_a=self.pool_a_to_b_a,
            pool_b_to_a_a=self.pool_b_to_a_a,
            standby_a_to_b_a=self.standby_a_to_b_a,
            standby_b_to_a_a=self.standby_b_to_a_a,
            circuit_ids=self.circuit_ids,
            risk_groups=sorted(link.risk_groups),
            admin=word_to_pb(self.word),
            via=places_to_pb(link.via),
            down_cause=DownCauseMessage.ValueType(self.why_down.cause),
            down_text=self.why_down.text,
        )


class SourcePicture(NamedTuple):
    router_id: str
    source: SourceAdvertisement
    reserved_w: float
    standby_w: float

    def add_to(self, topology: pb.Topology) -> None:
        source = self.source
        topology.sources.add(
            source_id=source.source_id,
            router_id=self.router_id,
            max_power_w=source.max_power_w,
            reserved_w=self.reserved_w,
            cost_per_mwh=source.cost_per_mwh,
            renewable=source.renewable,
            carbon_kg_per_mwh=source.carbon_kg_per_mwh,
            standby_w=self.standby_w,
        )


class LoadPicture(NamedTuple):
    router_id: str
    load: LoadAdvertisement
    reserved_w: float
    held_w: float

    def add_to(self, topology: pb.Topology) -> None:
        load = self.load
        topology.loads.add(
            load_id=load.load_id,
            router_id=self.router_id,
            max_power_w=load.max_power_w,
            reserved_w=self.reserved_w,
            priority=load.priority,
            value_per_mwh=load.value_per_mwh,
            held_w=self.held_w,
        )


Picture = RouterPicture | LinkPicture | SourcePicture | LoadPicture


def is_urgent(before: Picture | None, now: Picture) -> bool:
    """Whether somebody must know at once: a line or router comes or goes, or an operator has a word on it."""
    match before, now:
        case RouterPicture(), RouterPicture():
            return before.connected != now.connected or before.word != now.word
        case LinkPicture(), LinkPicture():
            return before.up != now.up or before.word != now.word
        case _:
            return False


def keys_of(view: GridView) -> list[Key]:
    """Of all that there is, in the order in which it is told."""
    return [
        *((Kind.ROUTER, each) for each in sorted(view.routers)),
        *((Kind.LINK, each) for each in sorted(view.links)),
        *((Kind.SOURCE, each) for each in sorted(view.sources)),
        *((Kind.LOAD, each) for each in sorted(view.loads)),
    ]


def pictures(
    known: Questions, now_ns: int, keys: Iterable[Key]
) -> Iterator[tuple[Key, Picture | None]]:
    """Each as it is when it is asked for; None where there is no such thing any more."""
    fresh = known.fresh_router_ids(now_ns)
    for key in keys:
        kind, id_ = key
        match kind:
            case Kind.ROUTER:
                yield key, _router(known, id_, now_ns)
            case Kind.LINK:
                yield key, _link(known, id_, fresh)
            case Kind.SOURCE:
                source = known.view.sources.get(id_)
                held_w = known.reserved_at_source_w(id_), known.standby_at_source_w(id_)
                yield key, SourcePicture(*source, *held_w) if source else None
            case _:
                load = known.view.loads.get(id_)
                of_it_w = known.reserved_at_load_w(id_), known.held_at_load_w(id_)
                yield key, LoadPicture(*load, *of_it_w) if load else None


def topology_to_pb(known: Questions, now_ns: int) -> pb.Topology:
    topology = pb.Topology()
    for part in topology_parts(known, now_ns):
        topology.MergeFrom(part)
    return topology


def topology_parts(known: Questions, now_ns: int) -> Iterator[pb.Topology]:
    """The topology piece by piece; merged, or joined as bytes, they are the whole.

    The network is that of the first piece, but for what is gone meanwhile, and what is reserved in it that of each
    piece as it is asked for.
    """
    yield pb.Topology(lsdb_version=known.lsdb_version)
    for _, picture in pictures(known, now_ns, keys_of(known.view)):
        if picture is not None:
            part = pb.Topology()
            picture.add_to(part)
            yield part


def _router(known: Questions, router_id: str, now_ns: int) -> RouterPicture | None:
    router = known.view.routers.get(router_id)
    if router is None:
        return None
    return RouterPicture(
        router,
        known.is_connected(router_id),
        known.table_version(router_id),
        known.refused_claims(router_id),
        known.lateness(router_id, now_ns),
        known.reserved_through_w(router_id),
        word_on(known, router_id),
    )


def _link(known: Questions, link_id: str, fresh: frozenset[str]) -> LinkPicture | None:
    link = known.view.links.get(link_id)
    if link is None:
        return None
    up = link.state is LinkState.UP and link.a in fresh and link.b in fresh
    return LinkPicture(
        link,
        up,
        known.reserved_on_link_a(link_id, link.a),
        known.reserved_on_link_a(link_id, link.b),
        known.pool_on_link_a(link_id, link.a),
        known.pool_on_link_a(link_id, link.b),
        known.standby_on_link_a(link_id, link.a),
        known.standby_on_link_a(link_id, link.b),
        known.circuits_on_link(link_id, link.a, link.b),
        word_on(known, link_id),
        NOBODY_SAYS if up else why_down(known.view, link),
    )
