"""The page over a daemon with nine routers: what is asked for there is shown before, and happens."""

import time

from playwright.sync_api import Locator, Page, Route, expect

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


def test_a_click_on_what_was_just_typed_does_it(
    open_page: Open, address: str, client: PowerClient
) -> None:
    number = circuit(client, "load5", 2e6)
    page = open_page(f"{address}#/circuit/{number}")
    wait_until_drawn(page)
    page.keyboard.press("c")
    page.keyboard.type("3 MW")
    page.get_by_role("dialog").get_by_role("button", name="Change to 3.00 MW").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
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


def test_a_cloud_takes_a_part_of_a_source_and_what_it_took_is_back_once_it_is_cleared(
    open_page: Open, address: str, client: PowerClient, options: emulator.EmulationOptions
) -> None:
    number = circuit(client, "load3", 4e6, "source1")
    page = open_page(f"{address}#/source/source1")
    wait_until_drawn(page)
    card = page.get_by_role("region", name="source1")
    card.get_by_role("button", name="Cloud…").click()
    dialog = page.get_by_role("dialog")
    come = dialog.get_by_role("button", name="Let it come")
    expect(dialog).to_contain_text("9.00 MW are left of 15.0 MW")
    expect(dialog).to_contain_text("nothing is short")
    dialog.get_by_label("Left").fill("120 %")
    expect(dialog).to_contain_text("What is left is a share, such as 60 %.")
    expect(come).to_be_disabled()
    dialog.get_by_label("Left").fill("10 %")
    expect(dialog).to_contain_text("1.50 MW are left of 15.0 MW")
    expect(dialog.get_by_text("are short")).to_be_visible()
    assert violations(page) == []
    try:
        come.click()
        expect(_said(page, "A cloud is over source1.")).to_be_visible()
        expect(_figure(card, "Has")).to_have_text("1.50 MW")
        expect(card.get_by_role("listitem")).to_contain_text("degraded")
        card.get_by_role("link", name=f"{number} to load3").click()
        cut_short = page.get_by_text("of 4.00 MW since")
        expect(cut_short).to_contain_text("source1 has no more for it")
        page.go_back()
        card.get_by_role("button", name="Clear…").click()
        dialog.get_by_role("button", name="Clear source1").click()
        expect(_said(page, "source1 has all its power back.")).to_be_visible()
    finally:
        emulator.send_command(options.run_dir, "clear", "source1")
    expect(_figure(card, "Has")).to_have_text("15.0 MW")
    expect(card.get_by_role("listitem")).to_contain_text("active")
    card.get_by_role("link", name=f"{number} to load3").click()
    expect(page.get_by_text("source short source1")).to_be_visible()
    expect(cut_short).to_have_count(0)


def test_a_cloud_passes_by_itself_after_as_long_as_was_said(
    open_page: Open, address: str, client: PowerClient, options: emulator.EmulationOptions
) -> None:
    number = circuit(client, "load3", 4e6, "source1")
    page = open_page(f"{address}#/source/source1")
    wait_until_drawn(page)
    card = page.get_by_role("region", name="source1")
    card.get_by_role("button", name="Cloud…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Left").fill("0")
    dialog.get_by_label("Passes after").fill("soon")
    expect(dialog).to_contain_text("How long is no number of seconds.")
    dialog.get_by_label("Passes after").fill("0.5")
    try:
        dialog.get_by_role("button", name="Let it come").click()
        expect(dialog).to_have_count(0)
        card.get_by_role("link", name=f"{number} to load3").click()
        expect(page.get_by_text("source short source1")).to_be_visible()
        expect(page.locator(".card .state").first).to_contain_text("active")
        page.go_back()
        expect(_figure(card, "Has")).to_have_text("15.0 MW")
    finally:
        emulator.send_command(options.run_dir, "clear", "source1")


def test_an_unplugged_load_keeps_what_is_reserved_for_it_and_takes_it_once_it_is_plugged_in(
    open_page: Open, address: str, client: PowerClient, options: emulator.EmulationOptions
) -> None:
    number = circuit(client, "load3", 4e6)
    page = open_page(f"{address}#/load/load3")
    wait_until_drawn(page)
    card = page.get_by_role("region", name="load3")
    card.get_by_role("button", name="Unplug…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("which stays reserved for it")
    assert violations(page) == []
    try:
        dialog.get_by_role("button", name="Unplug load3").click()
        expect(_said(page, "load3 takes nothing.")).to_be_visible()
        expect(_figure(card, "Reserved")).to_have_text("4.00 MW")
        expect(card.get_by_role("listitem")).to_contain_text("active")
        card.get_by_role("link", name=f"{number} to load3").click()
        missing = page.locator(".card .missing")
        expect(missing).to_contain_text("refused by its load")
        expect(page.get_by_text("sink refused load3")).to_be_visible()
        expect(missing).not_to_contain_text("interruption")
        page.go_back()
        card.get_by_role("button", name="Plug in…").click()
        dialog.get_by_role("button", name="Plug in load3").click()
        expect(_said(page, "load3 takes its power again.")).to_be_visible()
    finally:
        emulator.send_command(options.run_dir, "plug", "load3")
    card.get_by_role("link", name=f"{number} to load3").click()
    # Counted once power is there again.
    expect(missing).to_contain_text("1 interruption")


def _said(page: Page, text: str) -> Locator:
    return page.get_by_role("status").filter(has_text=text)


def _figure(card: Locator, name: str) -> Locator:
    return card.get_by_text(name, exact=True).locator("xpath=../dd")


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
