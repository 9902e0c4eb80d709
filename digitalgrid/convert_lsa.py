"""Link-state advertisements <-> protobuf messages, with everything that arrives checked.

Each ``*_from_pb`` raises :class:`ValueError` naming the router, and the field that is wrong.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from digitalgrid.bounds import InvalidValue
from digitalgrid.limits import (
    MAX_ADVERTISED,
    MAX_AMPACITY_A,
    MAX_CARBON_KG_PER_MWH,
    MAX_POWER_W,
    MAX_RESISTANCE_OHM,
    MAX_RISK_GROUPS,
    MAX_VOLTAGE_V,
    MIN_EFFICIENCY,
    MIN_VOLTAGE_V,
)
from digitalgrid.message_checks import check_ids, require, require_price
from digitalgrid.model import (
    SEEN_BY_ROUTERS,
    DownCause,
    LinkAdvertisement,
    LoadAdvertisement,
    RouterLsa,
    SourceAdvertisement,
)
from digitalgrid.physics import line_fault
from digitalgrid.places import MAX_VIA, Place, place_problem
from digitalgrid.printable import quoted, shortened
from digitalgrid.profiles import DGR, MAX_CURVE_POINTS, DeviceProfile
from digitalgrid.v1 import power_link_pb2 as power_link_pb

# Characters of what is wrong with a profile: some of it is the sender's own words.
_MAX_PROBLEM = 200


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
                down_cause=power_link_pb.DownCause.ValueType(link.down_cause),
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
    require(
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
    require(where, "resistance_ohm", resistance_ohm, at_least=0.0, at_most=MAX_RESISTANCE_OHM)
    require(where, "voltage_v", voltage_v, above=0.0, at_least=MIN_VOLTAGE_V, at_most=MAX_VOLTAGE_V)
    require(where, "ampacity_a", message.ampacity_a, above=0.0, at_most=MAX_AMPACITY_A)
    if fault := line_fault(resistance_ohm, voltage_v, message.ampacity_a):
        raise ValueError(f"{where}: {fault}")
    require_price(where, "cost_per_mwh", message.cost_per_mwh)
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
        down_cause=_down_cause_from_pb(message),
    )


def _down_cause_from_pb(message: power_link_pb.LinkAdvertisement) -> DownCause:
    """What a router of a newer release says in a word that is not known here is not known."""
    said = int(message.down_cause)
    return DownCause(said) if not message.up and said in SEEN_BY_ROUTERS else DownCause.UNKNOWN


def _source_from_pb(where: str, message: power_link_pb.SourceAdvertisement) -> SourceAdvertisement:
    where = f"{where}, source {quoted(message.source_id)}"
    require(where, "max_power_w", message.max_power_w, at_least=0.0, at_most=MAX_POWER_W)
    require_price(where, "cost_per_mwh", message.cost_per_mwh)
    carbon_kg_per_mwh = message.carbon_kg_per_mwh
    require(
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
    require(where, "max_power_w", message.max_power_w, at_least=0.0, at_most=MAX_POWER_W)
    require_price(where, "value_per_mwh", message.value_per_mwh)
    return LoadAdvertisement(
        load_id=message.load_id,
        max_power_w=message.max_power_w,
        priority=message.priority,
        value_per_mwh=message.value_per_mwh,
    )
