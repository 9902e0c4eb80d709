"""A day on a market: prosumers and their tenders, bills beside the utility's, and checks that see what is wrong."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from digitalgrid.gridfile import load_grid
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.units import NS_PER_S
from tests.support.ledgers import KEY, deposit
from topologies.market_day.bills import bill_of, bills_of
from topologies.market_day.checks import check_ledger, checks_of
from topologies.market_day.day import Day, Fault, Period, Trade
from topologies.market_day.exchange import MECHANISMS, mechanism_of
from topologies.market_day.faults import FAULTS, too_much
from topologies.market_day.plot import plot
from topologies.market_day.prosumers import PROSUMERS
from topologies.market_day.report import to_json
from topologies.market_day.story import INTERVALS, first_start_ns
from topologies.market_day.tendering import tenders_of
from trading.core.units import wh_below
from trading.ledger.ledger import Ledger
from trading.ledger.sqlite_storage import SqliteStorage

GRID = Path(__file__).parents[3] / "topologies" / "prosumers9.grid.yaml"
LENGTH_NS = 10 * NS_PER_S
PRICES = pb.Tariff(utility_micro_per_kwh=300_000, feed_in_micro_per_kwh=80_000)
MJ_PER_WH = 3_600_000
START_NS = 1_000 * NS_PER_S


def trade(buyer: str = "emil", seller: str = "ann", wh: int = 100, **bill: int) -> Trade:
    interval = pb.Interval(start_unix_ns=START_NS, length_ns=LENGTH_NS)
    told = pb.Transaction(
        trade_id=f"{buyer}-{seller}",
        state=pb.TRANSACTION_STATE_SETTLED,
        buyer=buyer,
        seller=seller,
        interval=interval,
        wh=wh,
        buyer_micro_per_kwh=200_000,
        seller_micro_per_kwh=200_000,
        request_id=f"{buyer}-{seller}/1",
    )
    figures = {"contract_mj": wh * MJ_PER_WH, "delivered_mj": wh * MJ_PER_WH}
    figures |= {"injected_mj": wh * MJ_PER_WH + 5} | bill
    energy_mj = figures["delivered_mj"]
    line = pb.BillLine(
        kind="energy",
        payer=buyer,
        payee=seller,
        energy_mj=energy_mj,
        micro_per_kwh=200_000,
        nano=energy_mj * 200_000 // MJ_PER_WH,
    )
    settlement = pb.Settlement(trade_id=told.trade_id, lines=[line])
    for name, figure in figures.items():
        setattr(settlement, name, figure)
    return Trade(told, settlement)


def day(*trades: Trade) -> Day:
    """One interval, in which emil lacks 300 Wh and ann has 200 too much; accounts and registers are as bills say."""
    told = Day(PRICES, "operator", [Period(1, START_NS, "call", {"emil": -300, "ann": 200})])
    told.trades = list(trades)
    told.deposits = dict.fromkeys(("emil", "ann", "operator"), 10**9)
    paid = sum(line.nano for each in trades for line in each.lines)
    told.balances = {
        "emil": (10**9 - paid, 0),
        "ann": (10**9 + paid, 0),
        "operator": (10**9, 0),
    }
    for each in trades:
        settled, request_id = each.settlement, each.transaction.request_id
        told.registers[request_id] = (settled.injected_mj, settled.delivered_mj)
        told.circuits[request_id] = 1
    return told


def wrong(told: Day) -> dict[str, str]:
    return {each.name: each.wrong for each in checks_of(told) if each.wrong}


def test_each_prosumer_hangs_where_the_grid_has_its_source_and_load() -> None:
    grid = load_grid(GRID)
    sources = {each.id: each for each in grid.sources}
    loads = {each.id: each for each in grid.loads}
    assert len(PROSUMERS) == 10 and sum(each.is_car for each in PROSUMERS) == 2
    for each in PROSUMERS:
        assert sources[each.source].router == loads[each.load].router == each.router
        assert each.most_given_w <= sources[each.source].max_power_w
        assert each.most_taken_w <= loads[each.load].power_w


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_whole_day_there_are_those_who_sell_and_those_who_buy_at_prices_that_meet(
    seed: int,
) -> None:
    for number in range(1, INTERVALS + 1):
        interval = pb.Interval(start_unix_ns=number * LENGTH_NS, length_ns=LENGTH_NS)
        tenders = [
            (each, tender)
            for each in PROSUMERS
            for tender in tenders_of(each, number, interval, PRICES, seed)
        ]
        for each, tender in tenders:
            most_w = each.most_given_w if tender.side == pb.SIDE_SELL else each.most_taken_w
            assert 0 < tender.wh <= wh_below(most_w, LENGTH_NS)
            assert 80_000 < tender.limit_micro_per_kwh < 300_000
        asks = [t.limit_micro_per_kwh for _, t in tenders if t.side == pb.SIDE_SELL]
        bids = [t.limit_micro_per_kwh for _, t in tenders if t.side == pb.SIDE_BUY]
        assert asks and bids and min(asks) < max(bids)


def test_every_fault_has_an_interval_of_its_own_within_the_day() -> None:
    assert len(FAULTS) == 7 and max(FAULTS) <= INTERVALS


def test_a_bill_is_the_market_and_the_rest_at_the_utility() -> None:
    told = day(trade())
    emil, ann = bill_of(told, "emil"), bill_of(told, "ann")
    assert emil.traded_nano == 100 * 200_000
    assert emil.utility_nano == 200 * 300_000
    assert emil.utility_only_nano == 300 * 300_000
    assert emil.saved_nano == 100 * 100_000
    assert ann.traded_nano == -100 * 200_000
    # What is lost on the way is not fed in.
    assert ann.utility_nano == -(100 * MJ_PER_WH - 5) * 80_000 // MJ_PER_WH + 1
    assert sum(each.traded_nano for each in bills_of(told)) == 0


def test_a_day_on_which_all_is_well() -> None:
    told = day(trade())
    assert wrong(told) == {}
    assert to_json(told, checks_of(told), "")["ok"]


def test_what_is_not_well_is_seen_and_named() -> None:
    lost = day(trade())
    lost.balances["ann"] = (10**9, 0)
    assert "accounts do not add up" in str(wrong(lost))
    locked = day(trade())
    locked.balances["emil"] = (locked.balances["emil"][0] - 7, 7)
    assert "emil has" in str(wrong(locked))
    elsewhere = day(trade())
    elsewhere.registers["emil-ann/1"] = (100 * MJ_PER_WH + 5, 99 * MJ_PER_WH)
    assert "registers say" in str(wrong(elsewhere))
    twice = day(trade())
    twice.circuits["emil-ann/1"] = 2
    assert "has 2 circuits" in str(wrong(twice))
    running = day(trade())
    running.trades[0].transaction.state = pb.TRANSACTION_STATE_SETTLING
    assert "emil-ann is settling" in str(wrong(running))
    assert "there is none" in str(wrong(day()))


def test_a_fault_that_hit_nothing_or_that_somebody_else_pays_for_is_not_well() -> None:
    told = day(trade(short_mj=MJ_PER_WH))
    told.faults["line cut"] = Fault(4, "line cut", "r1-r2")
    assert "it hit no trade" in str(wrong(told))
    told.faults["line cut"].concerned = {"emil-ann"}
    assert "the seller pays for the network" in str(wrong(told))


def test_power_that_ends_once_a_controller_is_back_is_not_well() -> None:
    told = day(trade(delivered_mj=60 * MJ_PER_WH))
    fault = Fault(7, "controller killed", concerned={"emil-ann"}, found={"flowed": {}})
    told.faults["controller killed"] = fault
    assert "0% of its power flowed on" in str(wrong(told))
    fault.found["flowed"] = {"emil-ann": 1.0}
    assert f"{60 * MJ_PER_WH} mJ of {100 * MJ_PER_WH} arrived" in str(wrong(told))


def test_a_lie_that_does_not_show_is_billed_as_registers_have_it() -> None:
    told = day(trade(wh=10), trade("ann", "emil", wh=50))
    shown = told.trades[1].trade_id
    anns = (50 - 10) * 200_000
    told.balances |= {"ann": (10**9 - anns, 0), "emil": (10**9 + anns, 0)}
    fault = Fault(8, "sink lies", concerned={each.trade_id for each in told.trades})
    fault.found |= {"shows": [shown], "disputed": [shown]}
    told.faults["sink lies"] = fault
    told.registers[f"{shown}/1"] = (50 * MJ_PER_WH + 5, 40 * MJ_PER_WH)
    assert wrong(told) == {}
    told.registers["emil-ann/1"] = (10 * MJ_PER_WH + 5, 8 * MJ_PER_WH)
    assert "registers say" in str(wrong(told))


def test_a_log_in_which_one_bit_is_another_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    storage = SqliteStorage(path)
    ledger = Ledger(storage, KEY, lambda: START_NS, "a day")
    for number in range(8):
        ledger.write(f"deposit/{number}", deposit("ann", 5))
    storage.close()
    told = Day(PRICES, "operator", balances={"ann": (40, 0)})
    assert [each.wrong for each in check_ledger(path, told, tmp_path / "altered")] == [""] * 3
    told.balances = {"ann": (41, 0)}
    whole, once, altered = check_ledger(path, told, tmp_path / "altered again")
    assert whole.wrong and not once.wrong and not altered.wrong
    with closing(sqlite3.connect(path)) as log:
        assert log.execute("SELECT count(*) FROM entries").fetchone() == (9,)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    told = day(trade())
    told.faults["line cut"] = Fault(1, "line cut", "r1-r2", {"emil-ann"})
    plot(told, tmp_path / "day.svg")
    picture = (tmp_path / "day.svg").read_text()
    assert picture.startswith("<?xml") and "Who sold to whom" in picture


def test_what_is_sold_twice_is_more_than_there_is_and_goes_to_somebody_with_room() -> None:
    # hans has sold 400 of his 555 Wh, and finn 300 of 722 to emil, who has room for 200 Wh more.
    trades = [trade("emil", "finn").transaction, trade("carla", "hans").transaction]
    trades[0].injected_wh, trades[1].injected_wh = 300, 400
    most_w = {"roof6": 260e3, "roof8": 200e3}
    free_w = {"market5": 72e3, "home8": 30e3, "home1": 60e3}
    seller, buyer, wh = too_much(trades, most_w, free_w, LENGTH_NS)
    assert (seller, buyer, wh) == ("hans", "emil", 155 + 28)
    with pytest.raises(TimeoutError, match="nobody has sold so much"):
        too_much(trades, most_w, {"home1": 60e3}, LENGTH_NS)
    with pytest.raises(TimeoutError, match="nobody has sold so much"):
        too_much([], most_w, free_w, LENGTH_NS)


@pytest.mark.parametrize("rotation", [0, 1, 2])
@pytest.mark.parametrize("now_s", [0.0, 3.2, 11.7, 29.9])
def test_which_rule_meets_which_fault_does_not_depend_on_the_clock(
    rotation: int, now_s: float
) -> None:
    now_ns = START_NS + round(now_s * NS_PER_S)
    start_ns = first_start_ns(now_ns, LENGTH_NS, rotation)
    assert mechanism_of(start_ns) == MECHANISMS[rotation]
    assert LENGTH_NS <= start_ns - now_ns < (1 + len(MECHANISMS)) * LENGTH_NS


def test_an_interval_of_another_rule_than_planned_is_not_well() -> None:
    told = day(trade())
    told.rotation = 1
    assert wrong(told) == {
        "each interval has the rule that is planned": "interval 1 is call, and not nodal"
    }


def test_power_that_did_not_flow_on_without_a_controller_is_not_well() -> None:
    told = day(trade())
    fault = told.faults["controller killed"] = Fault(7, "controller killed")
    assert "it hit no trade" in str(wrong(told))
    fault.concerned, fault.found = {"emil-ann"}, {"flowed": {"emil-ann": 0.5}}
    assert "50% of its power flowed on" in str(wrong(told))
    fault.found = {"flowed": {"emil-ann": 0.99}}
    assert wrong(told) == {}


def test_a_lie_that_shows_nowhere_or_is_believed_is_not_well() -> None:
    told = day(trade())
    fault = told.faults["sink lies"] = Fault(8, "sink lies", "r5", {"emil-ann"})
    assert "it hit no trade" in str(wrong(told))
    fault.found = {"shows": ["emil-ann"], "disputed": []}
    assert "lied about, and not disputed" in str(wrong(told))
    fault.found["disputed"] = ["emil-ann"]
    assert "the lie counts" in str(wrong(told))
    told.registers["emil-ann/1"] = (100 * MJ_PER_WH, 80 * MJ_PER_WH)
    assert wrong(told) == {}
