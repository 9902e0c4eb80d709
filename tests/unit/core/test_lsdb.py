"""The link-state database: order, age, and what two ends together say of a link."""

from dataclasses import replace
from typing import Any

import pytest

from controller.core.network.link import LinkState
from controller.core.network.lsdb import LinkStateDatabase
from digitalgrid.model import LinkAdvertisement, RouterLsa, SourceAdvertisement

MAX_AGE_NS = 90_000


def link(neighbor: str, link_id: str = "r1-r2", **more: Any) -> LinkAdvertisement:
    values = {"resistance_ohm": 0.5, "voltage_v": 1000.0, "ampacity_a": 100.0, **more}
    return LinkAdvertisement(link_id, neighbor, **values)


def lsa(router_id: str, *links: LinkAdvertisement, boot_id: int = 1, seq: int = 1) -> RouterLsa:
    return RouterLsa(router_id, boot_id, seq, 0.97, links)


def database(*lsas: RouterLsa) -> LinkStateDatabase:
    lsdb = LinkStateDatabase(MAX_AGE_NS)
    for each in lsas:
        lsdb.install(each, 0)
    return lsdb


@pytest.mark.parametrize("order", [(1, 1), (1, 2), (0, 9)])
def test_an_advertisement_that_is_not_newer_is_dropped(order: tuple[int, ...]) -> None:
    lsdb = database(lsa("r1", link("r2"), boot_id=1, seq=2))
    boot_id, seq = order
    assert not lsdb.install(lsa("r1", boot_id=boot_id, seq=seq), 5)
    assert "r1-r2" in lsdb.links()
    assert lsdb.version == 1


@pytest.mark.parametrize("order", [(1, 3), (2, 1)])
def test_a_newer_one_replaces_it(order: tuple[int, ...]) -> None:
    lsdb = database(lsa("r1", link("r2"), boot_id=1, seq=2))
    boot_id, seq = order
    assert lsdb.install(lsa("r1", boot_id=boot_id, seq=seq), 5)
    assert lsdb.links() == {}
    assert lsdb.version == 2


def test_a_refresh_makes_young_and_changes_nothing() -> None:
    lsdb = database(lsa("r1", link("r2")))
    assert not lsdb.install(lsa("r1", link("r2"), seq=2), MAX_AGE_NS)
    assert lsdb.version == 1
    assert lsdb.fresh_router_ids(2 * MAX_AGE_NS) == {"r1"}


def test_an_advertisement_ages_and_is_kept() -> None:
    lsdb = database(lsa("r1", link("r2")), lsa("r2", link("r1")))
    assert lsdb.fresh_router_ids(MAX_AGE_NS) == {"r1", "r2"}
    assert lsdb.fresh_router_ids(MAX_AGE_NS + 1) == set()
    assert lsdb.links()["r1-r2"].state is LinkState.UP


def test_a_refresh_of_an_aged_one_is_a_change() -> None:
    lsdb = database(lsa("r1", link("r2")))
    assert lsdb.install(lsa("r1", link("r2"), seq=2), MAX_AGE_NS + 1)


def test_a_link_is_up_when_both_ends_say_so() -> None:
    lsdb = database(lsa("r1", link("r2")), lsa("r2", link("r1")))
    view = lsdb.links()["r1-r2"]
    assert (view.state, view.a, view.b) == (LinkState.UP, "r1", "r2")
    assert (view.far_end("r1"), view.far_end("r2")) == ("r2", "r1")


def test_one_end_alone_is_no_news_until_the_other_is_heard() -> None:
    lsdb = database(lsa("r1", link("r2")))
    assert lsdb.links()["r1-r2"].state is LinkState.UNKNOWN
    lsdb.install(lsa("r2"), 1)
    assert lsdb.links()["r1-r2"].state is LinkState.DOWN


@pytest.mark.parametrize(
    "there",
    [
        link("r1", up=False),
        link("r9"),
        link("r1", voltage_v=999.0),
    ],
    ids=["down", "another neighbour", "another voltage"],
)
def test_ends_that_disagree_make_it_down(there: LinkAdvertisement) -> None:
    lsdb = database(lsa("r1", link("r2")), lsa("r2", there))
    assert lsdb.links()["r1-r2"].state is LinkState.DOWN


def test_one_end_down_is_news_even_alone() -> None:
    lsdb = database(lsa("r1", link("r2", up=False)))
    assert lsdb.links()["r1-r2"].state is LinkState.DOWN


def test_a_third_router_that_claims_a_link_changes_nothing() -> None:
    lsdb = database(lsa("r1", link("r2")), lsa("r2", link("r1")))
    before, version = lsdb.links()["r1-r2"], lsdb.version
    assert lsdb.install(lsa("r3", link("r1")), 1)
    assert lsdb.links()["r1-r2"] == before
    assert lsdb.version == version + 1
    assert not lsdb.install(lsa("r3", link("r1", up=False), seq=2), 2)


def test_where_figures_differ_the_safer_counts() -> None:
    here = link("r2", ampacity_a=80.0, resistance_ohm=0.4, cost_per_mwh=1.0)
    there = link("r1", ampacity_a=90.0, resistance_ohm=0.6, cost_per_mwh=2.0)
    view = database(lsa("r1", here), lsa("r2", there)).links()["r1-r2"]
    assert (view.ampacity_a, view.resistance_ohm, view.cost_per_mwh) == (80.0, 0.6, 2.0)


def test_sources_are_part_of_the_content() -> None:
    lsdb = database(lsa("r1"))
    with_source = replace(lsa("r1", seq=2), sources=(SourceAdvertisement("pv", 1e6),))
    assert lsdb.install(with_source, 1)
