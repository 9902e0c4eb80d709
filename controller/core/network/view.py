"""The network at one version of the link-state database, as admission and clients see it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from controller.core.network.admin import AdminState
from controller.core.network.link import LinkState, LinkView
from digitalgrid.model import LoadAdvertisement, SourceAdvertisement
from digitalgrid.places import Place
from digitalgrid.profiles import DGR, DeviceProfile

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class RouterView:
    """``heard``: connected, in step, and its advertisement not aged out.

    ``stands_by``: said in its last session that it takes generations that stand by, or fill before they are demanded;
    ``holds_pools``: that it holds shared standbys to the pools of its lines.
    """

    router_id: str
    efficiency: float
    boot_id: int
    heard: bool
    stands_by: bool = False
    profile: DeviceProfile = DGR
    admin: AdminState = AdminState.IN_SERVICE
    at: Place | None = None
    holds_pools: bool = False

    @property
    def usable(self) -> bool:
        """Only such routers get new circuits: heard, in service, and not left to agents."""
        in_service = self.admin is AdminState.IN_SERVICE
        return self.heard and in_service and self.profile.autonomy == "controller"

    @property
    def serves(self) -> bool:
        """Whether new circuits may begin and end there."""
        return self.usable and self.profile.addressing != "none"


Worded = TypeVar("Worded", RouterView, LinkView)


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
        return (
            link.state is LinkState.UP
            and link.admin is AdminState.IN_SERVICE
            and all(
                router_id in self.routers and self.routers[router_id].usable
                for router_id in (link.a, link.b)
            )
        )

    def is_out_of_service(self, link: LinkView) -> bool:
        """Whether an operator has drained, or is draining, the link or a router at its end."""
        return any(word is not AdminState.IN_SERVICE for word in self._words_on(link))

    def is_drained(self, link: LinkView) -> bool:
        """Whether the link, or a router at its end, is free to work on. Until then it may carry power."""
        return AdminState.DRAINED in self._words_on(link)

    def _words_on(self, link: LinkView) -> tuple[AdminState, ...]:
        ends = (self.routers.get(link.a), self.routers.get(link.b))
        return (link.admin, *(end.admin for end in ends if end is not None))

    def out_of_service(self) -> list[str]:
        """Links and routers that an operator has drained, or is draining."""
        words = {key: link.admin for key, link in self.links.items()}
        words |= {key: router.admin for key, router in self.routers.items()}
        return sorted(key for key, word in words.items() if word is not AdminState.IN_SERVICE)

    def with_admin(self, ids: Collection[str], admin: AdminState) -> "GridView":
        """The same with another admin word on these links and routers."""
        return replace(
            self,
            routers=_with_admin(self.routers, ids, admin),
            links=_with_admin(self.links, ids, admin),
        )


def _with_admin(
    known: dict[str, Worded], ids: Collection[str], admin: AdminState
) -> dict[str, Worded]:
    return known | {key: replace(known[key], admin=admin) for key in ids if key in known}


def figures_of(router: RouterView | None) -> tuple[float, DeviceProfile] | None:
    """What of a router circuits are admitted with, and the routing arrays are built on."""
    return (router.efficiency, router.profile) if router else None


def limited_converters(view: GridView) -> dict[str, float]:
    """What may enter the converter of each router that has such a limit, for all circuits together (W)."""
    return {
        router_id: most_w
        for router_id, router in view.routers.items()
        if (most_w := router.profile.max_through_w) is not None
    }


@dataclass(frozen=True, slots=True)
class ViewChange:
    """Ids of what is other in one view than in another, or only in one of them.

    A link that only other causes are told of, for why it is down, is not among them: that changes nothing but words.
    """

    routers: frozenset[str]
    links: frozenset[str]
    sources: frozenset[str]
    loads: frozenset[str]


def change_of(before: GridView, after: GridView) -> ViewChange:
    return ViewChange(
        _differing(before.routers, after.routers),
        frozenset(
            link_id
            for link_id in _differing(before.links, after.links)
            if not _differ_in_words(before.links.get(link_id), after.links.get(link_id))
        ),
        _differing(before.sources, after.sources),
        _differing(before.loads, after.loads),
    )


def _differ_in_words(before: LinkView | None, after: LinkView | None) -> bool:
    return before is not None and after is not None and replace(before, down=after.down) == after


def _differing(before: Mapping[str, V], after: Mapping[str, V]) -> frozenset[str]:
    if before is after:
        return frozenset()
    # Most things are the very same object in both.
    other = [
        key
        for key, value in after.items()
        if (known := before.get(key)) is not value and known != value
    ]
    return frozenset(other) | (before.keys() - after.keys())
