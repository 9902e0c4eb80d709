"""Protobuf messages <-> the values of :mod:`digitalgrid.model`, with everything that arrives checked.

Each ``*_from_pb`` raises :class:`ValueError` naming the message, its id and the field that is wrong. Link-state
advertisements, which are the largest, are in :mod:`digitalgrid.convert_lsa`.
"""

from collections.abc import Iterable
from itertools import islice
from math import inf

import msgspec

from digitalgrid.limits import (
    MAX_POWER_W,
)
from digitalgrid.message_checks import are_ids, check_ids, require
from digitalgrid.model import (
    ElectionId,
    HopSnapshot,
    MissingEnergy,
    StandbyPool,
)
from digitalgrid.printable import quoted
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from digitalgrid.v1 import southbound_pb2 as southbound_pb


def election_id_to_pb(election_id: ElectionId) -> power_link_pb.ElectionId:
    return power_link_pb.ElectionId(high=election_id.high, low=election_id.low)


def election_id_from_pb(message: power_link_pb.ElectionId) -> ElectionId:
    """Zero is let through: who may not use it refuses it."""
    return ElectionId(message.high, message.low)


def missing_to_pb(missing: MissingEnergy) -> power_link_pb.MissingEnergy:
    return power_link_pb.MissingEnergy(
        promised_mj=missing.promised_mj,
        start_mj=missing.start_mj,
        fault_mj=missing.fault_mj,
        move_mj=missing.move_mj,
        curtailment_mj=missing.curtailment_mj,
        refused_mj=missing.refused_mj,
    )


def missing_from_pb(message: power_link_pb.MissingEnergy) -> MissingEnergy:
    """ValueError where more is missing than was promised, or less than nothing."""
    missing = MissingEnergy(
        message.promised_mj,
        message.start_mj,
        message.fault_mj,
        message.move_mj,
        message.curtailment_mj,
        message.refused_mj,
    )
    figures = msgspec.structs.astuple(missing)
    if min(figures) < 0 or missing.missing_mj > missing.promised_mj:
        raise ValueError(f"missing energy that cannot be: {', '.join(map(str, figures))} mJ")
    return missing


def hop_to_pb(hop: HopSnapshot) -> southbound_pb.HopSnapshot:
    message = southbound_pb.HopSnapshot(
        circuit_id=hop.circuit_id,
        generation=hop.generation,
        admission_seq=hop.admission_seq,
        power_w=hop.power_w,
        ingress_power_w=hop.ingress_power_w,
        egress_power_w=hop.egress_power_w,
        received_power_w=hop.received_power_w,
        standby=hop.standby,
        priority=hop.priority,
        floor_w=hop.floor_w,
        trickle_w=hop.trickle_w,
        asked_w=hop.asked_w,
        shared_standby=hop.shared_standby,
    )
    if hop.source_id:
        message.source_id = hop.source_id
    else:
        message.ingress_link_id = hop.ingress_link_id
    if hop.load_id:
        message.load_id = hop.load_id
    else:
        message.egress_link_id = hop.egress_link_id
    return message


def hop_from_pb(message: southbound_pb.HopSnapshot) -> HopSnapshot:
    """Raises ValueError unless the hop has one ingress, one egress, and finite positive powers.

    Powers may exceed what a source or load can have by the losses of their way.
    """
    hop = hop_from_pb_unchecked(message)
    if not _is_hop(hop):
        _say_what_is_wrong(hop)
    return hop


def _is_hop(hop: HopSnapshot) -> bool:
    """Whether nothing of it is wrong, at once: routers' tables have very many, and are read again and again."""
    return (
        hop.circuit_id > 0
        and hop.generation > 0
        and are_ids(hop.source_id, hop.ingress_link_id)
        and are_ids(hop.load_id, hop.egress_link_id)
        and 0.0 < hop.power_w < inf
        and 0.0 < hop.ingress_power_w < inf
        and 0.0 < hop.egress_power_w < inf
        and 0.0 < hop.received_power_w < inf
        and 0.0 <= hop.floor_w < inf
        and 0.0 <= hop.trickle_w < inf
        and 0.0 <= hop.asked_w < inf
        and (hop.standby or not hop.shared_standby)
    )


def _say_what_is_wrong(hop: HopSnapshot) -> None:
    where = f"hop of circuit {hop.circuit_id} generation {hop.generation}"
    if not hop.circuit_id or not hop.generation:
        raise ValueError(f"{where}: circuit_id and generation must be 1 or more")
    for side, names in (
        ("ingress", (hop.source_id, hop.ingress_link_id)),
        ("egress", (hop.load_id, hop.egress_link_id)),
    ):
        if not any(names):
            raise ValueError(f"{where}: {side} names neither a link nor a cell's source or load")
        check_ids(where, side, [name for name in names if name])
    for field in ("power_w", "ingress_power_w", "egress_power_w", "received_power_w"):
        require(where, field, getattr(hop, field), above=0.0)
    for field in ("floor_w", "trickle_w", "asked_w"):
        require(where, field, getattr(hop, field), at_least=0.0)
    if hop.shared_standby and not hop.standby:
        raise ValueError(f"{where}: shared_standby, and no standby")


def hop_from_pb_unchecked(message: southbound_pb.HopSnapshot) -> HopSnapshot:
    """For a receiver that checks each hop itself, to answer for each by itself."""
    # By position: tables have very many of them.
    return HopSnapshot(
        message.circuit_id,
        message.generation,
        message.admission_seq,
        message.power_w,
        message.ingress_power_w,
        message.egress_power_w,
        message.received_power_w,
        message.source_id,
        message.ingress_link_id,
        message.load_id,
        message.egress_link_id,
        message.standby,
        message.priority,
        message.floor_w,
        message.trickle_w,
        message.asked_w,
        message.shared_standby,
    )


def pool_to_pb(pool: StandbyPool) -> southbound_pb.StandbyPool:
    return southbound_pb.StandbyPool(link_id=pool.link_id, received_power_w=pool.received_power_w)


def pools_from_pb(
    where: str, messages: Iterable[southbound_pb.StandbyPool]
) -> tuple[StandbyPool, ...]:
    """Raises ValueError, which begins with ``where``, unless each is of another link, and a power that can be."""
    pools = pools_from_pb_unchecked(messages)
    check_ids(where, "link_id of a pool", [pool.link_id for pool in pools])
    for pool in pools:
        field = f"received_power_w of the pool of link {quoted(pool.link_id)}"
        require(where, field, pool.received_power_w, at_least=0.0, at_most=MAX_POWER_W)
    return pools


def pools_from_pb_unchecked(
    messages: Iterable[southbound_pb.StandbyPool],
) -> tuple[StandbyPool, ...]:
    """For a receiver that checks each pool itself, to say which is wrong."""
    return tuple(StandbyPool(each.link_id, each.received_power_w) for each in messages)


# Of what a router claims and others own: enough to see what is wrong.
_MAX_CLAIMS_TOLD = 16


def claims_to_pb(
    claims: Iterable[tuple[str, str, str, Iterable[str]]],
) -> list[power_link_pb.RefusedClaim]:
    """The first few. Each is a router, the kind and id of what it claims, and the routers that own it."""
    return [
        power_link_pb.RefusedClaim(
            router_id=router_id, kind=kind, id=id_, owner_router_ids=owner_ids
        )
        for router_id, kind, id_, owner_ids in islice(claims, _MAX_CLAIMS_TOLD)
    ]
