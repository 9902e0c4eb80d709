"""Eavesdropping on the log, which everybody may read: where who is, and what a trade was about, is not in it."""

import asyncio
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support import meters
from tests.support.attacks import repelled
from tests.support.ledgers import KEY, deposit, ledger
from tests.support.market_ports import Others, journal, pass_time, runtime, tender
from tests.support.market_receipts import settled
from tests.support.market_settings import SETTINGS
from tests.support.market_world import LENGTH_NS
from tests.support.northbound import in_loop
from tests.support.sagas import HELD, TO_METERS, read, told, trade
from trading.core.orders import Side
from trading.core.trades import Begin, Close, Lock, Times, Trade
from trading.exchange import terms
from trading.exchange.ledger_port import LedgerPort
from trading.exchange.services.books import Books
from trading.exchange.services.clearings import Clearings
from trading.exchange.services.codec import order_to_pb
from trading.exchange.services.watching import MarketWatch
from trading.exchange.terms import terms_bytes, terms_hash
from trading.ledger.storage import MemoryStorage
from trading.market.records import OrderRecord

pytestmark = pytest.mark.attack


def test_nothing_of_a_place_a_meter_or_a_price_is_in_the_log() -> None:
    storage = MemoryStorage()
    _, trade, receipt = settled(ledger(storage))
    log = b"".join(each.SerializeToString() for each in storage.entries())
    for secret in (trade.buy_meter, trade.sell_meter, *trade.path):
        assert secret.encode() in receipt.terms
        assert secret.encode() not in log
    assert receipt.terms not in log


def test_a_meter_that_moves_is_a_key_in_the_log_and_no_name_nor_place() -> None:
    service = meters.served()
    meters.asked(service)
    meters.depart(service.book, meters.log(2).log_id)
    log = b"".join(each.SerializeToString() for each in service.book.entries(0, 9))
    meter = service.here.market.moves.meter(meters.METER.public_key)
    assert meter.public_key in log
    assert meter.meter_id.encode() not in log


@in_loop
async def test_whoever_listens_to_a_market_hears_how_much_at_which_price_and_nobodys_name(
    tmp_path: Path,
) -> None:
    others = Others()
    exchange = runtime(others, journal(tmp_path))
    exchange.start()
    # The next is a call.
    await pass_time(others, exchange, LENGTH_NS)
    listening = MarketWatch(exchange, Books(exchange), Clearings(SETTINGS.rules.gate_ns))
    said, heard = b"", b""
    with listening:
        tenders = [tender(others, "ann", Side.BUY), tender(others, "bob", Side.SELL)]
        for each in await exchange.create_tenders(tenders, mandate_holds=True):
            assert isinstance(each, OrderRecord)
            said += order_to_pb(each).SerializeToString()
        events = listening.events()
        traded = False
        while not traded:
            event = await anext(events)
            heard += event.SerializeToString()
            traded = bool(event.clearing.matches)
            if event.book.asks and others.now_ns < 2 * LENGTH_NS:
                # Its gate closes.
                await pass_time(others, exchange, LENGTH_NS)
    for name in (b"ann", b"bob", b"meter of"):
        assert name in said and name not in heard
    await exchange.close()


def closed(secret: bytes, injected: int, delivered: int) -> tuple[Trade, pb.Entry]:
    """A trade that was metered so, and what the log says when its bill is paid; by a market of this secret."""
    one, storage = trade(), MemoryStorage()
    one.operator = "operator"

    async def paid() -> None:
        port = LedgerPort(
            lambda: ledger(storage),
            lambda book, key: book.rotate(KEY, key),
            "operator",
            secret,
            Times(),
            fail,
        )
        await port.open()
        for account in ("ann", "bob", "operator"):
            await port.write(f"deposit/{account}", deposit(account, 10**10))
        locks = told(one, Begin(), HELD)
        closes = told(one, *TO_METERS[2:], read(injected, delivered))
        for asked in (*locks, *closes):
            if isinstance(asked, Lock):
                await port.lock(msgspec.structs.replace(asked, not_after_ns=0), one)
            elif isinstance(asked, Close):
                await port.close(asked, one)
        await port.shut()

    asyncio.run(paid())
    *_, last = storage.entries()
    return one, pb.Entry.FromString(last.entry)


def fail(error: Exception) -> None:
    raise error


def test_readings_are_not_guessed_from_the_hash_of_what_a_bill_was_made_from() -> None:
    """Whoever knows about how much a house takes tries millijoules until the hash is that in the log."""

    def attack() -> bool:
        one, entry = closed(b"secret", 1050, 1000)
        guessed = msgspec.msgpack.encode((one.ends, one.missed))
        return entry.close.evidence_hash == sha256(guessed).digest()

    unsalted = patch("trading.exchange.entries.salt_of", lambda *_: b"")
    repelled(attack, lambda: [unsalted])


def test_of_loads_that_trade_alike_the_log_says_the_same() -> None:
    """One took all of it with a little loss, the other with more: but for a hash of each market's own, one entry."""
    entries = [closed(b"secret", injected, 1000)[1] for injected in (1050, 1052)]
    hashes = {each.close.evidence_hash for each in entries}
    for each in entries:
        each.close.evidence_hash = b""
    assert entries[0] == entries[1] and len(hashes) == 2


def test_terms_are_not_guessed_from_their_hash() -> None:
    """Whoever knows the street tries quantities and prices until the hash is that in the log."""

    def attack() -> bool:
        storage = MemoryStorage()
        _, trade, _ = settled(ledger(storage))
        (lock,) = [
            entry.lock
            for entry in (pb.Entry.FromString(each.entry) for each in storage.entries())
            if entry.HasField("lock")
        ]
        guessed = terms_bytes(trade)
        return terms_hash(guessed, b"") == lock.terms_hash

    unsalted = patch("tests.support.market_receipts.salt_of", lambda *_: b"")
    repelled(attack, lambda: [unsalted])
    assert terms.salt_of(b"a", "t1") != terms.salt_of(b"b", "t1")
