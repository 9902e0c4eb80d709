"""What of a market is looked at: its rules, books and lists, once and live; by people, and by programs."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from dgctl import main
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.units import NS_PER_S
from tests.integration.dgctl.market.conftest import Run, asked, squeezed
from tests.support import fake_market
from tests.support.fake_market import INTERVAL, START_NS, FakeMarket


def test_rules_of_a_market_are_told_where_it_tells_them(dgctl: Run, market: FakeMarket) -> None:
    assert "reference price" not in squeezed(dgctl("status"))
    rules = pb.MarketRules(
        ahead=4,
        self_trade="oldest",
        reference_micro_per_kwh=-20_000,
        orders_per_party=1_000,
        tenders_per_s=0.5,
        tender_burst=10,
        object_ns=30 * NS_PER_S,
        dispute_ns=3_600 * NS_PER_S,
    )
    market.answers["GetMarket"].rules.CopyFrom(rules)
    told = squeezed(dgctl("status"))
    assert "open at a time 4 intervals" in told
    assert "1000 orders wait at most; 0.5 tenders a second, 10 at once" in told
    assert "the oldest ends where they would meet" in told
    assert "reference price -0.02 per kWh" in told
    assert (
        "objected to for 30 s before they are paid; a dispute is decided within 1 h 0 min" in told
    )
    rules.ClearField("object_ns")
    market.answers["GetMarket"].rules.CopyFrom(rules)
    assert "bills are paid at once" in squeezed(dgctl("status"))


def test_an_interval_is_named_by_when_it_begins_or_by_its_place(
    dgctl: Run, market: FakeMarket
) -> None:
    from datetime import UTC, datetime

    seconds = START_NS // 10**9
    written = datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    for said in ("next", str(seconds), written):
        market.requests.clear()
        dgctl("book", "--interval", said)
        assert asked(market, pb.GetBookRequest).interval_start_unix_ns == INTERVAL.start_unix_ns


def test_whom_to_ask_may_be_said_anywhere(market: FakeMarket, unreachable_server: str) -> None:
    runner = CliRunner(env={"DGM_SERVER": unreachable_server})
    for words in (
        ("--server", market.server, "market", "status"),
        ("market", "--server", market.server, "status"),
        ("market", "status", "--server", market.server),
        ("--server", unreachable_server, "market", "--server", market.server, "status"),
    ):
        assert runner.invoke(main, words).exit_code == 0, words
    said = runner.invoke(main, ("market", "status", "--timeout", "0.5"))
    assert said.exit_code == 4 and "dgm run" in said.stderr


@pytest.mark.parametrize(
    "verb",
    [
        *("status", "tenders", "book", "clearings", "trades", "position", "balance"),
        *("explain t1", "settle t1", "receipt t1", "clear --dry-run"),
    ],
)
def test_what_programs_read_is_one_document(verb: str, dgctl: Run) -> None:
    said = dgctl(*verb.split(), "-o", "json")
    assert said.exit_code == 0, said.output
    assert isinstance(json.loads(said.stdout), dict)


def test_lists_are_chosen_sorted_and_filtered(dgctl: Run, market: FakeMarket) -> None:
    settled = pb.TRANSACTION_STATE_SETTLED
    market.answers["ListTransactions"] = pb.ListTransactionsResponse(
        transactions=[
            fake_market.trade(
                trade_id=f"t{number}", wh=number * 1_000, state=settled if number > 1 else 0
            )
            for number in range(4)
        ]
    )
    words = ("trades", "--sort", "-energy", "--filter", "state=settled", "--filter", "energy<3kWh")
    assert dgctl(*words, "--columns", "trade,energy,buyer pays").stdout.split() == [
        *("trade", "energy", "buyer", "pays"),
        *("t2", "2", "kWh", "0.2"),
    ]
    told = json.loads(dgctl(*words, "-o", "json").stdout)
    assert [each["tradeId"] for each in told["transactions"]] == ["t2"]
    assert "tendered-to-sell" in dgctl("position", "--columns", "?").stdout
    wrong = dgctl("clearings", "--sort", "what")
    assert wrong.exit_code == 2 and "clearings have no column 'what'" in wrong.stderr
    assert "no orders" in dgctl("tenders", "--filter", "party=nobody").stdout


@pytest.mark.parametrize("words", [("--sort", "-energy"), ("--filter", "energy>1Wh")])
def test_who_chooses_among_the_newest_is_told_where_there_may_be_more(
    dgctl: Run, market: FakeMarket, words: tuple[str, str]
) -> None:
    one = fake_market.trade(trade_id="t1")
    market.answers["ListTransactions"] = pb.ListTransactionsResponse(transactions=[one] * 2)
    said = "only the newest 2 were looked at; --newest takes more"
    listed = dgctl("trades", *words, "--newest", "2")
    assert listed.stdout.splitlines()[-1] == said and "t1" in listed.stdout
    told = dgctl("trades", *words, "--newest", "2", "-o", "json")
    assert said in told.stderr and len(json.loads(told.stdout)["transactions"]) == 2
    for all_there_are in (("trades", *words, "--newest", "3"), ("trades", "--newest", "2")):
        assert "were looked at" not in dgctl(*all_there_are).output


def test_a_list_is_watched_though_no_feed_tells_of_it(market: FakeMarket) -> None:
    watch = subprocess.Popen(
        [
            *(sys.executable, "-c", "from dgctl import main; main()"),
            *("market", "trades", "--watch", "-o", "json"),
        ],
        env=os.environ | {"DGM_SERVER": market.server},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watch.stdout is not None
        (first,) = json.loads(watch.stdout.readline())["transactions"]
        changed = fake_market.trade(state=pb.TRANSACTION_STATE_SETTLED)
        market.answers["ListTransactions"] = pb.ListTransactionsResponse(transactions=[changed])
        (then,) = json.loads(watch.stdout.readline())["transactions"]
    finally:
        watch.kill()
        watch.wait()
    assert [first["state"], then["state"]] == [
        "TRANSACTION_STATE_PARTIAL",
        "TRANSACTION_STATE_SETTLED",
    ]
