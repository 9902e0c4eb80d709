"""The page over a daemon with nine routers: what is asked for there is shown before, and happens."""

import time

from playwright.sync_api import Route, expect

from digitalgrid.client import PowerClient, power_request
from digitalgrid.v1 import northbound_pb2 as pb
from tests.browser.conftest import Open, violations, wait_until_drawn
from tests.browser.operated import circuit, press_on
from tests.support.patience import wait_for
from topologies import emulator

# Lines that a dialog shows on the map before it acts.
PREVIEWED = """async () => [...((await import('/page/view_state.js')).preview.value?.lines.keys() ?? [])].sort()"""


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
    assert violations(page) == []
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


def test_a_circuit_is_changed_by_keys_alone(
    open_page: Open, address: str, client: PowerClient
) -> None:
    number = circuit(client, "load5", 2e6)
    page = open_page(f"{address}#/circuit/{number}")
    wait_until_drawn(page)
    page.keyboard.press("c")
    page.keyboard.type("3 MW")
    expect(page.get_by_role("dialog").get_by_text("load5 gets 1.00 MW more")).to_be_visible()
    lines = sorted(each.link_id for each in client.get_circuit(number).links)
    assert page.evaluate(PREVIEWED) == lines
    press_on(page, "Change to 3.00 MW")
    wait_for(lambda: client.get_circuit(number).power_w == 3e6)


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
    assert violations(page) == []
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


def test_moves_that_pay_are_shown_with_their_ways_before_they_are_made(
    open_page: Open, address: str, client: PowerClient, options: emulator.EmulationOptions
) -> None:
    number = circuit(client, "load5", 7e6)
    best = client.get_circuit(number)
    line = best.links[-1].link_id
    emulator.send_command(options.run_dir, "cut", line)
    wait_for(lambda: line not in _lines(client, number))
    emulator.send_command(options.run_dir, "restore", line)
    wait_for(lambda: all(link.up for link in client.get_topology().links))
    wait_for(lambda: client.get_circuit(number).state == pb.CIRCUIT_STATE_ACTIVE)
    page = open_page(f"{address}#/?do=reoptimise")
    wait_until_drawn(page)
    dialog = page.get_by_role("dialog", name="Reoptimise")
    button = dialog.get_by_role("button", name="Move them")
    expect(button).to_be_disabled()
    move = dialog.get_by_role("group", name="Moves").get_by_role("listitem")
    # One that would not be made is told of, and that is all.
    page.route("**/OptimisationService/Reoptimise", _unfit, times=1)
    dialog.get_by_role("button", name="Preview").press("Enter")
    expect(move).to_contain_text("does not fit")
    expect(dialog.get_by_text("Moves", exact=True).locator("xpath=../dd")).to_have_text("0")
    expect(button).to_be_disabled()
    assert page.evaluate(PREVIEWED) == []
    dialog.get_by_role("button", name="Preview").press("Enter")
    expect(move).to_contain_text(f"{number} to load5")
    now = client.get_circuit(number)
    for ways in (best, now):
        expect(move).to_contain_text(" → ".join(ways.router_ids))
    assert page.evaluate(PREVIEWED) == sorted(each.link_id for each in best.links)
    assert violations(page) == []
    assert _lines(client, number) == [each.link_id for each in now.links]
    press_on(page, "Move them")
    wait_for(lambda: _lines(client, number) == [each.link_id for each in best.links])
    assert page.evaluate(PREVIEWED) == []


def _unfit(route: Route) -> None:
    """What the daemon says, had something else come between."""
    answer = route.fetch()
    told = answer.json()
    for move in told["moves"]:
        move["reason"] = "does not fit beside what stands now"
    route.fulfill(response=answer, json=told)


def _lines(client: PowerClient, number: int) -> list[str]:
    return [each.link_id for each in client.get_circuit(number).links]


def test_a_router_is_killed_and_started_again_from_its_card(
    open_page: Open, address: str, client: PowerClient
) -> None:
    page = open_page(f"{address}#/router/r7")
    wait_until_drawn(page)
    card = page.get_by_role("region", name="r7")
    card.get_by_role("button", name="Kill…").click()
    expect(page.get_by_role("dialog")).to_contain_text("No circuit is concerned")
    press_on(page, "Kill r7")
    expect(page.locator(".alarm")).to_contain_text("Router r7 is gone")
    card.get_by_role("button", name="Restart…").click()
    press_on(page, "Restart r7")
    expect(page.locator(".alarm")).to_have_count(0)
    expect(card.locator(".state").first).to_contain_text("connected")


def test_a_refusal_says_why_and_what_to_do(
    open_page: Open, address: str, client: PowerClient
) -> None:
    page = open_page(f"{address}#/?do=request&sink=load7&power=900MW")
    expect(page.locator(".refusal")).to_contain_text("load7")
    assert violations(page) == []
    expect(page.get_by_role("button", name="Request", exact=True)).to_be_disabled()


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
