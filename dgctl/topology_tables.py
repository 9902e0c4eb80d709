"""The topology as tables for people."""

from collections.abc import Iterator

from dgctl.drain_tables import drains, word
from digitalgrid.columns import Columns, Part, Styled
from digitalgrid.profiles import DGR
from digitalgrid.units import format_current, format_fraction, format_power, format_voltage
from digitalgrid.v1 import northbound_pb2 as pb


def render(topology: pb.Topology) -> list[Part]:
    """Routers, links, sources and loads; what is refused of routers' claims; and what to know of the controller."""
    # Nothing said, or nothing special: no columns for it.
    special = any(each.profile.profile_id not in ("", DGR.id) for each in topology.routers)
    names = ("profile", ">through", ">of", "limits") if special else ()
    placed = any(each.HasField("at") for each in topology.routers)
    where = ("place",) if placed else ()
    routers = Columns(
        "id", "connected", ">efficiency", ">boot", ">late", *where, *names, title="routers"
    )
    for router in topology.routers:
        connected = word("yes" if router.connected else "no", router.connected, router.admin)
        efficiency = format_fraction(router.efficiency)
        late = Styled(f"{router.late_ms / 1000:.1f} s", "yellow") if router.late_ms else ""
        at = (_place(router),) if placed else ()
        more = (*at, *(_profile(router) if special else ()))
        routers.add_row(router.router_id, connected, efficiency, str(router.boot_id), late, *more)
    sources = Columns("id", "router", ">reserved", ">of", ">cost/MWh", "renewable", title="sources")
    for source in topology.sources:
        sources.add_row(
            source.source_id,
            source.router_id,
            format_power(source.reserved_w),
            format_power(source.max_power_w),
            f"{source.cost_per_mwh:g}",
            "yes" if source.renewable else "no",
        )
    loads = Columns("id", "router", ">reserved", ">of", ">priority", ">value/MWh", title="loads")
    for load in topology.loads:
        loads.add_row(
            load.load_id,
            load.router_id,
            format_power(load.reserved_w),
            format_power(load.max_power_w),
            str(load.priority),
            f"{load.value_per_mwh:g}",
        )
    tables = (routers, "", _links(topology), "", sources, "", loads)
    return [*tables, *drains(topology), *_refused_claims(topology), *_engine(topology)]


def _place(router: pb.RouterState) -> str:
    return f"{router.at.x:g}, {router.at.y:g}" if router.HasField("at") else "-"


def _profile(router: pb.RouterState) -> Iterator[str]:
    """Of a router: its kind, what passes it and may, and what it does not do."""
    profile = router.profile
    yield profile.profile_id or "-"
    limited = profile.HasField("max_through_w")
    yield format_power(router.reserved_through_w) if limited else "-"
    yield format_power(profile.max_through_w) if limited else "-"
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
    yield ", ".join(limits)


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


def _links(topology: pb.Topology) -> Columns:
    columns = (">a to b", ">b to a", ">ampacity", ">used", ">voltage", ">ohm", "circuits")
    # Nobody shares: no column for it.
    shared = any(each.pool_a_to_b_a or each.pool_b_to_a_a for each in topology.links)
    more = (">pools",) if shared else ()
    table = Columns("id", "a", "b", "state", *columns[:2], *more, *columns[2:], title="links")
    for link in topology.links:
        used_a = link.reserved_a_to_b_a + link.reserved_b_to_a_a
        table.add_row(
            link.link_id,
            link.a_router_id,
            link.b_router_id,
            word("up" if link.up else "down", link.up, link.admin),
            format_current(link.reserved_a_to_b_a),
            format_current(link.reserved_b_to_a_a),
            *((format_current(link.pool_a_to_b_a + link.pool_b_to_a_a),) if shared else ()),
            format_current(link.ampacity_a),
            format_fraction(used_a / link.ampacity_a) if link.ampacity_a else "-",
            format_voltage(link.voltage_v),
            f"{link.resistance_ohm:g}",
            ", ".join(str(circuit_id) for circuit_id in link.circuit_ids),
        )
    return table
