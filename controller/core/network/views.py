"""Keeper of the grid view: brings it up to date from the link-state database, sessions, ages and admin words,
incrementally.
"""

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import replace
from typing import TypeVar

from controller.core.network.admin import AdminState, AdminWords
from controller.core.network.link import LinkView
from controller.core.network.lsdb import LinkStateDatabase
from controller.core.network.restored import RestoredLinks
from controller.core.network.view import GridView, RouterView
from digitalgrid.capabilities import Capability
from digitalgrid.model import LoadAdvertisement, RouterLsa, SourceAdvertisement

V = TypeVar("V")


class GridViews:
    """Keeps the view up to date: looks only at what advertisements, sessions, age and admin words have changed since.

    What did not change is the same object in the next view.
    """

    def __init__(self, lsdb: LinkStateDatabase, admin: AdminWords) -> None:
        self._lsdb = lsdb
        self._admin = admin
        self._view = GridView(version=lsdb.version)
        self._connected: set[str] = set()
        self._standing_by: set[str] = set()
        self._holding_pools: set[str] = set()
        self._stale: set[str] = set()
        self._changed: set[str] = set()
        self.restored = RestoredLinks()
        # What the view stands for, and of each source and load who has it.
        self._lsas: dict[str, RouterLsa] = {}
        self._source_owners: dict[str, str] = {}
        self._load_owners: dict[str, str] = {}

    def set_connected(self, router_id: str, connected: bool) -> None:
        """Whether the router has a session that is in step."""
        if connected != (router_id in self._connected):
            (self._connected.add if connected else self._connected.discard)(router_id)
            self._changed.add(router_id)

    def set_capabilities(self, router_id: str, capabilities: Collection[Capability]) -> None:
        """Whether the router takes generations that stand by, and holds pools of them; remembered while it is away."""
        for ids, needed in (
            (self._standing_by, Capability.STANDBY),
            (self._holding_pools, Capability.POOLS),
        ):
            if (needed in capabilities) != (router_id in ids):
                (ids.add if needed in capabilities else ids.discard)(router_id)
                self._changed.add(router_id)

    def holds_pools(self, router_id: str) -> bool:
        return router_id in self._holding_pools

    @property
    def last(self) -> GridView:
        return self._view

    def view(self, now_ns: int) -> GridView:
        stale = self._lsdb.stale_router_ids(now_ns)
        advertised, link_ids = self._lsdb.take_changes()
        changed = self._changed | advertised | (stale ^ self._stale)
        worded = self._admin.take_changes()
        changed |= worded
        link_ids |= worded
        if not changed:
            return self._view
        self._stale = stale
        self._changed = set()
        before = self._view
        routers = _updated(before.routers, {each: self._router(each) for each in changed})
        links = {each: self._link(each) for each in link_ids}
        self.restored.note(before.links, links, now_ns)
        source_ids, load_ids = self._take_over(changed)
        self._view = GridView(
            self._lsdb.version,
            routers,
            _updated(before.links, links),
            _updated(before.sources, {each: self._source(each) for each in source_ids}),
            _updated(before.loads, {each: self._load(each) for each in load_ids}),
        )
        return self._view

    def _router(self, router_id: str) -> RouterView | None:
        lsa = self._lsdb.lsa(router_id)
        if lsa is None:
            return None
        return RouterView(
            router_id,
            lsa.efficiency,
            lsa.boot_id,
            heard=router_id in self._connected and router_id not in self._stale,
            stands_by=router_id in self._standing_by,
            holds_pools=router_id in self._holding_pools,
            profile=lsa.profile,
            admin=self._admin.state(router_id),
            at=self._lsdb.placed(lsa),
        )

    def _link(self, link_id: str) -> LinkView | None:
        link = self._lsdb.link(link_id)
        admin = self._admin.state(link_id)
        if link is None or admin is AdminState.IN_SERVICE:
            return link
        return replace(link, admin=admin)

    def _take_over(self, router_ids: Iterable[str]) -> tuple[set[str], set[str]]:
        """Note what these routers have by now; the sources and loads that this may concern."""
        source_ids: set[str] = set()
        load_ids: set[str] = set()
        for router_id in router_ids:
            before = self._lsas.pop(router_id, None)
            source_ids |= _give_up(self._source_owners, router_id, _sources(before))
            load_ids |= _give_up(self._load_owners, router_id, _loads(before))
            after = self._lsdb.lsa(router_id)
            if after is not None:
                self._lsas[router_id] = after
        # What one has given up another of them may have.
        for router_id in router_ids:
            lsa = self._lsas.get(router_id)
            source_ids |= _sources(lsa)
            load_ids |= _loads(lsa)
            self._source_owners.update(dict.fromkeys(_sources(lsa), router_id))
            self._load_owners.update(dict.fromkeys(_loads(lsa), router_id))
        return source_ids, load_ids

    def _source(self, source_id: str) -> tuple[str, SourceAdvertisement] | None:
        router_id = self._source_owners.get(source_id)
        if router_id is None:
            return None
        sources = self._lsas[router_id].sources
        return router_id, next(each for each in sources if each.source_id == source_id)

    def _load(self, load_id: str) -> tuple[str, LoadAdvertisement] | None:
        router_id = self._load_owners.get(load_id)
        if router_id is None:
            return None
        loads = self._lsas[router_id].loads
        return router_id, next(each for each in loads if each.load_id == load_id)


def _updated(before: dict[str, V], changes: Mapping[str, V | None]) -> dict[str, V]:
    """A copy with changes, None for what is gone; the same where nothing differs."""
    changes = {key: value for key, value in changes.items() if before.get(key) != value}
    if not changes:
        return before
    after = before.copy()
    for key, value in changes.items():
        if value is None:
            del after[key]
        else:
            after[key] = value
    return after


def _give_up(owners: dict[str, str], router_id: str, ids: Set[str]) -> Set[str]:
    for each in ids:
        if owners.get(each) == router_id:
            del owners[each]
    return ids


def _sources(lsa: RouterLsa | None) -> Set[str]:
    return {each.source_id for each in lsa.sources} if lsa else set()


def _loads(lsa: RouterLsa | None) -> Set[str]:
    return {each.load_id for each in lsa.loads} if lsa else set()
