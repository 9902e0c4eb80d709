"""The view that is kept up to date against one that is made anew from everything that is known."""

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.core.network.admin import (
    ADMIN_TRANSITIONS,
    AdminEvent,
    AdminState,
    AdminWords,
    DrainRecord,
)
from controller.core.network.link import LinkView
from controller.core.network.lsdb import LinkStateDatabase
from controller.core.network.network import Network
from controller.core.network.view import GridView, RouterView, change_of
from digitalgrid.model import (
    DownCause,
    LinkAdvertisement,
    LoadAdvertisement,
    RouterLsa,
    SourceAdvertisement,
)

ROUTER = st.sampled_from(["a", "b", "c", "d"])
FEW = st.sampled_from(["1", "2", "3"])
MAX_AGE_NS = 100
LINK = st.builds(
    LinkAdvertisement,
    FEW,
    ROUTER,
    st.sampled_from([0.1, 0.2]),
    st.sampled_from([1e3, 2e3]),
    st.sampled_from([10.0, 20.0]),
    up=st.booleans(),
)
SOURCE = st.builds(SourceAdvertisement, FEW, st.sampled_from([1e3, 2e3]))
LOAD = st.builds(LoadAdvertisement, FEW, st.sampled_from([1e3, 2e3]))


def made_anew(
    lsdb: LinkStateDatabase, connected: set[str], admin: AdminWords, now_ns: int
) -> GridView:
    """All advertisements, one after another, into a database and a view of their own."""
    fresh = lsdb.fresh_router_ids(now_ns)
    other = LinkStateDatabase(MAX_AGE_NS)
    other.adopt_owners(lsdb.owners.records())
    for lsa in lsdb.lsas():
        other.install(lsa, 0)
    links = {key: replace(link, admin=admin.state(key)) for key, link in other.links().items()}
    view = GridView(version=lsdb.version, links=links)
    heard_ids = fresh & connected
    for lsa in lsdb.lsas():
        view.routers[lsa.router_id] = RouterView(
            lsa.router_id,
            lsa.efficiency,
            lsa.boot_id,
            lsa.router_id in heard_ids,
            admin=admin.state(lsa.router_id),
        )
        for source in lsa.sources:
            view.sources.setdefault(source.source_id, (lsa.router_id, source))
        for load in lsa.loads:
            view.loads.setdefault(load.load_id, (lsa.router_id, load))
    return view


def without_words(thing: object) -> object:
    """Why a link is down is only said: no circuit is looked at again for that."""
    return (
        replace(thing, down=(DownCause.UNKNOWN, DownCause.UNKNOWN))
        if isinstance(thing, LinkView)
        else thing
    )


class Views(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.network = Network(MAX_AGE_NS)
        self.now_ns = 0
        self.before = self.network.view(0)
        self.seq = 0

    @rule(router_id=ROUTER)
    def connect(self, router_id: str) -> None:
        self.network.connect(router_id)

    @rule(router_id=ROUTER)
    def disconnect(self, router_id: str) -> None:
        self.network.disconnect(router_id)

    @rule(router_id=ROUTER)
    def get_in_step(self, router_id: str) -> None:
        if self.network.has_session(router_id):
            self.network.set_in_step(router_id)

    @rule(
        router_id=ROUTER,
        efficiency=st.sampled_from([0.9, 0.95]),
        links=st.lists(LINK, max_size=3),
        sources=st.lists(SOURCE, max_size=2),
        loads=st.lists(LOAD, max_size=2),
    )
    def advertise(
        self,
        router_id: str,
        efficiency: float,
        links: list[LinkAdvertisement],
        sources: list[SourceAdvertisement],
        loads: list[LoadAdvertisement],
    ) -> None:
        self.seq += 1
        lsa = RouterLsa(
            router_id, 1, self.seq, efficiency, tuple(links), tuple(sources), tuple(loads)
        )
        self.network.install(lsa, self.now_ns)

    @rule(router_id=ROUTER)
    def refresh(self, router_id: str) -> None:
        lsa = self.network.lsdb.lsa(router_id)
        if lsa is not None:
            self.advertise(router_id, lsa.efficiency, lsa.links, lsa.sources, lsa.loads)

    @rule(router_id=ROUTER)
    def remove(self, router_id: str) -> None:
        self.network.lsdb.remove(router_id)

    @rule(id_=ROUTER | FEW, event=st.sampled_from(AdminEvent))
    def drain(self, id_: str, event: AdminEvent) -> None:
        admin = self.network.admin
        if event is AdminEvent.DRAIN and id_ not in admin.all:
            admin.drain(DrainRecord(id_, AdminState.DRAINING))
        elif id_ in admin.all and (admin.state(id_), event) in ADMIN_TRANSITIONS:
            admin.apply(id_, event)

    @rule(passed_ns=st.sampled_from([1, 60, 101]))
    def wait(self, passed_ns: int) -> None:
        self.now_ns += passed_ns

    @invariant()
    def it_is_as_if_made_anew(self) -> None:
        view = self.network.view(self.now_ns)
        assert view == made_anew(
            self.network.lsdb, self.network.in_step(), self.network.admin, self.now_ns
        )
        change = change_of(self.before, view)
        for kind in ("routers", "links", "sources", "loads"):
            before, after = getattr(self.before, kind), getattr(view, kind)
            differing = {
                key
                for key in before.keys() | after.keys()
                if without_words(before.get(key)) != without_words(after.get(key))
            }
            assert getattr(change, kind) == differing
        self.before = view

    @invariant()
    def nothing_has_more_owners_than_it_can_have(self) -> None:
        ends: dict[str, list[str]] = {}
        owners: dict[tuple[str, str], str] = {}
        for lsa in self.network.lsdb.lsas():
            for link in lsa.links:
                ends.setdefault(link.link_id, []).append(lsa.router_id)
            for kind, ids in (
                ("source", [each.source_id for each in lsa.sources]),
                ("load", [each.load_id for each in lsa.loads]),
            ):
                for each in set(ids):
                    assert owners.setdefault((kind, each), lsa.router_id) == lsa.router_id
        assert all(len(set(routers)) <= 2 for routers in ends.values())


TestViews = Views.TestCase
