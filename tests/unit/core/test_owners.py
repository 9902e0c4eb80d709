"""Ownership: an id is whose router registered it first, over restarts and on standbys, until it is let go of."""

from dataclasses import replace

import pytest

from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.network.link import LinkState
from controller.core.network.lsdb import LinkStateDatabase
from controller.core.network.network import Network
from controller.core.network.owners import OwnedKind, RouterRecord
from controller.core.replica import Replica
from controller.core.settings import CoreSettings
from digitalgrid.model import LinkAdvertisement, LoadAdvertisement, RouterLsa, SourceAdvertisement
from digitalgrid.units import NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest

MAX_AGE_NS = 90_000


def link(link_id: str, neighbor_id: str) -> LinkAdvertisement:
    return LinkAdvertisement(link_id, neighbor_id, 0.5, 1000.0, 100.0)


def lsa(
    router_id: str,
    *links: LinkAdvertisement,
    seq: int = 1,
    sources: tuple[str, ...] = (),
    loads: tuple[str, ...] = (),
) -> RouterLsa:
    return RouterLsa(
        router_id,
        1,
        seq,
        0.97,
        links,
        tuple(SourceAdvertisement(each, 1e6) for each in sources),
        tuple(LoadAdvertisement(each, 1e6) for each in loads),
    )


def database(*lsas: RouterLsa) -> LinkStateDatabase:
    lsdb = LinkStateDatabase(MAX_AGE_NS)
    for each in lsas:
        lsdb.install(each, 0)
    return lsdb


def refused(lsdb: LinkStateDatabase, router_id: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.id, each.owner_ids) for each in lsdb.owners.refused(router_id)]


def loads_of(lsdb: LinkStateDatabase, router_id: str) -> list[str]:
    advertised = lsdb.lsa(router_id)
    return [each.load_id for each in advertised.loads] if advertised else []


def test_a_load_and_a_source_stay_with_who_registered_them_whatever_smaller_id_claims_them() -> (
    None
):
    lsdb = database(lsa("r5", loads=("load5",), sources=("pv",)))
    lsdb.install(lsa("a0", loads=("load5", "own"), sources=("pv",)), 1)
    assert loads_of(lsdb, "r5") == ["load5"]
    assert loads_of(lsdb, "a0") == ["own"]
    assert refused(lsdb, "a0") == [("pv", ("r5",)), ("load5", ("r5",))]
    assert str(lsdb.owners.refused("a0")[0]) == "source 'pv' belongs to r5"


def test_the_end_of_a_line_that_is_left_is_for_who_the_other_end_names() -> None:
    lsdb = database(lsa("r1", link("l", "r2")), lsa("x", link("l", "r1")))
    assert refused(lsdb, "x") == [("l", ("r1",))]
    assert lsdb.links()["l"].state is LinkState.UNKNOWN
    lsdb.install(lsa("r2", link("l", "r1")), 1)
    assert lsdb.links()["l"].state is LinkState.UP


def test_what_its_owner_does_not_advertise_any_more_goes_to_who_claimed_it_next() -> None:
    lsdb = database(lsa("r1", loads=("home",)), lsa("r2", loads=("home",)))
    lsdb.install(lsa("r3", loads=("home",)), 0)
    assert lsdb.install(lsa("r1", seq=2), 1)
    assert loads_of(lsdb, "r2") == ["home"]
    assert refused(lsdb, "r2") == []
    assert refused(lsdb, "r3") == [("home", ("r2",))]


def test_a_line_that_is_laid_to_another_router_goes_to_that() -> None:
    lsdb = database(lsa("r1", link("l", "r2")), lsa("r3", link("l", "r1")))
    lsdb.install(lsa("r1", link("l", "r3"), seq=2), 1)
    assert lsdb.links()["l"].state is LinkState.UP
    assert (lsdb.links()["l"].a, lsdb.links()["l"].b) == ("r1", "r3")


def test_forgetting_a_router_frees_what_it_had() -> None:
    lsdb = database(
        lsa("r1", link("l", "r2"), loads=("home",)),
        lsa("r2", link("l", "r1")),
        lsa("r1b", link("l", "r2"), loads=("home",)),
    )
    assert refused(lsdb, "r1b") == [("l", ("r1", "r2")), ("home", ("r1",))]
    assert lsdb.remove("r1")
    assert loads_of(lsdb, "r1b") == ["home"]
    # r2 says that its line leads to r1.
    assert refused(lsdb, "r1b") == [("l", ("r2",))]
    lsdb.install(lsa("r2", link("l", "r1b"), seq=2), 1)
    assert lsdb.links()["l"].state is LinkState.UP


