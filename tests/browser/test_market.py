"""The market on the page, over a real controller and a real exchange: a book, a trade, its bill."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from digitalgrid.market.v1 import market_pb2 as pb
from tests.browser import pictures
from tests.browser.conftest import PHONE, Open, violations, wait_until_drawn
from tests.support.exchanges import ANN, BOB, public
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


def cut_off(row: Locator) -> list[str]:
    """What cells of a row have no room for."""
    texts: list[str] = row.evaluate(
        "row => [...row.children].filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)"
        ".map(({ textContent }) => textContent)"
    )
    return texts


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
    assert cut_off(row) == []
    expect(row.get_by_role("link", name=str(trade.circuit_id))).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Wide table").press("Enter")
    assert cut_off(row) == []
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


# Of elan9, by meter: where it is, who has it, and what it wants or offers at which prices (Wh, a millionth per kWh).
ORDERS = {
    ("ann", "load", "load3", "r3"): [(9000, 310_000), (2000, 180_000)],
    ("ann", "load", "load4", "r4"): [(7000, 250_000)],
    ("ann", "load", "load5", "r5"): [(12_000, 280_000), (3000, 120_000)],
    ("ann", "load", "load6", "r6"): [(8000, 220_000)],
    ("ann", "load", "load8", "r8"): [(5000, 150_000)],
    ("ann", "load", "load9", "r9"): [(6000, 200_000), (4000, 100_000)],
    ("bob", "source", "source1", "r1"): [(14_000, 80_000), (12_000, 130_000), (8000, 210_000)],
    ("bob", "source", "source2", "r2"): [(10_000, 110_000), (14_000, 160_000), (9000, 260_000)],
}


def traders() -> list[dict[str, object]]:
    """As a market file has those of ``ORDERS``."""
    keys = {"ann": ANN, "bob": BOB}
    most = {"load": "max_drawn_w", "source": "max_injected_w"}
    return [
        {
            "party": party,
            "public_key": public(key),
            "meters": [
                {"meter": device, "router": router, kind: device, most[kind]: 20e6}
                for owner, kind, device, router in ORDERS
                if owner == party
            ],
        }
        for party, key in keys.items()
    ]


def trade_all(dgm: MarketDaemon, interval: pb.Interval) -> None:
    for (party, kind, device, _), orders in ORDERS.items():
        side = pb.SIDE_BUY if kind == "load" else pb.SIDE_SELL
        with dgm.client(party) as client:
            for number, (wh, limit) in enumerate(orders):
                client.create_tender(
                    pb.Tender(
                        order_id=f"{device} {interval.start_unix_ns} {number}",
                        meter_id=device,
                        side=side,
                        wh=wh,
                        limit_micro_per_kwh=limit,
                        interval=interval,
                    )
                )


def test_the_picture_of_the_market_is_of_this_page(
    open_page: Open, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if not pictures.are_wanted(pytestconfig, "page-market.png"):
        return
    server = f"127.0.0.1:{free_ports(1)[0]}"
    market = {"mechanisms": ["nodal"], "interval_s": 10, "gate_s": 4, "ahead": 3, "name": "elan9"}
    with (
        network(tmp_path / "run", market=server) as options,
        market_daemon(
            *(tmp_path, options.northbound, server), market=market, parties=traders()
        ) as daemon,
    ):
        with daemon.client("operator") as operator:
            operator.preview_clearing()
            for each in operator.market().intervals[1:]:
                trade_all(daemon, each.interval)
        page = open_page(f"http://{options.page}/#/?list=market&market=clearings", size=(1280, 800))
        wait_until_drawn(page)
        with daemon.client("ann") as ann:
            wait_for(
                lambda: any(
                    each.state == pb.TRANSACTION_STATE_DELIVERING
                    for each in ann.list_transactions()
                )
            )
        expect(page.locator(".depth-key .met")).to_contain_text("traded")
        # What loads get follows on the map a moment later.
        page.wait_for_function(
            """() => {
                const { symbols } = digitalgrid.mapper.current.painter.scene;
                return symbols.some(({ fates }) => fates.served) && !symbols.some(({ fates }) => fates.moving);
            }"""
        )
        pictures.take(page, "page-market.png")
