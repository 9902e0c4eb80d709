"""Eavesdropping on the log, which everybody may read: where who is, and what a trade was about, is not in it."""

from unittest.mock import patch

import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.attacks import repelled
from tests.support.ledgers import ledger
from tests.support.market_receipts import settled
from trading.exchange import terms
from trading.exchange.terms import terms_bytes, terms_hash
from trading.ledger.storage import MemoryStorage

pytestmark = pytest.mark.attack


def test_nothing_of_a_place_a_meter_or_a_price_is_in_the_log() -> None:
    storage = MemoryStorage()
    _, trade, receipt = settled(ledger(storage))
    log = b"".join(each.SerializeToString() for each in storage.entries())
    for secret in (trade.buy_meter, trade.sell_meter, *trade.path):
        assert secret.encode() in receipt.terms
        assert secret.encode() not in log
    assert receipt.terms not in log


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