def test_an_old_advertisement_registers_nothing() -> None:
    lsdb = database(lsa("r1", seq=5), lsa("r2"))
    assert not lsdb.install(lsa("r1", loads=("home",), seq=4), 1)
    lsdb.install(lsa("r2", loads=("home",), seq=2), 2)
    assert loads_of(lsdb, "r2") == ["home"]


def test_a_claim_that_is_refused_stands_in_no_record_and_changes_are_told_once() -> None:
    lsdb = database(lsa("r1", loads=("home",)))
    lsdb.install(lsa("x", loads=("home",)), 0, b"device")
    records, forgotten = lsdb.owners.take_changes()
    assert [(each.router_id, each.load_ids) for each in records] == [("r1", ("home",)), ("x", ())]
    assert records[1].instance_id == b"device"
    assert forgotten == ()
    lsdb.install(lsa("r1", loads=("home",), seq=2), 1)
    assert lsdb.owners.take_changes() == ((), ())
    lsdb.remove("x")
    assert lsdb.owners.take_changes() == ((), ("x",))


def test_the_first_device_of_an_id_is_remembered() -> None:
    lsdb = LinkStateDatabase(MAX_AGE_NS)
    lsdb.install(lsa("r1"), 0, b"first")
    lsdb.reset_sequence("r1")
    lsdb.install(lsa("r1", loads=("home",)), 1, b"second")
    assert lsdb.owners.instance_of("r1") == b"first"
    lsdb.remove("r1")
    assert lsdb.owners.instance_of("r1") == b""


def test_stored_records_come_before_what_was_heard() -> None:
    lsdb = database(lsa("x", loads=("home",)), lsa("r1", loads=("home",)))
    lsdb.adopt_owners([RouterRecord("r1", load_ids=("home",))])
    assert loads_of(lsdb, "r1") == ["home"]
    assert refused(lsdb, "x") == [("home", ("r1",))]


def test_what_a_router_has_that_is_away_is_kept_for_it() -> None:
    lsdb = LinkStateDatabase(MAX_AGE_NS)
    lsdb.adopt_owners([RouterRecord("r9", link_ends=(("l", "r1"),), load_ids=("home",))])
    lsdb.install(lsa("x", link("l", "r9"), loads=("home",)), 0)
    assert refused(lsdb, "x") == [("l", ("r9",)), ("home", ("r9",))]
    lsdb.install(lsa("r1", link("l", "r9")), 0)
    lsdb.install(lsa("r9", link("l", "r1"), loads=("home",)), 0)
    assert lsdb.links()["l"].state is LinkState.UP


def test_a_standby_follows_what_the_leader_has_stored() -> None:
    network = Network(MAX_AGE_NS)
    standby = Replica(network, 0)
    for router_id in ("x", "r1"):
        standby.on_connected(router_id, 0)
    # This one hears the stranger first.
    assert standby.on_lsa(lsa("x", loads=("home",)), 0) is None
    told = standby.on_lsa(lsa("r1", loads=("home",)), 0)
    assert told is not None
    assert [(each.kind, each.id, each.owner_ids) for each in told] == [
        (OwnedKind.LOAD, "home", ("x",))
    ]
    network.follow_owners([RouterRecord("r1", load_ids=("home",))], [])
    assert loads_of(network.lsdb, "r1") == ["home"]
    assert refused(network.lsdb, "x") == [("home", ("r1",))]
    network.follow_owners([RouterRecord("x")], ["r1"])
    standby.on_disconnected("r1", 1)
    network.follow_owners([], ["r1"])
    assert loads_of(network.lsdb, "x") == ["home"]


def test_what_the_leader_forgot_and_a_standby_hears_is_stored_again_after_a_takeover() -> None:
    network = Network(MAX_AGE_NS)
    standby = Replica(network, 0)
    standby.on_connected("r1", 0, b"device")
    standby.on_lsa(lsa("r1", loads=("home",)), 0)
    record = RouterRecord("r1", b"device", load_ids=("home",))
    network.follow_owners([record], [])
    # As a leader would, whose records are all stored.
    network.lsdb.owners.take_changes()
    network.follow_owners([], ["r1"])
    stored, forgotten_ids = network.lsdb.owners.take_changes()
    assert (stored, forgotten_ids) == ((record,), ())
    # A restart: the stranger is not the first.
    lsdb = LinkStateDatabase(MAX_AGE_NS)
    lsdb.adopt_owners(stored)
    lsdb.install(lsa("x", loads=("home",)), 0)
    assert refused(lsdb, "x") == [("home", ("r1",))]


