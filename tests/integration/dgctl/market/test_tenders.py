"""What is asked of a market: tenders and forecasts, signed as they are sent, and waited for."""

import json
from pathlib import Path

import pytest

from digitalgrid.market.v1 import market_pb2 as pb
from tests.integration.dgctl.market.conftest import Run, asked, squeezed
from tests.support import fake_market
from tests.support.fake_market import LENGTH_NS, START_NS, FakeMarket
from trading.ledger.mandates import is_mandated


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


def test_a_forecast_is_signed_and_says_what_is_left_to_sell(dgctl: Run, market: FakeMarket) -> None:
    said = dgctl("forecast", "--meter", "m2", "--energy", "0.7kWh", "--interval", "+1")
    assert said.exit_code == 0 and "700 Wh" in squeezed(said), said.output
    request = asked(market, pb.SetForecastRequest)
    assert (request.meter_id, request.most_wh) == ("m2", 700)
    assert request.interval_start_unix_ns == START_NS + LENGTH_NS and request.mandate.signature
    assert dgctl("forecast", "--meter", "m2").exit_code == 2
