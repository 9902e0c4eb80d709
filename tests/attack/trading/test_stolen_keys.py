"""Stolen keys: one that a log has given up says nothing more, and what it said before stays good."""

from unittest.mock import patch

import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.attacks import repelled
from tests.support.ledgers import KEY, deposit, ledger
from trading.ledger.keys import Domain, SigningKey
from trading.ledger.storage import MemoryStorage
from trading.ledger.verifying import BadLog, Verifier, verify
from trading.ledger.witness import Witness

pytestmark = pytest.mark.attack

NEXT = SigningKey.of_seed(bytes(30) + b"\x01\x01")


def rotated() -> MemoryStorage:
    """A log that has another key since its third entry."""
    storage = MemoryStorage()
    book = ledger(storage)
    book.write("before", deposit("ann", 5))
    book.rotate(NEXT)
    return storage


def test_what_a_key_said_before_it_was_given_up_stays_good() -> None:
    storage = rotated()
    assert verify(storage.entries(), storage.head()).accounts.balance("ann") == 5


def test_a_key_that_was_given_up_writes_no_entry() -> None:
    def attack() -> bool:
        storage = rotated()
        entries = list(storage.entries())
        verifier = Verifier()
        for each in entries:
            verifier.take(each)
        forged = pb.Entry(
            seq=len(entries),
            key="forged",
            at_unix_ns=verifier.last_unix_ns,
            deposit=pb.Deposit(account="eve", nano=5),
        ).SerializeToString(deterministic=True)
        signature = KEY.sign(Domain.ENTRY, verifier.log_id, forged)
        try:
            verifier.take(pb.SignedEntry(entry=forged, key_id=KEY.key_id, signature=signature))
        except BadLog as bad:
            assert bad.seq == len(entries)
            return False
        return verifier.accounts.balance("eve") == 5

    repelled(attack, lambda: [patch.object(Verifier, "_check_signature", lambda *_: None)])


def test_a_key_that_the_log_never_announced_convinces_no_witness() -> None:
    """Whoever stole the log's files and has no key of it makes one of his own."""

    def attack() -> bool:
        book = ledger()
        witness = Witness(book.log_id, book.public_key, SigningKey.of_seed(bytes(32)))
        witness.sign(book.head(), book.consistency)
        head = pb.TreeHead.FromString(book.head().head)
        content = head.SerializeToString(deterministic=True)
        thief = SigningKey.of_seed(bytes(30) + b"\x02\x02")
        signature = thief.sign(Domain.TREE_HEAD, book.log_id, content)
        signed = pb.SignedTreeHead(head=content, key_id=KEY.key_id, signature=signature)
        try:
            witness.sign(signed, book.consistency)
        except BadLog:
            return False
        return True

    repelled(attack, lambda: [patch("trading.ledger.witness.is_signed", lambda *_: True)])
