"""The page over a played controller: hostile names, a stream that stalls, and what is read by everybody everywhere."""

from collections.abc import Iterator
from time import time_ns
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from benchmarks.page_feed import COLUMNS, PlayedNetwork, event
from digitalgrid.gridfile import Grid, Link, Load, Router, Source
from tests.browser.conftest import DESK, PHONE, Open, violations, wait_until_drawn
from tests.browser.played import PlayedController
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
    "drain": "#/?do=drain&id=a-b",
    "what if": "#/?do=whatif&cut=a-b",
    "a fault": "#/?do=fault&verb=cut&id=a-b",
    "a cloud": "#/?do=cloud&id=pv",
    "dispatch": "#/?do=dispatch",
    "reoptimise": "#/?do=reoptimise",
    "the map as it was": "#/?at=1&list=events",
}


def small_grid() -> Grid:
    return Grid(
        name="small",
        routers=tuple(Router(each, 0.97) for each in "abc"),
        links=(
            Link("a-b", "a", "b", 0.5, 20_000.0, 300.0),
            Link("b-c", "b", "c", 0.5, 20_000.0, 300.0),
            Link("a-c", "a", "c", 0.5, 20_000.0, 300.0),
        ),
        sources=(Source("pv", "a", 4e6),),
        loads=(Load("town", "b", 2e6), Load("mill", "c", 1e6)),
    )


@pytest.fixture(scope="module")
def controller() -> Iterator[PlayedController]:
    with PlayedController(PlayedNetwork(small_grid(), 2)) as played:
        yield played


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


def test_the_map_is_still_while_nothing_moves(open_page: Open) -> None:
    with PlayedController(PlayedNetwork(small_grid(), 2)) as played:
        page = open_page(played.address, reduced_motion="reduce")
        wait_until_drawn(page)
        frames = "() => digitalgrid.mapper.current.painter.frames"
        # Fonts and sizes have come.
        page.wait_for_function("() => document.fonts.status === 'loaded'")
        page.wait_for_function("() => performance.now() > 1500")
        before = page.evaluate(frames)
        seconds = page.evaluate("() => digitalgrid.store.history.seconds.length")
        page.wait_for_function(
            "(had) => digitalgrid.store.history.seconds.length > had + 1", arg=seconds
        )
        assert page.evaluate(frames) == before


def selected_id(page: Page) -> str:
    row = page.locator("[role=row][aria-selected=true] [role=gridcell]").first
    return row.inner_text()


def test_a_network_without_places_looks_the_same_everywhere_and_a_newcomer_moves_nobody(
    controller: PlayedController, open_page: Open
) -> None:
    page = open_page(controller.address)
    drawn = """async ([order, newcomer]) => {
        const { placesOf } = await import('/page/layout.js');
        const links = [['a', 'b'], ['b', 'c'], ['c', 'd'], ['d', 'a'], ['b', 'd']]
            .map(([a_router_id, b_router_id]) => ({ a_router_id, b_router_id }));
        const routers = [...order].map((router_id) => ({ router_id }));
        const places = placesOf(routers, links, new Map(), new Map());
        if (!newcomer) return Object.fromEntries(places);
        links.push({ a_router_id: 'a', b_router_id: 'e' });
        return Object.fromEntries(placesOf([...routers, { router_id: 'e' }], links, places, new Map()));
    }"""
    first = page.evaluate(drawn, ["abcd", False])
    assert page.evaluate(drawn, ["dcba", False]) == first
    later = page.evaluate(drawn, ["abcd", True])
    assert {name: later[name] for name in first} == first
    assert len({tuple(place) for place in later.values()}) == len(later)


def test_routers_are_as_far_apart_as_they_stand_however_many_lines_join_them(
    controller: PlayedController, open_page: Open
) -> None:
    """Symbols are as large as that leaves room for: a mesh's would cover its lines."""
    page = open_page(controller.address)
    spacing = page.evaluate(
        """async () => {
            const { geometryOf } = await import('/page/geometry.js');
            const ids = Array.from({ length: 400 }, (_, at) => `r${at}`);
            const places = new Map(ids.map((id, at) => [id, [at % 20, Math.floor(at / 20)]]));
            const routers = new Map(ids.map((id) => [id, { router_id: id, efficiency: 0.97 }]));
            const links = new Map(ids.flatMap((id, at) => [1, 20, 21].map((step) => {
                const to = ids[(at + step) % 400];
                return [`${id}-${to}`, { link_id: `${id}-${to}`, a_router_id: id, b_router_id: to }];
            })));
            const none = new Map();
            return geometryOf({ routers, links, loads: none, sources: none }, places).spacing;
        }"""
    )
    assert 0.9 < spacing <= 1


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


def test_no_router_has_its_name_on_a_line_of_its_own_where_there_is_another_place(
    controller: PlayedController, open_page: Open
) -> None:
    page = open_page(controller.address)
    wait_until_drawn(page)
    crossed = page.evaluate(
        """() => {
            const { scene } = digitalgrid.mapper.current.painter;
            const { geometry } = digitalgrid.mapper.current;
            const on = (label, x, y) => x > label.x && x < label.x + 5 * label.text.length && Math.abs(y - label.y) < 5;
            const found = [];
            for (const label of scene.labels) {
                const node = geometry.nodes.get(label.text);
                if (!node) continue;
                for (const angle of node.angles) {
                    for (let far = 6; far < 60; far += 2) {
                        const x = node.x * scene.zoom + far * Math.cos(angle);
                        const y = -node.y * scene.zoom - far * Math.sin(angle);
                        if (on(label, x, y)) found.push(label.text);
                    }
                }
            }
            return { labels: scene.labels.map((label) => label.text), found };
        }"""
    )
    assert {"a", "b", "c"} <= set(crossed["labels"])
    assert crossed["found"] == []


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
