"""Why a line is down: what its ends and their sessions say of it, in a word and in words."""

from dataclasses import replace
from typing import Any

import pytest

from controller.core.network.link import LinkState
from controller.core.network.lsdb import LinkStateDatabase
from controller.core.network.view import GridView, RouterView, change_of
from controller.core.network.why_down import NOBODY_SAYS, why_down
from digitalgrid.model import DownCause, LinkAdvertisement, RouterLsa

SILENT, FAR_END = DownCause.SILENT, DownCause.FAR_END
CARRIER, NOT_HEARD = DownCause.CARRIER_LOST, DownCause.NOT_HEARD
UNKNOWN = DownCause.UNKNOWN


def end(neighbor_id: str, cause: DownCause | None, **more: Any) -> LinkAdvertisement:
    values = {"resistance_ohm": 0.5, "voltage_v": 20e3, "ampacity_a": 300.0} | more
    up, why = cause is None, cause or UNKNOWN
    return LinkAdvertisement("r1-r2", neighbor_id, **values, up=up, down_cause=why)


def seen(*ends: LinkAdvertisement | None, gone: str = "", known: str = "r1 r2") -> GridView:
    """The view of what r1 and r2 advertise of the line between them."""
    lsdb = LinkStateDatabase(max_age_ns=1)
    for router_id, advertised in zip(known.split(), ends, strict=False):
        lsdb.install(RouterLsa(router_id, 1, 1, 0.97, (advertised,) if advertised else ()), 0)
    routers = {
        each: RouterView(each, 0.97, 1, heard=each not in gone.split()) for each in known.split()
    }
    return GridView(1, routers, lsdb.links())


def said(view: GridView) -> tuple[DownCause, str]:
    return why_down(view, view.links["r1-r2"])


@pytest.mark.parametrize(
    ("at_a", "at_b", "cause", "text"),
    [
        (None, None, UNKNOWN, ""),
        (CARRIER, CARRIER, CARRIER, "no carrier"),
        (None, CARRIER, CARRIER, "no carrier at r2"),
        (SILENT, CARRIER, CARRIER, "no carrier at r2"),
        (SILENT, SILENT, SILENT, "r1 and r2 hear nothing of each other"),
        (FAR_END, SILENT, SILENT, "r2 hears nothing of r1"),
        (FAR_END, NOT_HEARD, FAR_END, "r2 has begun anew, or does not hear r1"),
        (None, NOT_HEARD, NOT_HEARD, "r2 has not heard r1 yet"),
        # A router of an older release.
        (UNKNOWN, UNKNOWN, UNKNOWN, ""),
        (UNKNOWN, SILENT, SILENT, "r2 hears nothing of r1"),
    ],
)
def test_the_cause_that_tells_the_most_is_told_with_the_end_that_sees_it(
    at_a: DownCause | None, at_b: DownCause | None, cause: DownCause, text: str
) -> None:
    assert said(seen(end("r2", at_a), end("r1", at_b))) == (cause, text)


def test_a_router_that_is_gone_explains_what_its_neighbour_sees() -> None:
    for at_a in (SILENT, CARRIER):
        view = seen(end("r2", at_a), end("r1", None), gone="r2")
        assert said(view) == (DownCause.ROUTER_GONE, "r2 is gone")
    # Its controller is what it does not reach, and its neighbour hears it: the line is as its ends last said.
    both = seen(end("r2", None), end("r1", None), gone="r1 r2")
    assert said(both) == (DownCause.ROUTER_GONE, "r1 and r2 are gone")


def test_ends_that_do_not_agree_and_what_nobody_else_has_are_mistakes_in_a_file() -> None:
    other = end("r1", None, voltage_v=10e3)
    assert said(seen(end("r2", None), other)) == (
        DownCause.ENDS_DIFFER,
        "its ends say different things of it",
    )
    assert said(seen(end("r2", None), None)) == (DownCause.ENDS_DIFFER, "r2 does not have it")
    assert said(seen(end("r2", None), known="r1")) == (NOT_HEARD, "nothing is known of r2")
    up = seen(end("r2", None), end("r1", None))
    assert said(up) == NOBODY_SAYS and up.links["r1-r2"].state is LinkState.UP


def test_another_word_for_why_it_is_down_changes_what_is_told_and_nothing_else() -> None:
    before = seen(end("r2", SILENT), end("r1", None))
    after = seen(end("r2", SILENT), end("r1", SILENT))
    assert before != after and not change_of(before, after).links
    link = after.links["r1-r2"]
    dearer = replace(after, links={"r1-r2": replace(link, cost_per_mwh=1.0)})
    assert change_of(before, dearer).links == {"r1-r2"}
