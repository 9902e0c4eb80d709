"""Receipts: whoever has one can convince himself that a trade stands in the log as it says, without asking anybody."""

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeVar

import msgspec
from google.protobuf.message import DecodeError, Message

from digitalgrid.errors import ExplainedError
from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import market_pb2 as pb
from trading.ledger.keys import Domain, is_signed, key_id_of
from trading.ledger.merkle import includes, leaf_hash

M = TypeVar("M", bound=Message)


class BadReceipt(ExplainedError):
    """A receipt that proves nothing, or something else. Its message says what of it."""


class Proved(msgspec.Struct, frozen=True):
    """What a receipt proves: entries that stand in the log of a size, by its key; and the terms that were agreed."""

    log_id: bytes
    size: int
    at_unix_ns: int
    entries: tuple[ledger_pb2.Entry, ...]
    # None where no money was ever locked for the trade, so that nothing has the hash of any terms.
    terms: pb.TradeTerms | None


def check_receipt(
    receipt: pb.Receipt, trade_id: str, log_public_key: bytes = b"", log_id: bytes = b""
) -> Proved:
    """Raises :class:`BadReceipt`. Key and id: those that the log is known to have; else the receipt's."""
    if log_public_key and receipt.log_public_key != log_public_key:
        raise BadReceipt("it is signed with another key than the log is known to have")
    head = _head(receipt)
    if log_id and head.log_id != log_id:
        raise BadReceipt("it is of another log")
    entries = tuple(_proved(each, head) for each in receipt.entries)
    for entry in entries:
        _check_subject(entry, trade_id)
    locks = [each.lock for each in entries if each.HasField("lock")]
    terms = _terms(receipt, locks[0], trade_id) if locks else None
    for entry in entries:
        if entry.HasField("commitment"):
            _check_agreed(entry.commitment, locks)
    return Proved(head.log_id, head.size, head.at_unix_ns, entries, terms)


def _head(receipt: pb.Receipt) -> ledger_pb2.TreeHead:
    head = _parsed(ledger_pb2.TreeHead(), receipt.head, "its head")
    key = receipt.log_public_key
    good = receipt.head_key_id == key_id_of(key) and is_signed(
        key, Domain.TREE_HEAD, head.log_id, receipt.head, receipt.head_signature
    )
    if not good:
        raise BadReceipt("the log's signature of its head is not good")
    return head


def _proved(received: pb.ReceiptEntry, head: ledger_pb2.TreeHead) -> ledger_pb2.Entry:
    entry = _parsed(ledger_pb2.Entry(), received.entry, "an entry")
    leaf = leaf_hash(received.entry)
    if not includes(leaf, entry.seq, head.size, received.inclusion, head.root):
        raise BadReceipt(f"entry {entry.seq} does not stand in the log of {head.size} entries")
    return entry


def _check_subject(entry: ledger_pb2.Entry, trade_id: str) -> None:
    """An entry of another trade proves nothing of this one."""
    body = entry.WhichOneof("body")
    named = getattr(getattr(entry, body), "trade_id", None) if body else None
    subject = entry.key.rpartition("/")[0] if named is None else named
    if subject != trade_id or body not in ("lock", "commitment", "payment", "close", "refund"):
        raise BadReceipt(f"entry {entry.seq} is none of trade {trade_id!r}")


def _check_agreed(commitment: ledger_pb2.Commitment, locks: Sequence[ledger_pb2.Lock]) -> None:
    if not locks or commitment.sha256 != locks[0].terms_hash:
        raise BadReceipt("what was agreed is not what the money was locked for")


def _terms(receipt: pb.Receipt, lock: ledger_pb2.Lock, trade_id: str) -> pb.TradeTerms:
    if not _is_hash_of(lock.terms_hash, receipt.terms, receipt.salt):
        raise BadReceipt("its terms are not those that the money was locked for")
    terms = _parsed(pb.TradeTerms(), receipt.terms, "its terms")
    if terms.trade_id != trade_id:
        raise BadReceipt(f"its terms are of trade {terms.trade_id!r}")
    return terms


def _is_hash_of(terms_hash: bytes, terms: bytes, salt: bytes) -> bool:
    return sha256(terms + salt).digest() == terms_hash


def _parsed(into: M, content: bytes, what: str) -> M:
    try:
        into.ParseFromString(content)
    except DecodeError as error:
        raise BadReceipt(f"{what} cannot be read: {error}") from error
    return into
