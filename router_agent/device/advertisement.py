"""Link-state advertisements: what a router says of itself, its lines and its cell, when, and in which order."""

from collections.abc import Callable, Mapping

from digitalgrid.model import (
    DownCause,
    LinkAdvertisement,
    LoadAdvertisement,
    RouterLsa,
    SourceAdvertisement,
)
from digitalgrid.units import NS_PER_S
from router_agent.config import RouterConfig


class Advertiser:
    """Numbers the advertisements of one boot, and knows when the next is due though nothing has changed.

    ``link_down`` tells why each link is down now, None of one that is up; ``source_w`` maps each source to what it can
    give now.
    """

    def __init__(
        self,
        config: RouterConfig,
        boot_id: int,
        link_down: Callable[[str], DownCause | None],
        source_w: Mapping[str, float],
        now_ns: int,
    ) -> None:
        self._config = config
        self._boot_id = boot_id
        self._link_down = link_down
        self._source_w = source_w
        self._seq = 1
        self._told = self._why_down()
        self._refresh_ns = round(config.lsa_refresh_s * NS_PER_S)
        self.next_ns = now_ns + self._refresh_ns

    def lsa(self) -> RouterLsa:
        """The advertisement of now, under the latest number."""
        return advertisement(
            self._config, self._boot_id, self._seq, self._link_down, self._source_w
        )

    def next_lsa(self, now_ns: int) -> RouterLsa:
        """One that takes the place of all before."""
        self._seq += 1
        self._told = self._why_down()
        self.next_ns = now_ns + self._refresh_ns
        return self.lsa()

    @property
    def is_outdated(self) -> bool:
        """A link is down for another reason than was advertised, as where its carrier is back and nothing is heard."""
        return self._why_down() != self._told

    def _why_down(self) -> list[DownCause | None]:
        return [self._link_down(link.id) for link in self._config.links]


def advertisement(
    config: RouterConfig,
    boot_id: int,
    seq: int,
    link_down: Callable[[str], DownCause | None],
    source_w: Mapping[str, float],
) -> RouterLsa:
    """``link_down`` maps each link's id to why it is down now, ``source_w`` each source's to what it can give now."""
    why = {link.id: link_down(link.id) for link in config.links}
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
                up=why[link.id] is None,
                risk_groups=link.risk_groups,
                via=link.via,
                down_cause=why[link.id] or DownCause.UNKNOWN,
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
        at=config.at,
    )
