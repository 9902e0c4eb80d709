"""Protobuf messages <-> the values of :mod:`digitalgrid.model`, with everything that arrives checked.

Each ``*_from_pb`` raises :class:`ValueError` naming the message, its id and the field that is wrong.
"""

import math
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import msgspec

from digitalgrid.bounds import ID_PATTERN, InvalidValue
from digitalgrid.limits import (
    MAX_ADVERTISED,
    MAX_AMPACITY_A,
    MAX_CARBON_KG_PER_MWH,
    MAX_POWER_W,
    MAX_PRICE_PER_MWH,
    MAX_RESISTANCE_OHM,
    MAX_RISK_GROUPS,
    MAX_VOLTAGE_V,
    MIN_EFFICIENCY,
    MIN_VOLTAGE_V,
)
from digitalgrid.model import (
    ElectionId,
    HopSnapshot,
    LinkAdvertisement,
    LoadAdvertisement,
    MissingEnergy,
    RouterLsa,
    SourceAdvertisement,
    StandbyPool,
)
from digitalgrid.physics import line_fault
from digitalgrid.places import MAX_VIA, Place, place_problem
from digitalgrid.printable import quoted, shortened
from digitalgrid.profiles import DGR, MAX_CURVE_POINTS, DeviceProfile
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from digitalgrid.v1 import southbound_pb2 as southbound_pb

_ID = re.compile(ID_PATTERN)
# Characters of what is wrong with a profile: some of it is the sender's own words.
_MAX_PROBLEM = 200


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
    )


