"""MeterService: a meter comes and leaves by its key's word and its party's, and nothing of it is tendered meanwhile."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from digitalgrid.market.v1 import ledger_pb2, market_pb2
from digitalgrid.market.v1 import meter_service_pb2 as pb
from tests.support.meters import (
    METER,
    OTHER_METER,
    Served,
    asked,
    depart,
    log,
    register,
    registration,
    release,
    served,
)
from trading.core.orders import Interval, Side, Tender
from trading.core.positions import Position, Positions
from trading.core.units import MicroPerKwh, Wh
from trading.ledger import departures
from trading.ledger.ledger import Receipt
from trading.ledger.refusals import LedgerRefused
from trading.ledger.verifying import verify
from trading.market.moves import Moves
from trading.reasons import MarketReason, Refused

R = MarketReason


def released(service: Served, to: bytes = b"", party: str = "eve") -> pb.ReleaseMeterResponse:
    request = pb.ReleaseMeterRequest(release=release(service.book, to))
    return asyncio.run(service.ReleaseMeter(service.said("ReleaseMeter", request, party), None))


def get(service: Served, meter_id: str = "meter of eve") -> pb.GetMeterResponse:
    return asyncio.run(service.GetMeter(pb.GetMeterRequest(meter_id=meter_id), None))


def why(call: Any, *given: Any) -> tuple[MarketReason, str]:
    with pytest.raises((Refused, LedgerRefused)) as caught:
        call(*given)
    refused: Any = caught.value
    return refused.reason, refused.field


def sells(service: Served) -> str:
    """Why not; nothing if it does."""
    nonce = next(service.nonces)
    market = service.here.market
    interval, *_ = market.settings.rules.open_intervals(0)
    tender = Tender(
        *(f"o{nonce}", "eve", "meter of eve", Side.SELL, Wh(10), MicroPerKwh(200_000), interval),
        nonce=nonce,
    )
    outcome = market.create(
        [tender],
        0,
        mandate_holds=True,
        free=lambda _: 10**9,  # type: ignore[arg-type, return-value]
        registered=service.book.registered,
    )
    (answer,) = outcome.answer
    return str(answer.reason) if isinstance(answer, Refused) else ""


def test_a_meter_trades_from_its_registration_to_its_release_and_is_proved_to_have_left() -> None:
    there = log(2)
    service = served(known=[there])
    known = get(service).standing
    assert (known.public_key, known.epoch, known.registered) == (METER.public_key, 0, False)
    assert sells(service) == R.METER_NOT_REGISTERED
    answer = asked(service)
    assert (answer.seq, answer.standing.epoch, answer.standing.registered) == (1, 1, True)
    left = released(service, there.log_id)
    assert (left.seq, left.standing.release_seq, left.standing.registered) == (2, 2, False)
    assert left.standing.to_log_id == there.log_id
    assert get(service).departure == left.departure
    assert sells(service) == R.METER_NOT_REGISTERED
    register(there, left.departure)


def test_a_meter_that_comes_from_a_known_exchange_brings_its_release() -> None:
    here = log(1)
    service = served(known=[here])
    register(here)
    answer = asked(service, depart(here, service.book.log_id))
    assert answer.standing.epoch == 2 and sells(service) == ""


def test_the_same_word_again_is_answered_as_before_and_used_one_nonce() -> None:
    service = served()
    request = pb.RegisterMeterRequest(registration=registration(service.book))
    first = asyncio.run(service.RegisterMeter(service.said("RegisterMeter", request), None))
    again = asyncio.run(service.RegisterMeter(request, None))
    assert again == first and service.book.size == 2
    left = released(service)
    late = asyncio.run(service.RegisterMeter(request, None))
    assert late.seq == first.seq and not late.standing.registered
    assert get(service).departure == left.departure


def test_who_may_move_a_meter() -> None:
    service = served()
    assert why(asked, service, None, "ann")[0] is R.METER_NOT_YOURS
    stranger = pb.RegisterMeterRequest(registration=registration(service.book, key=OTHER_METER))
    signed = service.said("RegisterMeter", stranger)
    assert why(asyncio.run, service.RegisterMeter(signed, None))[0] is R.METER_HAS_NO_KEY
    unsigned = pb.RegisterMeterRequest(registration=registration(service.book))
    unsigned.mandate.CopyFrom(market_pb2.Mandate(party="eve", nonce=99))
    assert why(asyncio.run, service.RegisterMeter(unsigned, None))[0] is R.BAD_SIGNATURE
    assert asked(service, party="operator").standing.registered
    assert why(get, service, "nobodys")[0] is R.METER_NOT_YOURS
    keyless = get(service, "meter of ann")
    assert not keyless.standing.public_key and not keyless.HasField("departure")


def test_a_refusal_is_told_with_its_reason_and_the_meter_goes_on_as_it_was() -> None:
    service, there = served(), log(2)
    assert why(released, service)[0] is R.CERTIFICATE_UNFIT
    assert why(asked, service, ledger_pb2.MeterDeparture()) == (R.RELEASE_FORGED, "departure")
    register(there)
    unknown = depart(there, service.book.log_id)
    assert why(asked, service, unknown) == (R.LOG_UNKNOWN, "")
    asked(service)
    assert why(asked, service) == (R.METER_REGISTERED, "certificate")
    assert sells(service) == ""
    assert why(released, service)[0] is R.METER_BUSY
    assert sells(service) == ""


def test_a_proof_is_looked_at_once_its_log_is_known_and_its_party_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the ledger: signatures of many keys would hold all calls up, at no cost to whoever sends them."""
    here, unknown = log(1), log(3)
    service = served(known=[here])
    looked_at: list[str] = []
    check, write = departures._keys, service.here.write

    def checked(entries: Sequence[ledger_pb2.SignedEntry], log_id: bytes) -> dict[int, bytes]:
        looked_at.append("proof")
        return check(entries, log_id)

    async def written(key: str, entry: ledger_pb2.Entry) -> Receipt:
        looked_at.append("ledger")
        return await write(key, entry)

    monkeypatch.setattr(departures, "_keys", checked)
    monkeypatch.setattr(service.here, "write", written)
    for book in (here, unknown):
        register(book)
    assert why(asked, service, depart(unknown, service.book.log_id))[0] is R.LOG_UNKNOWN
    departure = depart(here, service.book.log_id)
    service.here.market.use_nonce("eve", 100, 0)
    assert why(asked, service, departure)[0] is R.STALE_NONCE
    assert looked_at == []
    asked(service, departure, "operator")
    assert looked_at == ["ledger", "proof"]


