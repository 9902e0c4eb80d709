"""What a router advertises of itself, its lines and its cell."""

from collections.abc import Callable, Mapping

from digitalgrid.model import (
    LinkAdvertisement,
    LoadAdvertisement,
    RouterLsa,
    SourceAdvertisement,
)
from router_agent.config import RouterConfig


def advertisement(
    config: RouterConfig,
    boot_id: int,
    seq: int,
    link_up: Callable[[str], bool | None],
    source_w: Mapping[str, float],
) -> RouterLsa:
    """``link_up`` maps each link's id to its state now, ``source_w`` each source's to what it can give now."""
    return RouterLsa(
        router_id=config.router_id,
        boot_id=boot_id,
        seq=seq,
        efficiency=config.efficiency,
        links=tuple(
            LinkAdvertisement(
                link_id=link.id,
                neighbor_id=link.neighbor,
                resistance_ohm=link.resistance_ohm,
                voltage_v=link.voltage_v,
                ampacity_a=link.ampacity_a,
                cost_per_mwh=link.cost_per_mwh,
                up=bool(link_up(link.id)),
                risk_groups=link.risk_groups,
            )
            for link in config.links
        ),
        sources=tuple(
            SourceAdvertisement(
                source.id,
                source_w[source.id],
                source.cost_per_mwh,
                source.renewable,
                source.carbon_kg_per_mwh,
            )
            for source in config.sources
        ),
        loads=tuple(
            LoadAdvertisement(load.id, load.power_w, load.priority, load.value_per_mwh)
            for load in config.loads
        ),
        profile=config.profile,
    )
