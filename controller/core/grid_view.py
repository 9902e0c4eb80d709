"""The network at one version of the link-state database, as admission and clients see it."""

from collections.abc import Set
from dataclasses import dataclass, field

from controller.core.lsdb import LinkState, LinkStateDatabase, LinkView
from digitalgrid.model import LoadAdvertisement, SourceAdvertisement


@dataclass(frozen=True, slots=True)
class RouterView:
    """``usable``: connected, in step, and its advertisement not aged out; only such routers get new circuits."""

    router_id: str
    efficiency: float
    boot_id: int
    usable: bool


@dataclass(frozen=True, slots=True)
class GridView:
    """Routers, links, sources and loads by id. Sources and loads stand with the router that has them."""

    version: int
    routers: dict[str, RouterView] = field(default_factory=dict)
    links: dict[str, LinkView] = field(default_factory=dict)
    sources: dict[str, tuple[str, SourceAdvertisement]] = field(default_factory=dict)
    loads: dict[str, tuple[str, LoadAdvertisement]] = field(default_factory=dict)

    def admits(self, link: LinkView) -> bool:
        """Whether new circuits may cross the link."""
        return link.state is LinkState.UP and all(
            router_id in self.routers and self.routers[router_id].usable
            for router_id in (link.a, link.b)
        )


def build_grid_view(lsdb: LinkStateDatabase, connected: Set[str], now_ns: int) -> GridView:
    fresh = lsdb.fresh_router_ids(now_ns)
    view = GridView(version=lsdb.version, links=lsdb.links(connected))
    usable_ids = fresh & connected
    # Where two claim one source or load, who is here comes before who has left.
    claims = sorted(lsdb.lsas(), key=lambda lsa: (lsa.router_id not in usable_ids, lsa.router_id))
    for lsa in claims:
        usable = lsa.router_id in usable_ids
        view.routers[lsa.router_id] = RouterView(lsa.router_id, lsa.efficiency, lsa.boot_id, usable)
        for source in lsa.sources:
            view.sources.setdefault(source.source_id, (lsa.router_id, source))
        for load in lsa.loads:
            view.loads.setdefault(load.load_id, (lsa.router_id, load))
    return view
