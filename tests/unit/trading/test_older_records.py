"""What an earlier release has journalled and logged is read as it was, field by field that came since."""

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.market_steps import CALLED
from tests.support.sagas import TO_METERS, read, told, trade
from trading.core.orders import Interval
from trading.core.settlement import Locks, locks_of
from trading.core.trades import Close, Trade
from trading.core.units import Millijoule, Nano, Wh
from trading.exchange.entries import Entries
from trading.exchange.journal import Journal
from trading.exchange.services.codec import clearing_record_to_pb
from trading.exchange.terms import salt_of, terms_bytes
from trading.market.phases import Phase
from trading.market.records import ClearingRecord, ForecastRecord, IntervalRecord, TradeRecord

SECRET = b"secret"


def without(record: msgspec.Struct, *path: str) -> bytes:
    """As a release wrote it that did not have that field yet."""
    fields = msgspec.to_builtins(record)
    within = fields
    for name in path[:-1]:
        within = within[name]
    del within[path[-1]]
    return msgspec.msgpack.encode(fields)


def read_without(record: msgspec.Struct, *path: str) -> Any:
    return msgspec.msgpack.decode(without(record, *path), type=type(record))


def metered() -> Trade:
    one = trade()
    told(one, *TO_METERS, read(1050, 1000))
    return one


@pytest.mark.parametrize(
    "path",
    [("trade", "evidence"), ("trade", "terms", "tariff", "dispute_fee_ppm"), ("trade", "last_mj")],
)
def test_a_trade_of_before_is_as_it_was(path: tuple[str, ...]) -> None:
    record = TradeRecord(metered(), 1, "call", 0)
    assert read_without(record, *path) == record


def test_an_interval_of_before_has_no_reason_to_tell() -> None:
    record = IntervalRecord(Interval(CALLED, 1), "call", Phase.CLEARING, is_due=True)
    assert read_without(record, "uncleared") == record


def test_a_clearing_of_before_names_no_reference_price() -> None:
    record = ClearingRecord(Interval(CALLED, 1), "call", 1, (), (), (), 0, 0)
    assert read_without(record, "reference") == record
    assert not clearing_record_to_pb(record, 0).HasField("reference_micro_per_kwh")


def test_a_journal_of_before_is_loaded(tmp_path: Path) -> None:
    trade = TradeRecord(metered(), 1, "call", 0)
    interval = IntervalRecord(trade.trade.interval, "call", Phase.SETTLING)
    start_ns = interval.interval.start_ns
    Journal(tmp_path / "j", "m").close()
    with closing(sqlite3.connect(tmp_path / "j")) as db, db:
        record = without(trade, "trade", "terms", "tariff", "dispute_fee_ppm")
        row = (start_ns, 1, "t1", "ann", "bob", record)
        db.execute("INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?)", row)
        record = without(interval, "uncleared")
        db.execute("INSERT INTO intervals VALUES (?, 0, ?)", (start_ns, record))
        db.execute("DROP TABLE forecasts")
        db.execute("PRAGMA user_version=1")
    journal = Journal(tmp_path / "j", "m")
    found = journal.load()
    assert (found.trades, found.intervals) == ((trade,), (interval,))
    # What it had no place for it has now.
    said = ForecastRecord(interval.interval, "m1", Wh(700))
    journal.start(lambda _: None, lambda error: None)
    journal.submit(1, [said])
    journal.close()
    journal = Journal(tmp_path / "j", "m")
    assert journal.load().forecasts == (said,)
    journal.close()


def test_where_there_is_no_fee_terms_and_what_is_locked_are_what_they_always_were() -> None:
    one, dear = metered(), metered()
    named = pb.TradeTerms.FromString(terms_bytes(one)).tariff.ListFields()
    assert "dispute_fee_ppm" not in {field.name for field, _ in named}
    tariff = msgspec.structs.replace(dear.terms.tariff, dispute_fee_ppm=10_000)
    dear.terms = msgspec.structs.replace(dear.terms, tariff=tariff)
    assert terms_bytes(dear) != terms_bytes(one)
    # 0.2 per kWh and tolls; up to the utility's 0.3; and what the network can curtail.
    locks, fee = Locks(Nano(202_000_000), Nano(100_000_000), Nano(10_000_000)), 3_120_000
    assert locks_of(one.terms) == locks
    with_fee = Locks(Nano(locks.buyer + fee), Nano(locks.seller + fee), locks.operator)
    assert locks_of(dear.terms) == with_fee


def test_where_nobody_named_evidence_the_log_has_the_hash_that_it_always_had() -> None:
    """What is asked again after an upgrade is the same entry."""
    one = metered()
    close = Close("t1/close", "t1", ())
    entries, salt = Entries("joe", SECRET, 0), salt_of(SECRET, one.trade_id)
    as_before = sha256(msgspec.msgpack.encode((one.ends, one.missed)) + salt).digest()
    assert entries.close(close, one).entry.close.evidence_hash == as_before
    # What was heard before is no evidence where both ends have spoken.
    one.last_mj = Millijoule(7)
    assert entries.close(close, one).entry.close.evidence_hash == as_before
    one.evidence = ("c7",)
    assert entries.close(close, one).entry.close.evidence_hash != as_before
