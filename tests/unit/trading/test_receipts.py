"""A receipt convinces without asking anybody, of its own trade only; and nothing else does."""

from collections.abc import Callable

import pytest

from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.ledgers import KEY, ledger
from tests.support.market_receipts import SECRET, settled
from trading.client.receipts import BadReceipt, check_receipt
from trading.exchange.services.receipts import receipt_of
from trading.exchange.terms import salt_of, terms_bytes
from trading.ledger.keys import SigningKey

Alter = Callable[[pb.Receipt], object]


def test_a_receipt_proves_what_was_locked_agreed_and_paid() -> None:
    book, trade, receipt = settled()
    proved = check_receipt(receipt, "t1", KEY.public_key)
    assert [each.WhichOneof("body") for each in proved.entries] == ["lock", "commitment", "close"]
    assert (proved.log_id, proved.size) == (book.log_id, book.size)
    assert proved.terms is not None
    assert (proved.terms.buyer, proved.terms.wh) == (trade.buyer, trade.terms.wh)


def test_a_trade_without_money_has_a_receipt_of_nothing() -> None:
    book = ledger()
    proved = check_receipt(receipt_of(book, "t9", b"terms", SECRET), "t9")
    assert (proved.entries, proved.terms) == ((), None)


def flip(field: str) -> Alter:
    def alter(receipt: pb.Receipt) -> None:
        content = bytearray(getattr(receipt, field))
        content[len(content) // 2] ^= 1
        setattr(receipt, field, bytes(content))

    return alter


def swap_commitment(receipt: pb.Receipt) -> None:
    """Of another trade in the same log."""
    _, _, other = settled(settled()[0], "t2")
    receipt.CopyFrom(other)
    receipt.entries[1].CopyFrom(other.entries[0])


@pytest.mark.parametrize(
    ("alter", "why"),
    [
        (flip("head"), "head"),
        (flip("head_signature"), "signature"),
        (flip("head_key_id"), "signature"),
        (flip("terms"), "terms"),
        (flip("salt"), "terms"),
        (flip("log_public_key"), "another key"),
        (lambda receipt: receipt.ClearField("log_public_key"), "another key"),
        (lambda receipt: receipt.entries[0].ClearField("inclusion"), "does not stand"),
        (lambda receipt: receipt.entries[0].inclusion.append(bytes(32)), "does not stand"),
        (lambda receipt: receipt.entries[0].ClearField("entry"), "does not stand"),
        (lambda receipt: setattr(receipt.entries[0], "entry", b"\xff"), "cannot be read"),
        (lambda receipt: receipt.entries.pop(0), "locked for"),
        (swap_commitment, "none of trade"),
    ],
)
def test_a_receipt_that_was_altered_proves_nothing(alter: Alter, why: str) -> None:
    receipt = settled()[2]
    alter(receipt)
    with pytest.raises(BadReceipt, match=why):
        check_receipt(receipt, "t1", KEY.public_key)


def test_a_receipt_of_one_trade_is_none_of_another() -> None:
    receipt = settled()[2]
    with pytest.raises(BadReceipt, match="none of trade"):
        check_receipt(receipt, "t2", KEY.public_key)
    with pytest.raises(BadReceipt, match="another log"):
        check_receipt(receipt, "t1", KEY.public_key, settled()[0].log_id)


def test_a_receipt_stays_good_after_the_log_has_another_key() -> None:
    book, trade, _ = settled()
    book.rotate(SigningKey.of_seed(bytes(32)))
    receipt = receipt_of(book, "t1", terms_bytes(trade), salt_of(SECRET, "t1"))
    assert check_receipt(receipt, "t1", book.public_key).size == book.size
    with pytest.raises(BadReceipt, match="another key"):
        check_receipt(receipt, "t1", KEY.public_key)
