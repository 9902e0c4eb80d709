"""The topology as tables for people: routers, links, sources and loads, what needs somebody first."""

from collections.abc import Callable, Sequence
from typing import Any

from dgctl.drain_tables import drains, word
from dgctl.listing import Column, Listing, View, natural
from digitalgrid.columns import Part, Styled
from digitalgrid.profiles import DGR
from digitalgrid.units import (
    format_current,
    format_fraction,
    format_power,
    format_voltage,
    parse_fraction,
    parse_power_w,
    parse_si,
)
from digitalgrid.v1 import northbound_pb2 as pb


def _amperes(text: str) -> float:
    return parse_si(text, "A")


def _volts(text: str) -> float:
    return parse_si(text, "V")


def _power(
    name: str,
    power_w: Callable[[Any], float],
    head: str = "",
    when: Callable[[Sequence[Any]], bool] = lambda rows: True,
) -> Column[Any]:
    return Column(
        name,
        lambda each: format_power(power_w(each)),
        power_w,
        parse_power_w,
        head=head,
        right=True,
        when=when,
    )


def _current(
    name: str,
    current_a: Callable[[Any], float],
    head: str = "",
    when: Callable[[Sequence[Any]], bool] = lambda rows: True,
) -> Column[Any]:
    return Column(
        name,
        lambda each: format_current(current_a(each)),
        current_a,
        _amperes,
        head=head,
        right=True,
        when=when,
    )


def _number(name: str, number: Callable[[Any], float], head: str = "") -> Column[Any]:
    return Column(name, lambda each: f"{number(each):g}", number, head=head, right=True)


# Routers


def _special(routers: Sequence[pb.RouterState]) -> bool:
    """Whether any router is another device than ours: nothing said, or nothing special, and no columns tell of it."""
    return any(each.profile.profile_id not in ("", DGR.id) for each in routers)


def _placed(routers: Sequence[pb.RouterState]) -> bool:
    return any(each.HasField("at") for each in routers)


def _place(router: pb.RouterState) -> str:
    return f"{router.at.x:g}, {router.at.y:g}" if router.HasField("at") else "-"


def _late(router: pb.RouterState) -> str | Styled:
    return Styled(f"{router.late_ms / 1000:.1f} s", "yellow") if router.late_ms else ""


def _through_w(router: pb.RouterState) -> float | None:
    return router.reserved_through_w if router.profile.HasField("max_through_w") else None


def _most_through_w(router: pb.RouterState) -> float | None:
    return router.profile.max_through_w if router.profile.HasField("max_through_w") else None


def _power_or_none(
    name: str, power_w: Callable[[pb.RouterState], float | None]
) -> Column[pb.RouterState]:
    def cell(router: pb.RouterState) -> str:
        found_w = power_w(router)
        return "-" if found_w is None else format_power(found_w)

    return Column(name, cell, power_w, parse_power_w, right=True, when=_special)


def _limits(router: pb.RouterState) -> str:
    """What a router's profile does not let it do."""
    profile = router.profile
    limits = []
    if profile.HasField("max_ports"):
        limits.append(f"{profile.max_ports} ports")
    if profile.HasField("min_voltage_v"):
        limits.append(f"from {format_voltage(profile.min_voltage_v)}")
    if profile.HasField("max_voltage_v"):
        limits.append(f"up to {format_voltage(profile.max_voltage_v)}")
    if profile.profile_id:
        limits += ["no packets"] * (not profile.packets) + ["no address"] * (not profile.addressed)
        limits += ["left to agents"] * profile.agents
    return ", ".join(limits)


ROUTERS: Listing[pb.RouterState] = Listing(
    "routers",
    (
        Column("id", lambda router: router.router_id),
        Column(
            "connected",
            lambda router: word(
                "yes" if router.connected else "no", router.connected, router.admin
            ),
        ),
        Column(
            "efficiency",
            lambda router: format_fraction(router.efficiency),
            lambda router: router.efficiency,
            parse_fraction,
            right=True,
        ),
        _number("boot", lambda router: router.boot_id),
        Column("late", _late, lambda router: router.late_ms / 1000 or None, right=True),
        Column("place", _place, when=_placed),
        Column("profile", lambda router: router.profile.profile_id or "-", when=_special),
        _power_or_none("through", _through_w),
        _power_or_none("of", _most_through_w),
        Column("limits", _limits, when=_special),
    ),
    lambda router: (
        router.connected,
        not router.admin.state,
        -router.late_ms,
        natural(router.router_id),
    ),
)


# Links


def used(link: pb.LinkState) -> float | None:
    """Share of its ampacity that is reserved in both directions together."""
    if not link.ampacity_a:
        return None
    return (link.reserved_a_to_b_a + link.reserved_b_to_a_a) / link.ampacity_a


