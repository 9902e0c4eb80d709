"""``dgctl market``: what people read, what programs read, and what is asked of a market for it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dgctl import main
from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.market.v1 import meter_service_pb2 as meter_pb
from digitalgrid.units import NS_PER_S
from tests.support import fake_market, meters
from tests.support.fake_market import INTERVAL, LENGTH_NS, START_NS, FakeMarket
from tests.support.log_files import copy
from trading.client import departure_text, read_departure
from trading.client.checking import write_copy
from trading.ledger.key_files import write_new_key
from trading.ledger.mandates import is_mandated

Run = Callable[..., Result]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    write_new_key(tmp_path / "ann.key")
    return tmp_path / "ann.key"


@pytest.fixture
def dgctl(market: FakeMarket, key_file: Path) -> Run:
    def run(*words: str, **env: str) -> Result:
        known = {"DGM_SERVER": market.server, "DGM_PARTY": "ann", "DGM_KEY": str(key_file)}
        runner = CliRunner(env=known | env)
        return runner.invoke(main, ("market", *words))

    return run


def squeezed(result: Result) -> str:
    return " ".join(result.stdout.split())


def asked(market: FakeMarket, kind: type) -> Any:
    (found,) = [each for each in market.requests if isinstance(each, kind)]
    return found


def test_a_tender_is_signed_as_it_is_sent(dgctl: Run, market: FakeMarket, key_file: Path) -> None:
    said = dgctl(
        *("tender", "buy", "--load", "load1", "--energy", "0.7 kWh", "--limit", "0.22"),
        *("--interval", "+1", "--max-loss", "5%", "--avoid", "r9", "--id", "mine"),
    )
    assert said.exit_code == 0, said.output
    request = asked(market, pb.CreateTendersRequest)
    start_ns = START_NS + LENGTH_NS
    assert list(request.tenders) == [
        pb.Tender(
            order_id="mine",
            meter_id="m1",
            side=pb.SIDE_BUY,
            wh=700,
            limit_micro_per_kwh=220_000,
            interval=pb.Interval(start_unix_ns=start_ns, length_ns=LENGTH_NS),
            time_in_force=pb.TIME_IN_FORCE_GTC,
            max_loss_ppm=50_000,
            avoid_ids=["r9"],
        )
    ]
    from trading.ledger.key_files import read_key

    log_id = market.answers["GetMarket"].log_id
    assert is_mandated("CreateTenders", request, read_key(key_file).public_key, log_id)
    assert "mine 3 ann m1 buy 700 Wh 0.22" in squeezed(said)


@pytest.mark.parametrize(
    ("words", "tif"),
    [
        ((), pb.TIME_IN_FORCE_GTC),
        (("--good-for", "30s"), pb.TIME_IN_FORCE_GTD),
        (("--at-once", "any"), pb.TIME_IN_FORCE_IOC),
        (("--at-once", "all"), pb.TIME_IN_FORCE_FOK),
    ],
)
def test_how_long_a_tender_waits_is_said(
    words: tuple[str, ...], tif: int, dgctl: Run, market: FakeMarket
) -> None:
    dgctl("tender", "sell", "--meter", "m2", "--energy", "700", "--limit", "-0.01", *words)
    (tender,) = asked(market, pb.CreateTendersRequest).tenders
    assert (tender.time_in_force, tender.limit_micro_per_kwh) == (tif, -10_000)
    assert bool(tender.expires_unix_ns) == (tif == pb.TIME_IN_FORCE_GTD)


@pytest.mark.parametrize(
    "words",
    [
        ("--energy", "0.7Wh", "--limit", "0.2"),
        ("--energy", "700W", "--limit", "0.2"),
        ("--energy", "nan", "--limit", "0.2"),
        ("--energy", "700Wh", "--limit", "0.2000001"),
        ("--energy", "700Wh", "--limit", "inf"),
        ("--energy", "700Wh", "--limit", "0.2", "--interval", "+7"),
        ("--energy", "700Wh", "--limit", "0.2", "--interval", "2026-13-01T00:00Z"),
        ("--energy", "700Wh", "--limit", "0.2", "--load", "other"),
        ("--energy", "700Wh", "--limit", "0.2", "--max-loss", "0"),
        ("--energy", "700Wh", "--limit", "0.2", "--at-once", "all", "--good-for", "3s"),
    ],
)
def test_what_cannot_be_meant_is_a_wrong_command_and_nothing_is_tendered(
    words: tuple[str, ...], dgctl: Run, market: FakeMarket
) -> None:
    said = dgctl("tender", "buy", *words)
    assert said.exit_code == 2, said.output
    assert not [each for each in market.requests if isinstance(each, pb.CreateTendersRequest)]


def test_whoever_changes_something_has_to_say_who_he_is(dgctl: Run) -> None:
    said = dgctl("cancel", "o3", DGM_KEY="", DGM_PARTY="")
    assert said.exit_code == 2 and "--key" in said.output


def test_a_tender_that_is_not_taken_is_refused_with_its_reason(
    dgctl: Run, market: FakeMarket
) -> None:
    refusal = pb.Refusal(reason="TICK", message="limit is off the tick", field="limit")
    market.answers["CreateTenders"] = pb.CreateTendersResponse(
        results=[pb.TenderResult(refusal=refusal)]
    )
    said = dgctl("tender", "buy", "--energy", "700Wh", "--limit", "0.22")
    assert said.exit_code == 3
    assert "TICK" in said.stderr and "field limit" in said.stderr


def test_a_nonce_that_another_program_has_passed_is_not_the_end(
    dgctl: Run, market: FakeMarket
) -> None:
    usual, nonces = market.answers["CreateTenders"], []

    def answer(request: pb.CreateTendersRequest) -> pb.CreateTendersResponse:
        nonces.append(request.mandate.nonce)
        if len(nonces) > 1:
            return usual(request)  # type: ignore[no-any-return]
        refusal = pb.Refusal(reason="STALE_NONCE", message="too late")
        return pb.CreateTendersResponse(results=[pb.TenderResult(refusal=refusal)])

    market.answers["CreateTenders"] = answer
    assert dgctl("tender", "buy", "--energy", "700Wh", "--limit", "0.22").exit_code == 0
    assert nonces[0] < nonces[1]


def test_waiting_ends_when_the_order_is_decided(dgctl: Run, market: FakeMarket) -> None:
    states = iter([pb.TRANSACTION_STATE_HOLDING, pb.TRANSACTION_STATE_CONFIRMED])
    decided = fake_market.order(3, "ann", pb.SIDE_BUY, 1_000, 220_000, matched_wh=1_000)
    market.answers["ListTenders"] = pb.ListTendersResponse(orders=[decided])
    market.answers["ListTransactions"] = lambda _: pb.ListTransactionsResponse(
        transactions=[fake_market.trade(buy_seq=3, state=next(states))]
    )
    said = dgctl("tender", "buy", "--energy", "1kWh", "--limit", "0.22", "--wait", "-o", "json")
    document = json.loads(said.stdout)
    assert said.exit_code == 0
    assert document["transactions"][0]["state"] == "TRANSACTION_STATE_CONFIRMED"
    assert next(states, None) is None


def test_waiting_for_what_goes_without_ends_as_refused(dgctl: Run, market: FakeMarket) -> None:
    ended = fake_market.order(3, "ann", pb.SIDE_BUY, 1_000, 220_000, ended_reason="NO_CROSS")
    market.answers["ListTenders"] = pb.ListTendersResponse(orders=[ended])
    market.answers["ListTransactions"] = pb.ListTransactionsResponse()
    said = dgctl("tender", "buy", "--energy", "1kWh", "--limit", "0.22", "--wait")
    assert said.exit_code == 3 and "NO_CROSS" in said.stdout


def test_an_explanation_says_match_price_way_causes_and_each_line_of_the_bill(dgctl: Run) -> None:
    told = squeezed(dgctl("explain", "t1"))
    for part in (
        "trade t1: partial; 1 kWh from bob to ann",
        "buys ann m1 1 0.25 0.2 0.05",
        "order 2 of bob, who sells 1.5 kWh at 0.2 has this limit and set it",
        "circuit 7 (request t1/1) over r2-r3 r3-r1",
        "as it was matched 1.05 kWh 1 kWh 50 Wh 4.76 %",
        "planned, as it was held 1.049 kWh 1 kWh 49 Wh 4.67 %",
        "measured (both ends) 840 Wh 800 Wh 40 Wh 4.76 %",
        "the seller is short of 150 Wh, the network cut 50 Wh",
        "30 s link down the network's 50 Wh",
        "energy ann bob 800 Wh 0.2 0.16 min(delivered, agreed) x price",
        "all together 0",
        "locked before: 0.202 by the buyer",
    ):
        assert part in told, part


def test_what_came_beyond_what_was_bought_is_said(dgctl: Run, market: FakeMarket) -> None:
    over = fake_market.settlement(delivered_mj=1_001 * 3_600_000, injected_mj=1_051 * 3_600_000)
    market.answers["GetSettlement"] = pb.GetSettlementResponse(settlement=over)
    assert "delivered: all that was agreed, and 1 Wh beyond it" in squeezed(dgctl("explain", "t1"))


def test_a_bill_that_was_objected_to_is_not_said_to_be_of_ends_that_contradict(
    dgctl: Run, market: FakeMarket
) -> None:
    objected = fake_market.settlement(disputed=True, objected_by="ann", objected_line="shortfall")
    objected.statement = "the line was cut"
    objected.evidence.extend(["c7", "log 41"])
    market.answers["GetSettlement"] = pb.GetSettlementResponse(settlement=objected)
    billed = fake_market.trade(state=pb.TRANSACTION_STATE_DISPUTED)
    market.answers["GetTransaction"] = pb.GetTransactionResponse(transaction=billed)
    for verb in ("settle", "explain"):
        told = squeezed(dgctl(verb, "t1"))
        assert "ann objects to the line shortfall" in told and "contradict" not in told
        assert "objected: ann, to shortfall: the line was cut evidence: c7, log 41" in told
    market.answers["GetSettlement"].settlement.CopyFrom(fake_market.settlement(disputed=True))
    assert "contradict each other; what follows is what neither denies" in squeezed(
        dgctl("settle", "t1")
    )


@pytest.mark.parametrize(
    ("quality", "why"),
    [
        ("source only", "what counts comes of the source's, and the path's formula"),
        ("last reading", "for what neither network nor buyer is known to have caused"),
        ("unread", "what is not known is not paid for"),
    ],
)
def test_of_a_bill_that_is_estimated_it_is_said_why(
    quality: str, why: str, dgctl: Run, market: FakeMarket
) -> None:
    bill = fake_market.settlement(quality=quality, estimated=True)
    market.answers["GetSettlement"] = pb.GetSettlementResponse(
        transaction=fake_market.trade(), settlement=bill
    )
    assert why in squeezed(dgctl("settle", "t1"))
    assert f"estimated ({quality})" in squeezed(dgctl("explain", "t1"))


def test_a_fee_is_a_line_of_no_energy(dgctl: Run, market: FakeMarket) -> None:
    settlement = fake_market.settlement()
    formula = "145000000 nano (energy, objected to in vain) x 10000 / 1000000, rounded down"
    settlement.lines.add(kind="fee", payer="bob", payee="joe", nano=1_450_000, formula=formula)
    market.answers["GetSettlement"] = pb.GetSettlementResponse(settlement=settlement)
    told = squeezed(dgctl("settle", "t1"))
    assert f"fee bob joe 0.00145 {formula}" in told and "all together 0" in told


def test_a_copy_of_the_log_is_not_written_over_a_key(dgctl: Run, key_file: Path) -> None:
    secret = key_file.read_bytes()
    said = dgctl("log", str(key_file))
    assert said.exit_code == 2 and "is there already; name a new file" in said.output
    assert key_file.read_bytes() == secret


def test_of_a_bill_that_is_not_paid_yet_it_is_said_how_to_object(
    dgctl: Run, market: FakeMarket
) -> None:
    billed = fake_market.trade(
        state=pb.TRANSACTION_STATE_BILLED, until_unix_ns=START_NS + LENGTH_NS
    )
    market.answers["GetTransaction"] = pb.GetTransactionResponse(transaction=billed)
    told = squeezed(dgctl("explain", "t1"))
    assert "unless a party objects" in told and "energy ann bob" in told


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


def explained(dgctl: Run) -> str:
    rule: str = json.loads(dgctl("explain", "t1", "-o", "json").stdout)["priceRule"]
    return rule


def test_the_rule_of_a_price_names_whose_order_set_it(dgctl: Run, market: FakeMarket) -> None:
    def of(mechanism: str) -> str:
        answer = pb.GetTransactionResponse(transaction=fake_market.trade(mechanism=mechanism))
        market.answers["GetTransaction"] = answer
        return explained(dgctl)

    assert "order 1 of ann, who buys 1 kWh" in of("continuous")
    assert "served in part, and so at the margin: order 2 of bob" in of("nodal")
    assert "plug-in" in of("other")
    between = [fake_market.ORDERS[0], fake_market.order(2, "bob", pb.SIDE_SELL, 1_000, 150_000)]
    between[1].matched_wh = 1_000
    market.answers["ListTenders"] = pb.ListTendersResponse(orders=between)
    assert "between the last seller served, at 0.15, and the last buyer, at 0.25" in of("call")
    assert "reference" not in of("call")
    cleared = market.answers["ListClearings"].clearings[0]
    cleared.reference_micro_per_kwh = 0
    nearest = "it is the nearest to the market's reference, 0"
    assert of("call").endswith(nearest) and "reference" not in of("nodal")
    market.answers["ListTenders"] = pb.ListTendersResponse()
    assert "forgotten" in of("call")
    assert of("call-pro-rata").startswith("call-pro-rata: one price for all, 0.2, at which")


def test_a_trade_that_came_to_nothing_says_why_and_has_no_bill(
    dgctl: Run, market: FakeMarket
) -> None:
    trade = fake_market.trade(
        state=pb.TRANSACTION_STATE_REJECTED,
        reason="INSUFFICIENT_CAPACITY",
        detail="bottleneck_links: r2-r3",
        circuit_id=0,
    )
    market.answers["GetTransaction"] = pb.GetTransactionResponse(transaction=trade)
    told = squeezed(dgctl("explain", "t1"))
    assert "because of INSUFFICIENT_CAPACITY: bottleneck_links: r2-r3" in told
    assert "path: none" in told and "all that was locked went back" in told
    assert not [each for each in market.requests if isinstance(each, pb.GetSettlementRequest)]


def test_a_receipt_is_proved_here_and_one_that_proves_nothing_is_refused(
    dgctl: Run, market: FakeMarket
) -> None:
    assert "proved here" in squeezed(dgctl("receipt", "t1"))
    whole = json.loads(dgctl("receipt", "t1", "-o", "json").stdout)
    assert len(whole["entries"]) == 3
    market.answers["GetReceipt"].receipt.salt = b"another"
    said = dgctl("receipt", "t1")
    assert said.exit_code != 0 and "proved" not in said.stdout


def test_a_log_is_taken_away_checked_and_witnessed(
    dgctl: Run, tmp_path: Path, key_file: Path
) -> None:
    away, seen = str(tmp_path / "log.copy"), str(tmp_path / "seen.json")
    assert dgctl("log", away).exit_code == 0
    assert "7 entries of the log" in dgctl("witness", seen, "--key", str(key_file)).stdout
    checked = json.loads(dgctl("verify", away, "--witnessed", seen, "-o", "json").stdout)
    assert (checked["right"], checked["size"], checked["witnessed"]) == (True, 7, 7)
    other = json.loads(
        dgctl("verify", str(copy(tmp_path / "other")), "--witnessed", seen, "-o", "json").stdout
    )
    assert (other["right"], other["entry"]) == (False, None)
    assert "another log" in other["why"]


def test_an_entry_that_was_altered_is_named(dgctl: Run, tmp_path: Path) -> None:
    path = copy(tmp_path / "log")
    content = bytearray(path.read_bytes())
    content[content.rindex(b"t1/close")] ^= 1
    path.write_bytes(content)
    said = dgctl("verify", str(path), "-o", "json")
    assert said.exit_code == 1
    assert json.loads(said.stdout)["entry"] == 5


def test_money_is_counted_in_nanos_and_deposits_may_be_repeated(
    dgctl: Run, market: FakeMarket
) -> None:
    dgctl("deposit", "ann", "12.50", "--id", "monday")
    request = asked(market, ledger_pb.DepositRequest)
    assert (request.account, request.nano, request.key) == ("ann", 12_500_000_000, "monday")
    assert dgctl("withdraw", "ann", "0").exit_code == 2


def test_money_goes_back_and_the_log_has_another_key_by_a_word_that_is_signed(
    dgctl: Run, market: FakeMarket
) -> None:
    assert "entry 10 of the log" in dgctl("refund", "t1").stdout
    refund = asked(market, ledger_pb.RefundRequest)
    assert refund.trade_id == "t1" and refund.mandate.party == "ann"
    said = dgctl("rotate-key", "--id", "monday")
    assert market.answers["RotateKey"].log_public_key.hex() in said.stdout
    assert asked(market, ledger_pb.RotateKeyRequest).key == "monday"


def test_readings_that_count_are_told_to_whoever_decides(dgctl: Run, market: FakeMarket) -> None:
    dgctl("resolve", "t1", "--reading", "1:3600:3500", "--because", "seen")
    request = asked(market, pb.ResolveDisputeRequest)
    assert list(request.deliveries) == [
        pb.Delivery(generation=1, injected_mj=3_600, delivered_mj=3_500)
    ]
    assert dgctl("resolve", "t1", "--reading", "1:x:2").exit_code == 2


def test_what_speaks_for_an_objection_is_told_with_it(dgctl: Run, market: FakeMarket) -> None:
    dgctl("dispute", "t1", "--line", "loss", "--evidence", "c7", "--evidence", "log 41")
    request = asked(market, pb.OpenDisputeRequest)
    assert (request.line, list(request.evidence)) == ("loss", ["c7", "log 41"])


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


def test_a_meter_is_moved_with_its_own_key_and_the_proof_goes_along_in_a_file(
    dgctl: Run, market: FakeMarket, tmp_path: Path
) -> None:
    key = write_new_key(tmp_path / "meter.key")
    market.answers["GetMeter"].standing.public_key = key.public_key
    proof, to = tmp_path / "left.json", "ab" * 32
    said = dgctl(
        *("meter", "release", "m1", "--meter-key", str(tmp_path / "meter.key")),
        *("--to", to, "--proof", str(proof)),
    )
    assert said.exit_code == 0 and "entry 12 of the log" in said.stdout, said.output
    request = asked(market, meter_pb.ReleaseMeterRequest)
    notice = ledger_pb2.MeterNotice.FromString(request.release.notice)
    assert (notice.meter_public_key, notice.epoch) == (key.public_key, 1)
    assert notice.to_log_id == bytes.fromhex(to)
    departure = market.answers["GetMeter"].departure
    assert read_departure(proof) == departure
    shown = dgctl("meter", "show", "m1")
    assert f"no; it was released to the log {'0' * 64}" in squeezed(shown)
    # One that the file has no more is asked for by its key.
    dgctl("meter", "show", key.public_key.hex())
    *_, last = [each for each in market.requests if isinstance(each, meter_pb.GetMeterRequest)]
    assert (last.public_key, last.meter_id) == (key.public_key, "")
    # Nothing is written over, and a proof that does not fit is no file of one.
    assert dgctl("meter", "show", "m1", "--proof", str(proof)).exit_code == 2
    other = ledger_pb2.MeterNotice(epoch=6).SerializeToString()
    released = ledger_pb2.Entry(at_unix_ns=7, release=ledger_pb2.MeterRelease(notice=other))
    departure.release.entry = released.SerializeToString()
    proof.write_text(departure_text(departure))
    said = dgctl(
        *("meter", "register", "m1", "--meter-key", str(tmp_path / "meter.key")),
        *("--released", str(proof)),
    )
    assert "epoch 2" in squeezed(said)
    registration = asked(market, meter_pb.RegisterMeterRequest).registration
    certificate = ledger_pb2.MeterCertificate.FromString(registration.certificate)
    assert certificate.epoch == 7 and registration.departure == departure


def test_a_key_of_another_meter_is_no_word_of_this_one(dgctl: Run, key_file: Path) -> None:
    said = dgctl("meter", "register", "m1", "--meter-key", str(key_file))
    assert said.exit_code != 0 and "the market knows meter m1 by the key" in said.stderr
    assert dgctl("meter", "release", "m1", "--meter-key", str(key_file), "--to", "x").exit_code == 2


def test_logs_are_compared_and_a_meter_in_both_is_named(dgctl: Run, tmp_path: Path) -> None:
    files = []
    for number in (1, 2):
        book = meters.log(number)
        meters.register(book)
        files.append(str(tmp_path / f"log{number}"))
        with Path(files[-1]).open("wb") as file:
            write_copy(file, book.entries(0, book.size), book.head())
    said = dgctl("compare", *files)
    assert said.exit_code == 1
    assert f"{meters.METER.public_key.hex()} 1, 1 1, 1 under one epoch in both" in squeezed(said)
    assert json.loads(dgctl("compare", *files, "-o", "json").stdout)["both"] == 1
    fine = dgctl("compare", files[0], files[0])
    assert fine.exit_code == 0 and "none of them at one time" in fine.stdout


def test_a_forecast_is_signed_and_says_what_is_left_to_sell(dgctl: Run, market: FakeMarket) -> None:
    said = dgctl("forecast", "--meter", "m2", "--energy", "0.7kWh", "--interval", "+1")
    assert said.exit_code == 0 and "700 Wh" in squeezed(said), said.output
    request = asked(market, pb.SetForecastRequest)
    assert (request.meter_id, request.most_wh) == ("m2", 700)
    assert request.interval_start_unix_ns == START_NS + LENGTH_NS and request.mandate.signature
    assert dgctl("forecast", "--meter", "m2").exit_code == 2


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