def test_a_meter_is_released_to_nobody_who_is_unknown() -> None:
    """It would be registered nowhere any more, for a digit that is wrong."""
    there = log(2)
    service = served(known=[there])
    asked(service)
    for nobody in (bytes(32), b"short"):
        assert why(released, service, nobody) == (R.LOG_UNKNOWN, "to_log_id")
    assert get(service).standing.registered and sells(service) == ""
    other = served(known=[there])
    asked(other)
    assert not released(other, there.log_id).standing.registered
    # Back to the same log.
    home = served()
    asked(home)
    assert not released(home).standing.registered


def test_a_meter_whose_key_the_file_has_no_more_is_found_by_it_and_leaves() -> None:
    """Whatever the file says: it would be registered for ever where its operator has forgotten it."""
    there = log(2)
    before = served(known=[there])
    asked(before)
    service = served(before.book, [there], OTHER_METER)
    by_key = pb.GetMeterRequest(public_key=METER.public_key)
    found = asyncio.run(service.GetMeter(by_key, None)).standing
    assert (found.meter_id, found.party, found.registered) == ("", "", True)
    assert not get(service).standing.epoch
    assert why(asked, service)[0] is R.METER_HAS_NO_KEY
    left = released(service, there.log_id, "ann")
    assert asyncio.run(service.GetMeter(by_key, None)).departure == left.departure
    register(there, left.departure)
    # One that was never here is not found, and one that is in the file is, by either.
    unknown = pb.GetMeterRequest(public_key=there.public_key)
    assert why(asyncio.run, service.GetMeter(unknown, None))[0] is R.METER_HAS_NO_KEY
    by_key = pb.GetMeterRequest(public_key=OTHER_METER.public_key)
    assert asyncio.run(service.GetMeter(by_key, None)) == get(service)


def test_a_key_that_is_no_meters_any_more_leaves_once_what_was_agreed_before_is_over() -> None:
    key = ("meter of eve", Interval(0, 100))
    positions = Positions({key: Position(open_sold=Wh(5)), ("m", Interval(100, 100)): Position()})
    moves = Moves({}, positions)
    assert why(lambda: moves.begin(METER.public_key, 99, leaves=True))[0] is R.METER_BUSY
    moves.begin(METER.public_key, 100, leaves=True)
    assert why(lambda: moves.begin(METER.public_key, 100, leaves=False))[0] is R.METER_HAS_NO_KEY


@pytest.mark.parametrize("junk", [b"\xfa\x01\x03abc", b"\x12\x80\x80\x14" + bytes(5 << 16)])
def test_what_nobody_could_read_in_the_log_does_not_come_into_it(junk: bytes) -> None:
    """The meter's signature is of its certificate alone, and whoever sends it adds to it what he likes."""
    service = served()
    said = registration(service.book)
    said.MergeFromString(junk)
    request = service.said("RegisterMeter", pb.RegisterMeterRequest(registration=said))
    assert why(asyncio.run, service.RegisterMeter(request, None))[0] is R.CERTIFICATE_UNFIT
    asked(service)
    leaves = release(service.book)
    leaves.MergeFromString(junk)
    leaving = service.said("ReleaseMeter", pb.ReleaseMeterRequest(release=leaves))
    assert why(asyncio.run, service.ReleaseMeter(leaving, None))[0] is R.CERTIFICATE_UNFIT
    released(service)
    assert verify(service.book.entries(0, 3), service.book.head()).tree.size == 3


def test_a_move_goes_on_where_nobody_waits_for_it_and_till_then_nothing_is_sold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = served()
    asked(service)
    begun, written = asyncio.Event(), asyncio.Event()
    write = service.here.write

    async def slow(key: str, entry: ledger_pb2.Entry) -> Receipt:
        begun.set()
        await written.wait()
        return await write(key, entry)

    monkeypatch.setattr(service.here, "write", slow)
    request = pb.ReleaseMeterRequest(release=release(service.book))

    async def left_alone() -> None:
        call = asyncio.ensure_future(
            service.ReleaseMeter(service.said("ReleaseMeter", request), None)
        )
        await begun.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert sells(service) == R.METER_NOT_REGISTERED
        written.set()
        # Whoever asks again waits for the same.
        answer = await service.ReleaseMeter(request, None)
        assert answer.seq == 2 and not service.here.market.moves._under_way

    asyncio.run(left_alone())
    assert sells(service) == R.METER_NOT_REGISTERED
