"""The page over a played controller: hostile names, a stream that stalls, and what is read by everybody everywhere."""

import re
from pathlib import Path
from time import time_ns
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from benchmarks.page_feed import COLUMNS, PlayedNetwork, event
from tests.browser.conftest import DESK, PHONE, Open, violations, wait_until_drawn
from tests.browser.played import PlayedController, small_grid
from tests.support.patience import wait_for

MARKUP = "<img src=x onerror=alert(1)>"
VIEWS = {
    "circuits": "#/",
    "circuit": "#/circuit/1",
    "lines, with a line": "#/line/a-b?list=lines",
    "routers, with a router": "#/router/a?list=routers",
    "loads, with a load": "#/load/town?list=loads",
    "sources, with a source": "#/source/pv?list=sources&colour=risk",
    "events": "#/?list=events&colour=loss",
    "system": "#/?list=system",
    "no market": "#/trade/t-1?list=market",
    "wide table": "#/?wide=on",
    "find": "#/?do=find",
    "keys": "#/?do=help",
    "request": "#/?do=request&sink=town",
    "change": "#/?do=change&id=1",
    "release": "#/?do=release&id=1",
    "activate": "#/?do=activate&id=1",
    "drain": "#/?do=drain&id=a-b",
    "undrain": "#/?do=undrain&id=a-b",
    "what if": "#/?do=whatif&cut=a-b",
    "a fault": "#/?do=fault&verb=cut&id=a-b",
    "a cloud": "#/?do=cloud&id=pv",
    "dispatch": "#/?do=dispatch",
    "reoptimise": "#/?do=reoptimise",
    "the map as it was": "#/?at=1&list=events",
}


def test_every_dialog_is_among_the_views() -> None:
    shell = (Path(__file__).parents[2] / "controller/web/page/views/shell.js").read_text("utf-8")
    (dialogs,) = re.findall(r"const DIALOGS = \{(.*?)\};", shell, re.S)
    names = set(re.findall(r"(\w+): \w+", dialogs))
    assert len(names) > 10
    assert (
        names - {found[1] for path in VIEWS.values() if (found := re.search(r"do=(\w+)", path))}
        == set()
    )


@pytest.mark.parametrize(
    ("scheme", "size"), [("dark", DESK), ("light", DESK), ("light", PHONE), ("dark", PHONE)]
)
def test_every_view_keeps_to_wcag(
    controller: PlayedController, open_page: Open, scheme: str, size: tuple[int, int]
) -> None:
    # Colours on their way to others have any contrast.
    page = open_page(controller.address, size, scheme, reduced_motion="reduce")
    wait_until_drawn(page)
    found = {}
    for name, path in VIEWS.items():
        page.evaluate("(path) => { location.hash = path; }", path)
        page.wait_for_function("(path) => location.hash === path", arg=path)
        page.evaluate("() => new Promise(requestAnimationFrame)")
        wrong = violations(page)
        if wrong:
            found[name] = wrong
    assert found == {}


def test_a_column_that_the_controller_does_not_tell_is_empty(
    controller: PlayedController, open_page: Open
) -> None:
    page = open_page(f"{controller.address}#/?wide=on")
    wait_until_drawn(page)
    for name in ("circuits", "lines", "routers", "loads", "sources"):
        page.evaluate(f"() => {{ location.hash = '#/?wide=on&list={name}'; }}")
        table = page.get_by_role("grid", name=name)
        expect(table.get_by_role("row").nth(1)).to_be_visible()
        expect(table).not_to_contain_text("undefined")
        expect(table).not_to_contain_text("NaN")


def test_the_page_fits_a_phone(controller: PlayedController, open_page: Open) -> None:
    page = open_page(controller.address, PHONE)
    wait_until_drawn(page)
    for path in VIEWS.values():
        page.evaluate("(path) => { location.hash = path; }", path)
        page.evaluate("() => new Promise(requestAnimationFrame)")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE[0], path


