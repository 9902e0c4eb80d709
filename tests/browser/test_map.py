"""The map over a played controller: what stands where, what is told of it, and that it rests while nothing moves."""

from playwright.sync_api import expect

from benchmarks.page_feed import PlayedNetwork
from tests.browser.conftest import Open, wait_until_drawn
from tests.browser.played import PlayedController, small_grid

# Where symbols of the scene, and the middle of a line, are on the screen.
PLACES = """async (line) => {
    const { toScreen } = await import('/page/camera.js');
    const { camera, painter, geometry, host } = digitalgrid.mapper.current;
    const { left, top } = host.getBoundingClientRect();
    const at = (x, y) => {
        const [px, py] = toScreen(camera, painter.size, x, y);
        return [left + px, top + py];
    };
    const { symbols, zoom } = painter.scene;
    const { xy } = geometry.byId.get(line);
    return {
        ...Object.fromEntries(symbols.map(({ id, x, y }) => [id, at(x / zoom, -y / zoom)])),
        [line]: at((xy[0] + xy.at(-2)) / 2, (xy[1] + xy.at(-1)) / 2),
    };
}"""


def test_whatever_the_pointer_is_on_is_told_in_a_few_words(
    controller: PlayedController, open_page: Open
) -> None:
    page = open_page(controller.address, reduced_motion="reduce")
    wait_until_drawn(page)
    places = page.evaluate(PLACES, "b-c")
    words = {
        "a": "connected",
        "pv": "of 4.00 MW",
        "town": "reserved of 2.00 MW",
        "b-c": "of 300 A",
    }
    for thing, told in words.items():
        page.mouse.move(*places[thing])
        expect(page.locator(".tip")).to_contain_text(thing)
        expect(page.locator(".tip")).to_contain_text(told)
        # And pressed, it is selected.
        page.mouse.click(*places[thing])
        expect(page.locator(".card h2")).to_have_text(thing)


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