def missing_from_pb(message: power_link_pb.MissingEnergy) -> MissingEnergy:
    """ValueError where more is missing than was promised, or less than nothing."""
    missing = MissingEnergy(
        message.promised_mj,
        message.start_mj,
        message.fault_mj,
        message.move_mj,
        message.curtailment_mj,
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
    where = f"hop of circuit {message.circuit_id} generation {message.generation}"
    if not message.circuit_id or not message.generation:
        raise ValueError(f"{where}: circuit_id and generation must be 1 or more")
    for side, names in (
        ("ingress", (message.source_id, message.ingress_link_id)),
        ("egress", (message.load_id, message.egress_link_id)),
    ):
        if not any(names):
            raise ValueError(f"{where}: {side} names neither a link nor a cell's source or load")
        check_ids(where, side, [name for name in names if name])
    for field in ("power_w", "ingress_power_w", "egress_power_w", "received_power_w"):
        _require(where, field, getattr(message, field), above=0.0)
    for field in ("floor_w", "trickle_w", "asked_w"):
        _require(where, field, getattr(message, field), at_least=0.0)
    if message.shared_standby and not message.standby:
        raise ValueError(f"{where}: shared_standby, and no standby")
    return hop_from_pb_unchecked(message)


def hop_from_pb_unchecked(message: southbound_pb.HopSnapshot) -> HopSnapshot:
    """For a receiver that checks each hop itself, to answer for each by itself."""
    return HopSnapshot(
        circuit_id=message.circuit_id,
        generation=message.generation,
        admission_seq=message.admission_seq,
        power_w=message.power_w,
        ingress_power_w=message.ingress_power_w,
        egress_power_w=message.egress_power_w,
        received_power_w=message.received_power_w,
        source_id=message.source_id,
        ingress_link_id=message.ingress_link_id,
        load_id=message.load_id,
        egress_link_id=message.egress_link_id,
        standby=message.standby,
        priority=message.priority,
        floor_w=message.floor_w,
        trickle_w=message.trickle_w,
        asked_w=message.asked_w,
        shared_standby=message.shared_standby,
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
        _require(where, field, pool.received_power_w, at_least=0.0, at_most=MAX_POWER_W)
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


def lsa_to_pb(lsa: RouterLsa) -> power_link_pb.RouterLsa:
    return power_link_pb.RouterLsa(
        router_id=lsa.router_id,
        boot_id=lsa.boot_id,
        seq=lsa.seq,
        efficiency=lsa.efficiency,
        links=[
            power_link_pb.LinkAdvertisement(
                link_id=link.link_id,
                neighbor_id=link.neighbor_id,
                resistance_ohm=link.resistance_ohm,
                voltage_v=link.voltage_v,
                ampacity_a=link.ampacity_a,
                cost_per_mwh=link.cost_per_mwh,
                up=link.up,
                risk_groups=link.risk_groups,
                via=places_to_pb(link.via),
            )
            for link in lsa.links
        ],
        sources=[
            power_link_pb.SourceAdvertisement(
                source_id=source.source_id,
                max_power_w=source.max_power_w,
                cost_per_mwh=source.cost_per_mwh,
                renewable=source.renewable,
                carbon_kg_per_mwh=source.carbon_kg_per_mwh,
            )
            for source in lsa.sources
        ],
        loads=[
            power_link_pb.LoadAdvertisement(
                load_id=load.load_id,
                max_power_w=load.max_power_w,
                priority=load.priority,
                value_per_mwh=load.value_per_mwh,
            )
            for load in lsa.loads
        ],
        profile=profile_to_pb(lsa.profile) if lsa.profile != DGR else None,
        at=place_to_pb(lsa.at),
    )


def lsa_from_pb(message: power_link_pb.RouterLsa) -> RouterLsa:
    """Raises ValueError for an id that is none or repeated, or a value that no device can have."""
    where = f"LSA of router {quoted(message.router_id)}"
    check_ids(where, "router_id", [message.router_id])
    _require(
        where, "efficiency", message.efficiency, above=0.0, at_least=MIN_EFFICIENCY, at_most=1.0
    )
    for field in ("links", "sources", "loads"):
        count = len(getattr(message, field))
        if count > MAX_ADVERTISED:
            raise ValueError(f"{where}: {count} {field}; {MAX_ADVERTISED} is the most")
    check_ids(where, "link_id", [link.link_id for link in message.links])
    check_ids(where, "source_id", [source.source_id for source in message.sources])
    check_ids(where, "load_id", [load.load_id for load in message.loads])
    profile = profile_from_pb(where, message.profile) if message.HasField("profile") else DGR
    links = tuple(_link_from_pb(where, message.router_id, link) for link in message.links)
    _check_fits(where, profile, message.efficiency, links)
    return RouterLsa(
        router_id=message.router_id,
        boot_id=message.boot_id,
        seq=message.seq,
        efficiency=message.efficiency,
        links=links,
        sources=tuple(_source_from_pb(where, source) for source in message.sources),
        loads=tuple(_load_from_pb(where, load) for load in message.loads),
        profile=profile,
        at=_place_from_pb(where, "at", message.at) if message.HasField("at") else None,
    )


def place_to_pb(at: Place | None) -> power_link_pb.Place | None:
    return None if at is None else power_link_pb.Place(x=at[0], y=at[1])


def places_to_pb(via: Iterable[Place]) -> list[power_link_pb.Place]:
    return [power_link_pb.Place(x=x, y=y) for x, y in via]


def _place_from_pb(where: str, field: str, message: power_link_pb.Place) -> Place:
    at = (message.x, message.y)
    if problem := place_problem(at):
        raise ValueError(f"{where}: {field} {problem}")
    return at


def _via_from_pb(where: str, message: Sequence[power_link_pb.Place]) -> tuple[Place, ...]:
    if len(message) > MAX_VIA:
        raise ValueError(f"{where}: via has {len(message)} corners; {MAX_VIA} is the most")
    return tuple(_place_from_pb(where, "via", each) for each in message)


def profile_to_pb(profile: DeviceProfile) -> power_link_pb.DeviceProfile:
    return power_link_pb.DeviceProfile(
        profile_id=profile.id,
        max_through_w=profile.max_through_w,
        max_ports=profile.max_ports,
        min_voltage_v=profile.min_voltage_v,
        max_voltage_v=profile.max_voltage_v,
        efficiency_curve=[
            power_link_pb.EfficiencyPoint(share=share, efficiency=efficiency)
            for share, efficiency in profile.efficiency_curve
        ],
        packets=profile.packets,
        addressed=profile.addressing == "ip",
        agents=profile.autonomy == "agents",
    )


def profile_from_pb(where: str, message: power_link_pb.DeviceProfile) -> DeviceProfile:
    """Raises ValueError for limits that no device has."""

    def given(name: str) -> Any:
        return getattr(message, name) if message.HasField(name) else None  # type: ignore[arg-type]

    try:
        return DeviceProfile(
            id=message.profile_id,
            max_through_w=given("max_through_w"),
            max_ports=given("max_ports"),
            min_voltage_v=given("min_voltage_v"),
            max_voltage_v=given("max_voltage_v"),
            efficiency_curve=tuple(
                (each.share, each.efficiency)
                for each in islice(message.efficiency_curve, MAX_CURVE_POINTS + 1)
            ),
            packets=message.packets,
            addressing="ip" if message.addressed else "none",
            autonomy="agents" if message.agents else "controller",
        )
    except InvalidValue as error:
        raise ValueError(f"{where}, profile: {shortened(str(error), _MAX_PROBLEM)}") from error


def _check_fits(
    where: str, profile: DeviceProfile, efficiency: float, links: tuple[LinkAdvertisement, ...]
) -> None:
    if problem := profile.efficiency_problem(efficiency):
        raise ValueError(f"{where}: efficiency {problem}")
    for number, link in enumerate(links):
        if found := profile.line_problem(number, link.voltage_v):
            raise ValueError(f"{where}, link {quoted(link.link_id)}: {' '.join(found).strip()}")


def _link_from_pb(
    where: str, router_id: str, message: power_link_pb.LinkAdvertisement
) -> LinkAdvertisement:
    where = f"{where}, link {quoted(message.link_id)}"
    check_ids(where, "neighbor_id", [message.neighbor_id])
    if message.neighbor_id == router_id:
        raise ValueError(f"{where}: neighbor_id is the router itself; a link joins two")
    resistance_ohm, voltage_v = message.resistance_ohm, message.voltage_v
    _require(where, "resistance_ohm", resistance_ohm, at_least=0.0, at_most=MAX_RESISTANCE_OHM)
    _require(
        where, "voltage_v", voltage_v, above=0.0, at_least=MIN_VOLTAGE_V, at_most=MAX_VOLTAGE_V
    )
    _require(where, "ampacity_a", message.ampacity_a, above=0.0, at_most=MAX_AMPACITY_A)
    if fault := line_fault(resistance_ohm, voltage_v, message.ampacity_a):
        raise ValueError(f"{where}: {fault}")
    _require_price(where, "cost_per_mwh", message.cost_per_mwh)
    if len(message.risk_groups) > MAX_RISK_GROUPS:
        raise ValueError(
            f"{where}: {len(message.risk_groups)} risk_groups; {MAX_RISK_GROUPS} is the most"
        )
    check_ids(where, "risk_groups", list(message.risk_groups))
    return LinkAdvertisement(
        link_id=message.link_id,
        neighbor_id=message.neighbor_id,
        resistance_ohm=message.resistance_ohm,
        voltage_v=message.voltage_v,
        ampacity_a=message.ampacity_a,
        cost_per_mwh=message.cost_per_mwh,
        up=message.up,
        risk_groups=tuple(message.risk_groups),
        via=_via_from_pb(where, message.via),
    )


def _source_from_pb(where: str, message: power_link_pb.SourceAdvertisement) -> SourceAdvertisement:
    where = f"{where}, source {quoted(message.source_id)}"
    _require(where, "max_power_w", message.max_power_w, at_least=0.0, at_most=MAX_POWER_W)
    _require_price(where, "cost_per_mwh", message.cost_per_mwh)
    carbon_kg_per_mwh = message.carbon_kg_per_mwh
    _require(
        where, "carbon_kg_per_mwh", carbon_kg_per_mwh, at_least=0.0, at_most=MAX_CARBON_KG_PER_MWH
    )
    return SourceAdvertisement(
        source_id=message.source_id,
        max_power_w=message.max_power_w,
        cost_per_mwh=message.cost_per_mwh,
        renewable=message.renewable,
        carbon_kg_per_mwh=carbon_kg_per_mwh,
    )


def _load_from_pb(where: str, message: power_link_pb.LoadAdvertisement) -> LoadAdvertisement:
    where = f"{where}, load {quoted(message.load_id)}"
    _require(where, "max_power_w", message.max_power_w, at_least=0.0, at_most=MAX_POWER_W)
    _require_price(where, "value_per_mwh", message.value_per_mwh)
    return LoadAdvertisement(
        load_id=message.load_id,
        max_power_w=message.max_power_w,
        priority=message.priority,
        value_per_mwh=message.value_per_mwh,
    )


def check_ids(where: str, field: str, ids: list[str]) -> None:
    """Raises ValueError, which begins with ``where``, unless each is an id, and there once."""
    seen: set[str] = set()
    for name in ids:
        if not name:
            raise ValueError(f"{where}: {field} must not be empty")
        if not _ID.fullmatch(name):
            raise ValueError(f"{where}: {field} {quoted(name)} must match {ID_PATTERN}")
        if name in seen:
            raise ValueError(f"{where}: {field} {name!r} stands there twice")
        seen.add(name)


def _require_price(where: str, field: str, value: float) -> None:
    _require(where, field, value, at_least=-MAX_PRICE_PER_MWH, at_most=MAX_PRICE_PER_MWH)


def _require(
    where: str,
    field: str,
    value: float,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{where}: {field} must be a finite number, not {value!r}")
    if value <= above:
        raise ValueError(f"{where}: {field} must be above {above:g}, not {value!r}")
    if not at_least <= value <= at_most:
        bound = f"{at_least:g} or more" if value < at_least else f"{at_most:g} or less"
        raise ValueError(f"{where}: {field} must be {bound}, not {value!r}")
