"""The page over a daemon with nine routers: what happens is seen by whoever looks, and by nobody else."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, expect

from digitalgrid.client import PowerClient, power_request
from digitalgrid.v1 import northbound_pb2 as pb
from tests.browser import pictures
from tests.browser.conftest import PHONE, Open, violations, wait_until_drawn
from tests.browser.operated import circuit, press_on
from tests.support.patience import wait_for
from topologies import emulator


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
    assert violations(page) == []
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
    # Of several it is said how many are down for which reason.
    emulator.send_command(options.run_dir, "silence", "r7-r8")
    expect(page.locator(".alarm")).to_contain_text("carrier lost: 1 line, silent: 1 line")
    emulator.send_command(options.run_dir, "heal", "r7-r8")
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