def _used(link: pb.LinkState) -> str:
    share = used(link)
    return "-" if share is None else format_fraction(share)


def _shared(links: Sequence[pb.LinkState]) -> bool:
    """Nobody shares: no column for it."""
    return any(each.pool_a_to_b_a or each.pool_b_to_a_a for each in links)


def _any_says_why(links: Sequence[pb.LinkState]) -> bool:
    return any(each.down_text for each in links)


LINKS: Listing[pb.LinkState] = Listing(
    "links",
    (
        Column("id", lambda link: link.link_id),
        Column("a", lambda link: link.a_router_id),
        Column("b", lambda link: link.b_router_id),
        Column("state", lambda link: word("up" if link.up else "down", link.up, link.admin)),
        Column("why-down", lambda link: link.down_text, head="why", when=_any_says_why),
        _current("a-to-b", lambda link: link.reserved_a_to_b_a, head="a to b"),
        _current("b-to-a", lambda link: link.reserved_b_to_a_a, head="b to a"),
        _current("pools", lambda link: link.pool_a_to_b_a + link.pool_b_to_a_a, when=_shared),
        _current("ampacity", lambda link: link.ampacity_a),
        Column("used", _used, used, parse_fraction, right=True),
        Column(
            "voltage",
            lambda link: format_voltage(link.voltage_v),
            lambda link: link.voltage_v,
            _volts,
            right=True,
        ),
        _number("ohm", lambda link: link.resistance_ohm),
        Column("circuits", lambda link: ", ".join(map(str, link.circuit_ids))),
        Column(
            "count",
            lambda link: str(len(link.circuit_ids)),
            lambda link: len(link.circuit_ids),
            right=True,
            default=False,
        ),
        Column("risks", lambda link: ", ".join(link.risk_groups), default=False),
    ),
    lambda link: (link.up, not link.admin.state, natural(link.link_id)),
)


# Sources and loads

SOURCES: Listing[pb.SourceState] = Listing(
    "sources",
    (
        Column("id", lambda source: source.source_id),
        Column("router", lambda source: source.router_id),
        _power("reserved", lambda source: source.reserved_w),
        _power("of", lambda source: source.max_power_w),
        _number("cost", lambda source: source.cost_per_mwh, head="cost/MWh"),
        Column("renewable", lambda source: "yes" if source.renewable else "no"),
        Column(
            "carbon",
            lambda source: f"{source.carbon_kg_per_mwh:g}",
            lambda source: source.carbon_kg_per_mwh,
            head="kg/MWh",
            right=True,
            default=False,
        ),
    ),
    # More is promised than it has: somebody is curtailed.
    lambda source: (source.reserved_w <= source.max_power_w, natural(source.source_id)),
)
LOADS: Listing[pb.LoadState] = Listing(
    "loads",
    (
        Column("id", lambda load: load.load_id),
        Column("router", lambda load: load.router_id),
        _power("reserved", lambda load: load.reserved_w),
        _power("of", lambda load: load.max_power_w),
        _number("priority", lambda load: load.priority),
        _number("value", lambda load: load.value_per_mwh, head="value/MWh"),
    ),
    lambda load: natural(load.load_id),
)
LISTINGS: dict[str, Listing[Any]] = {each.kind: each for each in (ROUTERS, LINKS, SOURCES, LOADS)}


def render(topology: pb.Topology) -> list[Part]:
    """Routers, links, sources and loads; what is refused of routers' claims; and what to know of the controller."""
    parts: list[Part] = []
    for kind, listing in LISTINGS.items():
        view = View(listing)
        parts += [view.table(view.rows(getattr(topology, kind)), title=kind), ""]
    return [*parts[:-1], *drains(topology), *_refused_claims(topology), *_engine(topology)]


def _engine(topology: pb.Topology) -> list[Part]:
    """A line where the controller is not as fast as it can be."""
    if topology.engine != "interpreted":
        return []
    return ["", "engine: interpreted; routes are computed compiled once that is done"]


def _refused_claims(topology: pb.Topology) -> list[Part]:
    """A line for each router that advertises what others own."""
    lines: list[Part] = []
    for router in topology.routers:
        if router.refused_claims:
            first = router.refused_claims[0]
            more = f", and {router.refused_claim_count - 1} more" * (router.refused_claim_count > 1)
            line = (
                f"{router.router_id} advertises {first.kind} {first.id}, which belongs to"
                f" {' and '.join(first.owner_router_ids)}{more}: that does not count"
            )
            lines.append(Styled(line, "red"))
    return ["", *lines] if lines else []
