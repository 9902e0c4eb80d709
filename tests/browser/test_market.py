"""The market on the page, over a real controller and a real exchange: a book, a trade, its bill."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from digitalgrid.market.v1 import market_pb2 as pb
from tests.browser.conftest import PHONE, Open, violations, wait_until_drawn
from tests.support.market_daemon import MarketDaemon, has_ended, market_daemon, tender
from tests.support.networks import LINE3, network
from tests.support.patience import wait_for
from topologies import emulator
from topologies.emulator.ports import free_ports


@pytest.fixture(scope="module")
def served(
    browser: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[emulator.EmulationOptions, MarketDaemon]]:
    folder = tmp_path_factory.mktemp("market")
    server = f"127.0.0.1:{free_ports(1)[0]}"
    with (
        network(folder / "run", LINE3, market=server) as options,
        market_daemon(
            *(folder, options.northbound, server),
            market={"mechanisms": ["nodal"], "interval_s": 5, "gate_s": 4},
        ) as daemon,
    ):
        with daemon.client("operator") as operator:
            # Once this is answered, whoever clears has all loaded that it takes.
            operator.preview_clearing()
        yield options, daemon


@pytest.fixture
def address(served: tuple[emulator.EmulationOptions, MarketDaemon]) -> str:
    return f"http://{served[0].page}/"


@pytest.fixture
def dgm(served: tuple[emulator.EmulationOptions, MarketDaemon]) -> MarketDaemon:
    return served[1]


def tendered(dgm: MarketDaemon, order_id: str, wh: int = 500) -> pb.Interval:
    """Of bob's sun, ann would buy some in the last interval that is open."""
    with dgm.client("bob") as bob, dgm.client("ann") as ann:
        interval = ann.market().intervals[-1].interval
        bob.create_tender(tender(pb.SIDE_SELL, "bob", interval, order_id, wh))
        ann.create_tender(tender(pb.SIDE_BUY, "ann", interval, order_id, wh))
    return interval


def traded(dgm: MarketDaemon, interval: pb.Interval) -> pb.Transaction:
    """What came of it, once it is paid."""
    with dgm.client("ann") as ann:

        def trades() -> list[pb.Transaction]:
            return [
                each
                for each in ann.list_transactions()
                if each.interval == interval and has_ended(each)
            ]

        wait_for(lambda: bool(trades()))
        return trades()[0]


def cleared(dgm: MarketDaemon) -> None:
    """Some interval was, with a price at both ends of a trade."""
    with dgm.client("ann") as ann:
        if not any(each.prices for each in ann.list_clearings(12)):
            tendered(dgm, "priced")
        wait_for(lambda: any(each.prices for each in ann.list_clearings(12)))


def on_market(open_page: Open, address: str, *, size: tuple[int, int] = (1440, 900)) -> Page:
    # Colours on their way to others have any contrast.
    page = open_page(f"{address}#/?list=market", size=size, reduced_motion="reduce")
    wait_until_drawn(page)
    return page


def test_a_tender_is_seen_in_the_book_and_its_trade_down_to_each_line_of_the_bill(
    open_page: Open, address: str, dgm: MarketDaemon
) -> None:
    page = on_market(open_page, address)
    interval = tendered(dgm, "seen")
    # Each interval has a button, which shows its book.
    page.goto(f"{address}#/?list=market&of={interval.start_unix_ns}")
    expect(page.get_by_role("img", name="Wanted 500 Wh, offered 500 Wh")).to_be_visible()
    expect(page.get_by_text("meet up to 500 Wh, at 0.1 to 0.22")).to_be_visible()
    expect(page.get_by_role("table", name="Bids")).to_contain_text("0.22")
    assert violations(page) == []
    trade = traded(dgm, interval)
    page.get_by_role("button", name="Trades").press("Enter")
    page.get_by_role("button", name="Wide table").press("Enter")
    row = page.locator(f"#row-trade-{trade.trade_id}")
    expect(row).to_contain_text("settled")
    expect(row.get_by_role("link", name=str(trade.circuit_id))).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Wide table").press("Enter")
    row.click()
    card = page.locator(".card")
    expect(card.get_by_role("heading", name=f"Trade {trade.trade_id}")).to_be_visible()
    with dgm.client("ann") as ann:
        bill = ann.get_settlement(trade.trade_id).settlement
    assert bill.lines
    for line in bill.lines:
        expect(card.get_by_text(line.formula, exact=True).first).to_be_visible()
    expect(card.get_by_role("list", name="States").locator("[aria-current]")).to_have_text(
        "settled"
    )
    assert violations(page) == []


def test_prices_of_a_clearing_stand_beside_routers_on_the_map(
    open_page: Open, address: str, dgm: MarketDaemon
) -> None:
    cleared(dgm)
    page = open_page(
        f"{address}#/?list=market&market=clearings", scheme="light", reduced_motion="reduce"
    )
    wait_until_drawn(page)
    expect(page.get_by_text("verified", exact=True).first).to_be_visible()
    rows = page.get_by_role("table", name="Prices by router").get_by_role("row")
    expect(rows.first).to_contain_text("r1")
    price = f"{float(rows.first.get_by_role('cell').last.inner_text()):.4f}"
    prices = "() => digitalgrid.mapper.current.painter.scene.labels.map(({ price }) => price)"
    wait_for(lambda: price in page.evaluate(prices))
    # What was wanted and offered then, and what of it was agreed.
    expect(page.get_by_role("img", name="Wanted")).to_be_visible()
    expect(page.locator(".depth-key .met")).to_contain_text("traded")
    assert violations(page) == []
    # What is not looked at is not on the map.
    page.get_by_role("button", name="Balances").press("Enter")
    expect(page.get_by_role("row", name="ann")).to_be_visible()
    wait_for(lambda: price not in page.evaluate(prices))


def test_nothing_is_asked_of_an_exchange_unless_its_market_is_looked_at(
    open_page: Open, address: str
) -> None:
    page = open_page(address)
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url) if "/market/" in each.url else None)
    wait_until_drawn(page)
    page.keyboard.press("8")
    expect(page.get_by_role("list", name="Intervals")).to_be_visible()

    def is_asked_again() -> bool:
        # Events of a page are heard while it is waited for.
        page.wait_for_timeout(50)
        return len(asked) > 4

    wait_for(is_asked_again)
    page.keyboard.press("7")
    expect(page.get_by_role("heading", name="Controller")).to_be_visible()
    before = len(asked)
    page.wait_for_timeout(1_200)
    assert len(asked) == before


def test_on_a_phone_and_without_its_exchange_the_page_says_what_is_wrong(
    open_page: Open, address: str, dgm: MarketDaemon
) -> None:
    page = on_market(open_page, address, size=PHONE)
    expect(page.get_by_role("list", name="Intervals")).to_be_visible()
    for part in ("Clearings", "Trades", "Balances"):
        page.get_by_role("button", name=part).press("Enter")
        expect(page.locator(".market-head + *")).to_be_visible()
        assert violations(page) == [], part
    dgm.kill()
    try:
        silence = page.get_by_role("alert").filter(
            has_text=f"the exchange at {dgm.server} does not"
        )
        expect(silence.first).to_be_visible()
        expect(silence.first).to_contain_text("What is shown was so at")
        assert violations(page) == []
    finally:
        dgm.start()
    expect(silence).to_have_count(0)
