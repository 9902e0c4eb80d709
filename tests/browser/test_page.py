"""The page over a daemon with nine routers: what happens is seen, and what is asked for happens."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from digitalgrid.client import PowerClient, power_request
from digitalgrid.v1 import northbound_pb2 as pb
from tests.browser import pictures
from tests.browser.conftest import PHONE, Open, violations, wait_until_drawn
from tests.support.networks import network
from tests.support.patience import wait_for
from tests.support.plugins import install_example
from topologies import emulator


@pytest.fixture(scope="module")
def options(
    browser: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[emulator.EmulationOptions]:
    # With a routing algorithm of others beside our own.
    site = tmp_path_factory.mktemp("site")
    install_example(site, "greedy")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patched:
            patched.syspath_prepend(site)
            running = stack.enter_context(network(tmp_path_factory.mktemp("emulation") / "run"))
        yield running


@pytest.fixture
def address(options: emulator.EmulationOptions) -> str:
    return f"http://{options.page}/"


@pytest.fixture
def client(options: emulator.EmulationOptions) -> Iterator[PowerClient]:
    with PowerClient(options.northbound) as connected:
        yield connected
        for circuit in connected.list_circuits().circuits:
            connected.release_circuit(circuit.circuit_id)
        wait_for(lambda: not list(connected.list_circuits().circuits))


def circuit(client: PowerClient, sink: str, power_w: float) -> int:
    """The number of a circuit that has power."""
    [made] = client.request_power(power_request(sink, power_w)).circuits
    wait_for(lambda: client.get_circuit(made.circuit_id).state == pb.CIRCUIT_STATE_ACTIVE)
    return made.circuit_id


def test_power_is_requested_with_a_preview_by_keys_alone(
    open_page: Open, address: str, client: PowerClient
) -> None:
    page = open_page(address)
    wait_until_drawn(page)
    page.keyboard.press("n")
    page.get_by_role("combobox", name="Load").fill("load5")
    page.keyboard.press("Tab")
    page.keyboard.type("2 MW")
    # The preview comes by itself; what is not shown yet is not done, so another figure needs another one.
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Injected")).to_be_visible()
    page.keyboard.type("0")
    expect(page.get_by_role("button", name="Request", exact=True)).to_be_disabled()
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Request 2.00 MW").press("Enter")
    expect(page.get_by_role("heading", name="Circuit")).to_be_visible()
    expect(page.locator(".card .state")).to_contain_text("active")
    [made] = client.list_circuits().circuits
    assert (made.sink_id, made.power_w) == ("load5", 2e6)
    page.keyboard.press("Escape")
    expect(page.locator(".card")).to_have_count(0)


def test_what_a_standby_holds_is_drawn_still_and_otherwise_than_what_flows(
    open_page: Open, address: str, client: PowerClient
) -> None:
    [made] = client.request_power(power_request("load5", 2e6, protect="link")).circuits
    wait_for(lambda: client.get_circuit(made.circuit_id).protection == pb.PROTECTION_PROTECTED)
    protected = client.get_circuit(made.circuit_id)
    page = open_page(address)
    wait_until_drawn(page)
    # Strokes of lines that are up are whole, but for those of standbys.
    page.wait_for_function(
        """([flowing, standing]) => {
            const { flows, rest } = digitalgrid.mapper.current.painter.scene;
            const still = rest.filter(({ dash }) => dash).flatMap(({ lines }) => lines).length;
            return flows.flatMap(({ lines }) => lines).length === flowing && still === standing;
        }""",
        arg=[len(protected.links), len(protected.standby.links)],
    )
    page.get_by_role("tab", name="Lines").click()
    page.locator(f"#row-line-{protected.standby.links[0].link_id}").click()
    expect(page.locator(".card")).to_contain_text("for standbys and holds")


def press_on(page: Page, name: str) -> None:
    """Goes by Tab to the button of that name, and presses it; nothing but keys."""
    button = page.get_by_role("dialog").get_by_role("button", name=name, exact=True)
    expect(button).to_be_enabled()
    focused = "(button) => document.activeElement === button"
    for _ in range(20):
        if button.evaluate(focused):
            break
        page.keyboard.press("Tab")
    assert button.evaluate(focused), f"Tab does not lead to {name!r}"
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_circuit_is_released_by_keys_alone(
    open_page: Open, address: str, client: PowerClient
) -> None:
    number = circuit(client, "load5", 2e6)
    page = open_page(address)
    wait_until_drawn(page)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name=f"Circuit {number}")).to_be_visible()
    page.keyboard.press("x")
    expect(page.get_by_role("dialog").get_by_text("load5 loses 2.00 MW")).to_be_visible()
    press_on(page, "Release")
    wait_for(lambda: not list(client.list_circuits().circuits))


def test_a_hold_is_shown_and_activated(open_page: Open, address: str, client: PowerClient) -> None:
    until_unix_ns = time.time_ns() + 3600 * 10**9
    asked = power_request("load5", 2e6, hold_ms=600_000, until_unix_ns=until_unix_ns)
    [made] = client.request_power(asked).circuits
    page = open_page(f"{address}#/circuit/{made.circuit_id}")
    wait_until_drawn(page)
    card = page.locator(".card")
    expect(card.get_by_text("held, kept until")).to_be_visible()
    expect(card.get_by_text("Ends by itself")).to_be_visible()
    expect(card.get_by_text(made.owner)).to_be_visible()
    # Nothing flows by it, is given or comes: its line has ties that stand still, its load is an empty ring.
    scene = """() => {
        const { flows, rest, lit, symbols } = digitalgrid.mapper.current.painter.scene;
        const of = (id) => symbols.find((symbol) => symbol.id === id);
        const still = [...rest, ...lit].filter(({ dash }) => dash).flatMap(({ lines }) => lines).length;
        const { filled, fates } = of('load5');
        return [flows.flatMap(({ lines }) => lines).length, still, of('source1').filled, filled, fates.moving];
    }"""
    lines = len(made.links)
    assert page.evaluate(scene) == [0, lines, 0, 0, 0]
    card.get_by_role("button", name="Activate").press("Enter")
    expect(page.get_by_role("dialog").get_by_text("load5 gets 2.00 MW")).to_be_visible()
    press_on(page, "Activate")
    expect(card.locator(".state")).to_contain_text("active")
    expect(card.get_by_role("button", name="Activate")).to_have_count(0)
    page.wait_for_function(
        f"() => {{ const told = ({scene})(); return told[0] === {lines} && told[1] === 0; }}"
    )
    assert page.evaluate(scene)[3] > 0
    expect(card.get_by_text("activated", exact=True)).to_be_visible()


def test_a_line_is_drained_by_keys_alone(
    open_page: Open, address: str, client: PowerClient
) -> None:
    number = circuit(client, "load5", 2e6)
    line = client.get_circuit(number).links[0].link_id
    page = open_page(address)
    wait_until_drawn(page)
    page.keyboard.press("2")
    page.keyboard.press("/")
    page.keyboard.type(line)
    expect(page.locator(".filter .count")).to_have_text("1")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("heading", name=line, exact=True)).to_be_visible()
    page.keyboard.press("d")
    # Who would be concerned is seen before it is done.
    expect(page.get_by_role("dialog").get_by_text(f"{number} to load5")).to_be_visible()
    try:
        press_on(page, f"Drain {line}")
        wait_for(lambda: _admin(client, line) == pb.ADMIN_STATE_DRAINED)
        assert line not in [each.link_id for each in client.get_circuit(number).links]
    finally:
        client.undrain(line)


def _admin(client: PowerClient, line: str) -> int:
    (link,) = [each for each in client.get_topology().links if each.link_id == line]
    return link.admin.state


def test_loads_are_dispatched_by_keys_alone(
    open_page: Open, address: str, client: PowerClient
) -> None:
    page = open_page(address)
    wait_until_drawn(page)
    page.keyboard.press("Control+k")
    page.keyboard.type("dispatch")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Dispatch")).to_be_visible()
    page.keyboard.type("load5 load3")
    expect(page.get_by_role("button", name="Dispatch", exact=True)).to_be_disabled()
    page.keyboard.press("Enter")
    press_on(page, "Dispatch")
    wait_for(lambda: len(list(client.list_circuits().circuits)) >= 2)
    assert {each.sink_id for each in client.list_circuits().circuits} == {"load3", "load5"}


def test_a_refusal_says_why_and_what_to_do(
    open_page: Open, address: str, client: PowerClient
) -> None:
    page = open_page(f"{address}#/?do=request&sink=load7&power=900MW")
    expect(page.locator(".refusal")).to_contain_text("load7")
    expect(page.get_by_role("button", name="Request", exact=True)).to_be_disabled()


def test_a_silent_line_says_who_does_not_hear_whom_and_is_healed_from_its_card(
    open_page: Open, address: str, options: emulator.EmulationOptions
) -> None:
    emulator.send_command(options.run_dir, "silence", "r7-r8")
    page = open_page(f"{address}#/line/r7-r8")
    wait_until_drawn(page)
    card = page.get_by_role("region", name="r7-r8")
    expect(card).to_contain_text("r7 and r8 hear nothing of each other")
    card.get_by_role("button", name="Heal…").click()
    page.get_by_role("dialog").get_by_role("button", name="Heal r7-r8").click()
    expect(card).not_to_contain_text("hear nothing")
    expect(card).to_contain_text("up")


def test_a_cut_line_is_seen_and_its_circuit_moves(
    open_page: Open, address: str, client: PowerClient, options: emulator.EmulationOptions
) -> None:
    number = circuit(client, "load5", 7e6)
    line = client.get_circuit(number).links[-1].link_id
    page = open_page(f"{address}#/line/{line}")
    wait_until_drawn(page)
    page.get_by_role("button", name="Cut…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".tally")).to_contain_text("1 moves")
    dialog.get_by_role("button", name=f"Cut {line}").click()
    expect(page.locator(".alarm")).to_contain_text(f"{line} is down")
    expect(page.locator(".alarm")).to_contain_text("no carrier")
    expect(page.get_by_role("region", name=line)).to_contain_text("no carrier")
    page.wait_for_function(
        "(line) => digitalgrid.mapper.current.painter.scene.badges.some(({ id }) => id === line)",
        arg=line,
    )
    wait_for(lambda: client.get_circuit(number).state == pb.CIRCUIT_STATE_ACTIVE)
    assert line not in {each.link_id for each in client.get_circuit(number).links}
    page.keyboard.press("6")
    expect(page.get_by_role("list", name="Events")).to_contain_text(line)
    # Who opens the page only now sees the map before the cut, and the cut from its mark on.
    later = open_page(f"{address}#/?list=events")
    wait_until_drawn(later)
    cut = later.get_by_role("listitem").filter(has_text=f"line {line} is down").first
    cut.get_by_role("button", name="show then").click()
    expect(later.locator(".then-note")).to_contain_text("The map as it was")
    is_up = "(line) => digitalgrid.mapper.current.tables().links.get(line).up"
    assert not later.evaluate(is_up, line)
    later.evaluate(
        "() => { location.hash = location.hash.replace(/at=(\\d+)/, (_, ms) => `at=${ms - 1}`); }"
    )
    later.wait_for_function(is_up, arg=line)
    expect(later.locator(".then-note")).to_contain_text("The map as it was")
    emulator.send_command(options.run_dir, "restore", line)
    expect(page.locator(".alarm")).to_have_count(0)


def test_what_each_routing_algorithm_would_choose_is_shown_side_by_side(
    open_page: Open, address: str, client: PowerClient
) -> None:
    number = circuit(client, "load5", 2e6)
    page = open_page(f"{address}#/circuit/{number}")
    page.get_by_role("button", name="Which other ways are there now?").click()
    compared = page.get_by_role("table").filter(has_text="Algorithm")
    for name in ("greedy", "least-loss"):
        row = compared.get_by_role("row").filter(has_text=name)
        expect(row).to_contain_text("→")
        expect(row).to_contain_text("loses")
    assert violations(page) == []


def test_two_tabs_release_the_same_circuit_and_both_are_told_that_it_is(
    open_page: Open, address: str, client: PowerClient
) -> None:
    number = circuit(client, "load8", 1e6)
    tabs = [open_page(f"{address}#/circuit/{number}?do=release&id={number}") for _ in range(2)]
    for tab in tabs:
        expect(tab.get_by_role("dialog")).to_contain_text("load8 loses 1.00 MW")
    for tab in tabs:
        button = tab.get_by_role("button", name="Release", exact=True)
        if button.is_enabled():
            button.click()
    for tab in tabs:
        expect(tab.get_by_role("status").filter(has_text="is released")).to_be_visible()


def test_what_was_done_without_an_answer_is_not_done_again_by_who_asks_again(
    open_page: Open, address: str, client: PowerClient
) -> None:
    def unheard(route: Route) -> None:
        route.fetch()
        route.abort()

    page = open_page(f"{address}#/?do=request&sink=load8&power=1MW")
    page.route("**/PowerService/RequestPower", unheard, times=1)
    button = page.get_by_role("dialog").get_by_role("button", name="Request 1.00 MW")
    button.click()
    expect(page.get_by_role("dialog")).to_contain_text("does not answer")
    assert [each.sink_id for each in client.list_circuits().circuits] == ["load8"]
    button.click()
    expect(page.get_by_role("heading", name="Circuit")).to_be_visible()
    assert [each.sink_id for each in client.list_circuits().circuits] == ["load8"]


def test_after_a_kill_of_the_daemon_the_page_goes_on_by_itself(
    open_page: Open, address: str, client: PowerClient, options: emulator.EmulationOptions
) -> None:
    number = circuit(client, "load3", 1e6)
    page = open_page(f"{address}#/circuit/{number}")
    expect(page.locator(".card .state")).to_contain_text("active")
    emulator.send_command(options.run_dir, "kill-controller")
    expect(page.locator(".lost")).to_contain_text("does not answer")
    # What was known stays in sight, and is said to be old.
    expect(page.locator(".card .state")).to_contain_text("active")
    expect(page.locator(".age")).to_contain_text("old")
    emulator.send_command(options.run_dir, "restart-controller")
    expect(page.locator(".lost")).to_have_count(0)
    expect(page.locator(".age")).to_contain_text("live")
    expect(page.locator(".card .state")).to_contain_text("active")


def test_everything_is_found_and_every_view_is_a_url(
    open_page: Open, address: str, client: PowerClient
) -> None:
    page = open_page(address)
    wait_until_drawn(page)
    page.keyboard.press("Control+k")
    page.keyboard.type("r3-r5")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="r3-r5")).to_be_visible()
    page.keyboard.press("2")
    page.keyboard.press("/")
    page.keyboard.type("r1-")
    expect(page.locator(".filter .count")).to_have_text("2")
    again = open_page(page.url)
    expect(again.get_by_role("heading", name="r3-r5")).to_be_visible()
    expect(again.locator(".filter .count")).to_have_text("2")


def test_pictures_of_the_network_are_of_this_page(
    open_page: Open,
    address: str,
    client: PowerClient,
    options: emulator.EmulationOptions,
    pytestconfig: pytest.Config,
) -> None:
    if not pictures.are_wanted(pytestconfig, "page.png", "page-phone.png"):
        return
    client.request_power(power_request("load8", 2e6, protect="link"))
    for sink, power_w in (
        ("load3", 4e6),
        ("load4", 3e6),
        ("load6", 5e6),
        ("load9", 4e6),
    ):
        circuit(client, sink, power_w)
    number = circuit(client, "load5", 7e6)
    page = open_page(f"{address}#/circuit/{number}", (1280, 800))
    phone = open_page(address, PHONE)
    wait_until_drawn(page)
    line = client.get_circuit(number).links[-1].link_id
    # A curve to look at.
    time.sleep(30)
    emulator.send_command(options.run_dir, "cut", line)
    expect(page.locator(".alarm")).to_contain_text("down")
    time.sleep(8)
    pictures.take(page, "page.png")
    pictures.take(phone, "page-phone.png")
    emulator.send_command(options.run_dir, "restore", line)


def test_a_router_is_dragged_and_stands_there_for_everybody(open_page: Open, address: str) -> None:
    page = open_page(address)
    wait_until_drawn(page)
    placed = "() => digitalgrid.store.tables.routers.get('r7')?.at?.join()"
    # A controller that was started again a moment ago knows it when it has come back.
    page.wait_for_function(placed)
    before = page.evaluate(placed)
    page.get_by_role("button", name="Arrange").click()
    x, y = page.evaluate(
        """async () => {
            const { toScreen } = await import('/page/camera.js');
            const { camera, painter, geometry, host } = digitalgrid.mapper.current;
            const { x, y } = geometry.nodes.get('r7');
            const box = host.getBoundingClientRect();
            const at = toScreen(camera, painter.size, x, y);
            return [box.left + at[0], box.top + at[1]];
        }"""
    )
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 30, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Save 1 place").click()
    expect(page.get_by_role("button", name="Arrange")).to_be_visible()
    page.wait_for_function(f"(before) => ({placed})() !== before", arg=before)
    other = open_page(address)
    wait_until_drawn(other)
    assert other.evaluate(placed) == page.evaluate(placed)


@pytest.fixture
def stranger() -> Iterator[str]:
    """The address of another program's page."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<p>a page of strangers</p>")

        def log_message(self, *_: object) -> None:
            """Nobody wants to know."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        serving.join()


def test_a_page_of_strangers_can_neither_release_a_circuit_nor_read_what_there_is(
    open_page: Open, browser: Browser, stranger: str, address: str, client: PowerClient
) -> None:
    number = circuit(client, "load5", 2e6)
    context = browser.new_context()
    try:
        page = context.new_page()
        page.route(
            "http://stranger.test/**",
            lambda route: route.fulfill(
                content_type="text/html", body="<p>a page of strangers</p>"
            ),
        )
        page.goto("http://stranger.test/")
        told = page.evaluate(
            """async ([address, number]) => {
                const body = JSON.stringify({circuit_id: number});
                const asked = [
                    {method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain"}, body},
                    {method: "POST", headers: {"Content-Type": "application/json"}, body},
                ];
                const call = `${address}api/v1/call/PowerService/ReleaseCircuit`;
                const said = [];
                for (const each of asked) {
                    // The first is sent, and refused; the second a browser does not even send.
                    said.push(await fetch(call, each).then((answer) => answer.type, () => "kept"));
                }
                said.push(await fetch(`${address}api/v1/history`).then(() => "read", () => "kept"));
                return said;
            }""",
            [address, number],
        )
        assert told == ["kept", "kept", "kept"]
    finally:
        context.close()
    assert client.get_circuit(number).state == pb.CIRCUIT_STATE_ACTIVE
    # The page itself may.
    page = open_page(f"{address}#/circuit/{number}")
    wait_until_drawn(page)
    page.keyboard.press("x")
    press_on(page, "Release")
    wait_for(lambda: not list(client.list_circuits().circuits))