def test_names_with_markup_are_shown_and_never_interpreted(open_page: Open) -> None:
    with PlayedController(PlayedNetwork(small_grid(), 2)) as played:
        page = open_page(f"{played.address}#/?list=routers")
        wait_until_drawn(page)
        named = dict.fromkeys(("router_id", "profile", "a_router_id", "link_id", "reason"), MARKUP)
        rows = {
            table: [[{**named, "circuit_id": 9, "state": MARKUP}.get(name) for name in names]]
            for table, names in COLUMNS.items()
            if table in ("routers", "links", "circuits")
        }
        played.tell(event("rows", rows))
        mark = {
            "n": 1,
            "at_unix_ms": 0,
            "kind": MARKUP,
            "id": MARKUP,
            "severity": "alarm",
            "text": MARKUP,
        }
        played.tell(event("marks", {"marks": [mark | {"at_unix_ms": time_ns() // 1_000_000}]}))
        page.get_by_role("gridcell", name=MARKUP).first.click()
        expect(page.get_by_role("heading", name=MARKUP)).to_be_visible()
        for path in ("#/circuit/9?list=events", "#/line/x?list=lines", "#/?do=find"):
            page.evaluate("(path) => { location.hash = path; }", path)
        assert page.locator("body img, body script").count() == 0


def test_a_stream_that_stalls_is_given_up_and_what_is_shown_is_said_to_be_old(
    open_page: Open,
) -> None:
    with PlayedController(PlayedNetwork(small_grid(), 2)) as played:
        page = open_page(played.address)
        wait_until_drawn(page)
        expect(page.locator(".age")).to_contain_text("live")
        played.stall(stalled=True)
        expect(page.locator(".age")).to_contain_text("old")
        # What was known stays in sight.
        expect(page.get_by_role("gridcell", name="town")).to_be_visible()
        played.stall(stalled=False)
        expect(page.locator(".age")).to_contain_text("live")


def test_a_hundred_circuits_appear_and_the_selected_one_stays_where_it_is(open_page: Open) -> None:
    network = PlayedNetwork(small_grid(), 2)
    with PlayedController(network) as played:
        page = open_page(f"{played.address}#/circuit/2")
        expect(page.get_by_role("heading", name="Circuit 2")).to_be_visible()
        played.tell(network.more(100))
        expect(page.get_by_role("status").filter(has_text="102")).to_be_visible()
        expect(page.get_by_role("heading", name="Circuit 2")).to_be_visible()
        assert selected_id(page) == "2"


def selected_id(page: Page) -> str:
    row = page.locator("[role=row][aria-selected=true] [role=gridcell]").first
    return row.inner_text()


def test_eight_tabs_are_live_on_four_streams(open_page: Open) -> None:
    """A browser has six connections to a server, and a stream each would leave none for anything else."""
    network = PlayedNetwork(small_grid(), 2)
    with PlayedController(network) as played:
        first = open_page(played.address)
        wait_until_drawn(first)
        tabs = [first, *(first.context.new_page() for _ in range(7))]
        for tab in tabs[1:]:
            tab.goto(played.address)
        for tab in tabs:
            wait_until_drawn(tab)
            expect(tab.locator(".age")).to_contain_text("live")
        # One that stalled on a busy machine, and was begun anew, is let go of when it is written to.
        wait_for(lambda: played.streams == 4)
        # Whoever comes late knows what was told before, and all hear what comes.
        played.tell(network.more(1))
        for tab in tabs:
            expect(tab.get_by_role("gridcell", name="3", exact=True)).to_be_visible()
        late = first.context.new_page()
        late.goto(f"{played.address}#/circuit/3")
        expect(late.get_by_role("heading", name="Circuit 3")).to_be_visible()
        # A tab that closes ends nobody's stream but its own.
        first.close()
        played.tell(network.more(1))
        for tab in (*tabs[1:], late):
            expect(tab.get_by_role("gridcell", name="4", exact=True)).to_be_visible()
        wait_for(lambda: played.streams == 3)


def test_the_system_view_lists_who_stands_by_and_how_far_behind(
    controller: PlayedController, open_page: Open
) -> None:
    page = open_page(f"{controller.address}#/?list=system")
    wait_until_drawn(page)
    assert page.get_by_role("heading", name="Standbys").count() == 0
    since_ms = time_ns() // 1_000_000
    standbys = [
        {"name": "dgc2", "northbound": "h2:7070", "since_unix_ms": since_ms, "behind": 0},
        {"name": MARKUP, "northbound": "h3:7070", "since_unix_ms": since_ms, "behind": 12},
        {"name": "old", "northbound": "h4:7070", "since_unix_ms": 0, "behind": None},
    ]
    daemon = {"role": "leader", "name": "dgc1", "standbys": standbys}
    controller.tell(event("now", {"at_unix_ms": since_ms, "daemon": daemon}))
    table = page.get_by_role("table").filter(has_text="Next to lead")
    expect(table.get_by_role("row", name="dgc2")).to_contain_text("nothing")
    expect(table.get_by_role("row", name=MARKUP)).to_contain_text("12 transactions")
    expect(table.get_by_role("row", name="old")).to_contain_text("–")
    assert violations(page) == []
    controller.tell(event("now", {"at_unix_ms": since_ms, "daemon": daemon | {"standbys": []}}))
    expect(page.get_by_text("Nobody stands by")).to_be_visible()


def test_energies_beside_each_other_have_one_unit(
    controller: PlayedController, open_page: Open
) -> None:
    page = open_page(controller.address)
    told = page.evaluate(
        """async () => {
            const { energies } = await import('/page/words.js');
            const all = [5.71e11 * 3.6, 8.9e9 * 3.6, 2.4e9, 1e3, 0];
            return all.map(energies(all));
        }"""
    )
    assert told == ["571 kWh", "8.90 kWh", "0.67 kWh", "1.00 J", "0 J"]


def test_power_from_before_is_in_the_timeline_and_no_map_of_then_is_made_up(
    open_page: Open,
) -> None:
    with PlayedController(PlayedNetwork(small_grid(), 2)) as played:
        page = open_page(played.address)
        wait_until_drawn(page)
        then_ms = time_ns() // 1_000_000 - 120_000
        kept = [[then_ms + 5_000 * each, 2e6, 1.9e6] for each in range(20)]
        played.tell(event("seconds", {"seconds": kept}))
        page.wait_for_function(f"() => digitalgrid.store.history.seconds[0]?.atMs === {then_ms}")
        page.evaluate(f"() => {{ location.hash = '#/?at={then_ms + 20_000}'; }}")
        expect(page.locator(".timeline-at")).to_contain_text("1.90 MW")
        expect(page.locator(".then-note")).to_contain_text("is not known")


def history_of(steps: list[dict[str, Any]], to_unix_ms: int) -> dict[str, Any]:
    """Of two lines, as a daemon tells it."""
    columns = {
        "links": ("link_id", "reserved_a_to_b_a", "reserved_b_to_a_a", "up", "silent", "admin"),
        "loads": ("load_id", "reserved_w"),
        "sinks": ("sink_id", "states"),
    }
    return {"columns": columns, "to_unix_ms": to_unix_ms, "steps": steps}


THEN = """([table, id]) => digitalgrid.mapper.current.tables()[table].get(id)"""


def test_a_page_that_is_opened_after_a_fault_shows_the_map_before_it(open_page: Open) -> None:
    with PlayedController(PlayedNetwork(small_grid(), 2)) as played:
        now_ms = time_ns() // 1_000_000
        steps = [
            {
                "at_unix_ms": now_ms - 300_000,
                "links": [["a-b", 120.0, 0.0, True, False, ""], ["no-more", 1, 0, True, False, ""]],
                "loads": [["town", 7e5]],
                "sinks": [["town", {"active": 2}]],
            },
            {
                "at_unix_ms": now_ms - 200_000,
                "links": [["a-b", 0.0, 0.0, False, False, ""]],
                "sinks": [["town", {"waiting": 1, "rerouting": 1}]],
            },
        ]
        played.keep(history_of(steps, now_ms))
        page = open_page(f"{played.address}#/?at={now_ms - 250_000}")
        wait_until_drawn(page)
        expect(page.locator(".then-note")).to_contain_text("The map as it was")
        line = page.evaluate(THEN, ["links", "a-b"])
        assert (line["up"], line["reserved_a_to_b_a"], line["ampacity_a"]) == (True, 120, 300)
        assert page.evaluate(THEN, ["loads", "town"])["reserved_w"] == 7e5
        assert page.evaluate(THEN, ["sinks", "town"])["served"] == 2
        assert page.evaluate(THEN, ["links", "no-more"]) is None
        # From the fault on; what is said of the load then is still true.
        page.evaluate(f"() => {{ location.hash = '#/?at={now_ms - 200_000}'; }}")
        page.wait_for_function(f"() => !({THEN})(['links', 'a-b']).up")
        assert page.evaluate(THEN, ["sinks", "town"]) == {"waiting": 1, "moving": 1, "served": 0}
        assert page.evaluate(THEN, ["loads", "town"])["reserved_w"] == 7e5
        # And what was before all that is kept is said not to be known.
        page.evaluate(f"() => {{ location.hash = '#/?at={now_ms - 400_000}'; }}")
        expect(page.locator(".then-note")).to_contain_text("is not known")
        page.get_by_role("button", name="Back to now").click()
        expect(page.locator(".then-note")).to_have_count(0)
        assert page.evaluate(THEN, ["links", "a-b"])["up"]


def test_a_browser_that_slept_for_an_hour_goes_on_by_itself_and_makes_nothing_up(
    open_page: Open,
) -> None:
    """Its clock and its timers jump, as those of a laptop do when it is opened; what was said meanwhile is lost."""
    network = PlayedNetwork(small_grid(), 2)
    with PlayedController(network) as played:
        page = open_page("about:blank")
        page.clock.install()
        page.goto(f"{played.address}#/?span=15")
        wait_until_drawn(page)
        expect(page.locator(".age")).to_contain_text("live")
        page.wait_for_function("() => digitalgrid.store.history.pictures.length > 0")
        fell_asleep_ms = page.evaluate("() => digitalgrid.store.now.value.at_unix_ms")
        played.stall(stalled=True)
        network.more(1)
        network.ahead_ms = 3_600_000
        asleep_ms = fell_asleep_ms + 3_600_000 - 300_000
        step = {"at_unix_ms": asleep_ms - 60_000, "links": [["a-b", 77.0, 0.0, False, True, ""]]}
        played.keep(history_of([step], fell_asleep_ms + 7_200_000))
        page.clock.fast_forward(3_600_000)
        # It notices at once that what it shows is old.
        expect(page.locator(".age")).not_to_contain_text("live")
        played.stall(stalled=False)
        expect(page.locator(".age")).to_contain_text("live")
        expect(page.get_by_role("gridcell", name="3", exact=True)).to_be_visible()
        # Nothing of an hour ago is taken for what was a moment ago.
        assert page.evaluate(
            "() => digitalgrid.store.history.seconds.every(({ atMs }) =>"
            " atMs > digitalgrid.store.now.value.at_unix_ms - 900_000)"
        )
        page.evaluate(f"() => {{ location.hash = '#/?span=15&at={asleep_ms}'; }}")
        expect(page.locator(".then-note")).to_contain_text("The map as it was")
        line = page.evaluate(THEN, ["links", "a-b"])
        assert (line["up"], line["silent"], line["reserved_a_to_b_a"]) == (False, True, 77)


@pytest.mark.parametrize("missing", ["main.js", "views/timeline.js", "style/base.css"])
def test_a_file_of_the_page_that_is_missing_is_said_to_be(
    controller: PlayedController, open_page: Open, missing: str
) -> None:
    page = open_page("about:blank")
    page.route(f"**/page/{missing}", lambda route: route.fulfill(status=404))
    page.goto(controller.address)
    expect(page.get_by_role("alert")).to_contain_text("did not come")
    page.unroute_all()
    page.get_by_role("link", name="load it again").click()
    wait_until_drawn(page)
    expect(page.locator("#missing")).to_be_hidden()


def test_a_file_that_never_comes_is_asked_for_a_few_times_and_not_for_ever(
    controller: PlayedController, open_page: Open
) -> None:
    page = open_page("about:blank")
    page.clock.install()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/page/views/timeline.js", lambda route: route.abort("timedout"))
    page.goto(controller.address)
    for tries in ("2", "3"):
        page.wait_for_function(f"sessionStorage.getItem('dgc-loaded-again') === '{tries}'")
        expect(page.get_by_role("alert")).to_contain_text("install the controller anew")
        expect(page.get_by_text("asked for again by itself")).to_be_visible()
        expect(page.get_by_text("was asked for a few times")).to_be_hidden()
        with page.expect_event("requestfailed"):
            page.clock.run_for(25_000)
    expect(page.get_by_text("was asked for a few times")).to_be_visible()
    expect(page.get_by_text("asked for again by itself")).to_be_hidden()
    page.clock.run_for(3_600_000)
    assert sum("timeline.js" in url for url in asked) == 4
    # Who loads it by hand is told at once, and once it has come whole it is tried anew.
    page.get_by_role("link", name="load it again").click()
    expect(page.get_by_role("alert")).to_contain_text("did not come")
    page.clock.run_for(3_600_000)
    assert sum("timeline.js" in url for url in asked) == 5
    page.unroute_all()
    page.get_by_role("link", name="load it again").click()
    wait_until_drawn(page)
    assert page.evaluate("sessionStorage.getItem('dgc-loaded-again')") is None


@pytest.mark.parametrize("lost", ["views/timeline.js", "style/base.css"])
def test_a_file_of_the_page_that_was_lost_once_is_fetched_again(
    controller: PlayedController, open_page: Open, lost: str
) -> None:
    page = open_page("about:blank")
    page.route(f"**/page/{lost}", lambda route: route.abort("connectionreset"), times=1)
    page.goto(controller.address)
    wait_until_drawn(page)
    expect(page.locator("#missing")).to_be_hidden()


def test_a_page_whose_worker_does_not_come_has_a_stream_of_its_own(
    controller: PlayedController, open_page: Open
) -> None:
    page = open_page("about:blank")
    # As where a browser never begins it: nothing is said, and no error is told.
    page.add_init_script(
        "globalThis.said = [];"
        "globalThis.SharedWorker = class {"
        "  port = { postMessage({ what }) { said.push(what); }, onmessage: null }; };"
    )
    page.goto(controller.address)
    wait_until_drawn(page)
    expect(page.locator(".age")).to_contain_text("live")
    # Should it come late, it has to know of a token that was given meanwhile.
    page.evaluate("async () => (await import('/page/live.js')).stream.current.restart()")
    assert page.evaluate("said") == ["join", "restart"]


def test_a_page_waits_longer_for_a_controller_that_is_late_each_time(open_page: Open) -> None:
    """All attempts would end alike where each is given up before its answer comes."""
    with PlayedController(PlayedNetwork(small_grid(), 2)) as played:
        played.delay(5.0)
        page = open_page(played.address)
        wait_until_drawn(page)