def test_who_is_handed_what_became_free_keeps_what_it_has() -> None:
    lsdb = database(lsa("r2", loads=("home",)))
    lsdb.adopt_owners([RouterRecord("r1", load_ids=("home",)), RouterRecord("r2", load_ids=("b",))])
    assert refused(lsdb, "r2") == [("home", ("r1",))]
    lsdb.follow_owner(RouterRecord("r1"))
    lsdb.install(lsa("r1"), 0)
    assert loads_of(lsdb, "r2") == ["home"]
    record = lsdb.owners.record("r2")
    assert record is not None
    assert record.load_ids == ("b", "home")


# The whole core


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def rogue(network: SimulatedNetwork, router_id: str = "a0") -> RouterLsa:
    """All lines, sources and loads of others."""
    links = tuple(
        LinkAdvertisement(each.id, each.a, 0.0, each.voltage_v, 1e6, -1e9)
        for each in network.grid.links.values()
    )
    return replace(
        lsa(router_id, *links, sources=("solar", "gas"), loads=("town", "pump", "works")), seq=99
    )


def attack(network: SimulatedNetwork) -> None:
    network.event(lambda core, now_ns: core.on_connected("a0", now_ns))
    network.tell("a0", rogue(network))
    network.event(lambda core, now_ns: core.on_sync_done("a0", now_ns))
    network.deliver_all()


def test_a_stranger_that_claims_everything_moves_nothing(network: SimulatedNetwork) -> None:
    (circuit,) = network.request(PowerRequest("before", "town", 1e6, ("solar",)))
    network.deliver_all()
    key, before = newest(circuit).key, network.core.questions.view
    attack(network)
    after = network.core.questions.view
    assert (after.links, after.sources, after.loads) == (before.links, before.sources, before.loads)
    assert newest(circuit).key == key
    (another,) = network.request(PowerRequest("after", "pump", 1e6))
    assert "a0" not in newest(another).route.router_ids
    network.heal()
    network.check_rest()


def test_no_restart_makes_a_stranger_the_first(network: SimulatedNetwork) -> None:
    network.deliver_all()
    before = network.core.questions.view.loads
    network.kill_controller(1_000_000)
    network.start_controller()
    attack(network)
    assert network.core.questions.view.loads == {}
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.deliver_all()
    assert network.core.questions.view.loads == before
    assert {each.owner_ids for each in network.core.questions.refused_claims("a0")} >= {("r4",)}


def test_a_router_that_is_known_from_the_store_alone_can_be_forgotten(
    network: SimulatedNetwork,
) -> None:
    network.deliver_all()
    network.kill_controller(1_000_000)
    network.start_controller()
    network.event(lambda core, now_ns: core.forget_router("r4", now_ns))
    network.deliver_all()
    assert "r4" not in network.store.routers
    attack(network)
    assert network.core.questions.view.loads["town"][0] == "a0"
    with pytest.raises(Refusal, match="no router 'r77' is known"):
        network.event(lambda core, now_ns: core.forget_router("r77", now_ns))


def test_a_router_that_stays_away_and_holds_nothing_is_forgotten_and_no_other() -> None:
    settings = CoreSettings(forget_routers_after_ns=100 * NS_PER_S)
    network = SimulatedNetwork(diamond(), settings)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.deliver_all()
    network.request(PowerRequest("held", "town", 1e6, ("solar",)))
    attack(network)
    network.event(lambda core, now_ns: core.on_disconnected("a0", now_ns))
    # Holds the circuit's end, and is heard by its neighbours.
    network.disconnect("r4")
    begin_ns = network.now_ns

    def known() -> set[str]:
        return set(network.core.questions.registered_router_ids())

    while network.now_ns - begin_ns < 90 * NS_PER_S:
        network.advance(NS_PER_S)
        network.deliver_all()
    assert "a0" in known()
    while network.now_ns - begin_ns < 120 * NS_PER_S:
        network.advance(NS_PER_S)
        network.deliver_all()
    assert known() == set(network.grid.routers)
    assert set(network.store.routers) == set(network.grid.routers)
    (entry,) = (each for each in network.store.audit if each.action == "forget-router")
    assert (entry.subject, entry.who) == ("a0", "controller")
