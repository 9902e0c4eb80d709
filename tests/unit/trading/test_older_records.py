"""What an earlier release has journalled and logged is read as it was, field by field that came since."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from tests.support.market_steps import CALLED
from tests.support.sagas import TO_METERS, read, told, trade
from trading.core.orders import Interval
from trading.core.trades import Close, Trade
from trading.exchange.entries import Entries
from trading.exchange.terms import salt_of
from trading.market.phases import Phase
from trading.market.records import IntervalRecord, TradeRecord

SECRET = b"secret"


def read_without(record: msgspec.Struct, *path: str) -> Any:
    """Of a release that did not have that field yet."""
    fields = msgspec.to_builtins(record)
    within = fields
    for name in path[:-1]:
        within = within[name]
    del within[path[-1]]
    return msgspec.msgpack.decode(msgspec.msgpack.encode(fields), type=type(record))


def metered() -> Trade:
    one = trade()
    told(one, *TO_METERS, read(1050, 1000))
    return one


@pytest.mark.parametrize(
    "path", [("trade", "evidence"), ("trade", "terms", "tariff", "dispute_fee_ppm")]
)
def test_a_trade_of_before_is_as_it_was(path: tuple[str, ...]) -> None:
    record = TradeRecord(metered(), 1, "call", 0)
    assert read_without(record, *path) == record


def test_an_interval_of_before_has_no_reason_to_tell() -> None:
    record = IntervalRecord(Interval(CALLED, 1), "call", Phase.CLEARING, is_due=True)
    assert read_without(record, "uncleared") == record


def test_where_nobody_named_evidence_the_log_has_the_hash_that_it_always_had() -> None:
    """What is asked again after an upgrade is the same entry."""
    one = metered()
    close = Close("t1/close", "t1", ())
    entries, salt = Entries("joe", SECRET, 0), salt_of(SECRET, one.trade_id)
    as_before = sha256(msgspec.msgpack.encode((one.ends, one.missed)) + salt).digest()
    assert entries.close(close, one).entry.close.evidence_hash == as_before
    one.evidence = ("c7",)
    assert entries.close(close, one).entry.close.evidence_hash != as_before
