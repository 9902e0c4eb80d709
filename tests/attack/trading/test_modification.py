"""Modification of a ledger's log: bits, order, length, and history written anew with the right key."""

import os
import random
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.attacks import repelled
from tests.support.ledgers import Clock, deposit, ledger, transfer
from tests.support.log_files import copy_of, fill
from trading.ledger.keys import SigningKey
from trading.ledger.ledger import Ledger
from trading.ledger.log_file import _parsed, verify_file, write_copy
from trading.ledger.merkle import Tree
from trading.ledger.storage import Appended, MemoryStorage
from trading.ledger.verifying import BadLog, Verifier, verify
from trading.ledger.witness import Witness

pytestmark = pytest.mark.attack

Off = list[AbstractContextManager[object]]
# Pairs of entries, so that a log has a thousand.
TRADES = 499
# Of each entry: `BITS=all .venv/bin/pytest tests/attack/trading/test_modification.py` tries every one of two million.
BITS = os.environ.get("BITS", "1")


def nobody_signs() -> Off:
    """Signatures, and the head that they are beneath, are believed."""
    return [
        patch("trading.ledger.verifying.is_signed", lambda *_: True),
        patch.object(Tree, "root", lambda *_: bytes(32)),
    ]


def altered(signed: pb.SignedEntry, bit: int) -> pb.SignedEntry | None:
    """As a reader of the bytes has it; None where they are no entry any more."""
    content = bytearray(signed.SerializeToString(deterministic=True))
    content[bit // 8] ^= 1 << bit % 8
    try:
        return _parsed(pb.SignedEntry, bytes(content), 0)
    except BadLog:
        return None


def bits_of(signed: pb.SignedEntry, draw: random.Random) -> Iterable[int]:
    every = range(8 * signed.ByteSize())
    return every if BITS == "all" else draw.sample(every, int(BITS))


def test_a_bit_of_any_of_a_thousand_entries_is_found_and_the_entry_named() -> None:
    storage = MemoryStorage()
    fill(ledger(storage), TRADES)
    entries, draw = list(storage.entries()), random.Random(7)
    assert len(entries) == 1_000
    verifier, tried = Verifier(), 0
    for seq, signed in enumerate(entries):
        for bit in bits_of(signed, draw):
            tried += 1
            wrong = altered(signed, bit)
            if wrong is not None:
                with pytest.raises(BadLog) as caught:
                    # Whatever it takes of a first entry, it has not taken it.
                    (verifier if seq else Verifier()).take(wrong)
                assert caught.value.seq == seq
        verifier.take(signed)
    assert tried >= len(entries)


def test_an_amount_that_is_altered_is_found() -> None:
    def attack() -> bool:
        storage = MemoryStorage()
        fill(ledger(storage), 2)
        entries = list(storage.entries())
        entry = pb.Entry.FromString(entries[1].entry)
        entry.deposit.nano *= 2
        entries[1].entry = entry.SerializeToString(deterministic=True)
        try:
            return verify(entries, storage.head()).accounts.issued > 10**9
        except BadLog:
            return False

    def believed() -> Off:
        return [*nobody_signs(), patch.object(Verifier, "end", lambda *_: pb.TreeHead())]

    repelled(attack, believed)


def cut(entries: list[pb.SignedEntry]) -> list[pb.SignedEntry]:
    return entries[:-1]


def without_one(entries: list[pb.SignedEntry]) -> list[pb.SignedEntry]:
    return [*entries[:2], *entries[4:]]


def exchanged(entries: list[pb.SignedEntry]) -> list[pb.SignedEntry]:
    """Two trades that do not need each other."""
    return [*entries[:2], *entries[4:6], *entries[2:4], *entries[6:]]


@pytest.mark.parametrize("alter", [cut, without_one, exchanged])
def test_entries_that_are_left_out_or_moved_are_missed(
    alter: Callable[[list[pb.SignedEntry]], list[pb.SignedEntry]], tmp_path: Path
) -> None:
    def attack() -> bool:
        storage = MemoryStorage()
        fill(ledger(storage), 4)
        head = storage.head()
        assert head is not None
        with (tmp_path / "log").open("wb") as file:
            write_copy(file, alter(list(storage.entries())), head)
        try:
            verify_file(tmp_path / "log")
        except BadLog:
            return False
        return True

    def nobody_looks() -> Off:
        return [
            patch.object(Verifier, "_check_place", lambda *_: None),
            patch.object(Verifier, "end", lambda *_: pb.TreeHead()),
        ]

    repelled(attack, nobody_looks)


def shortened(tmp_path: Path) -> tuple[Path, pb.TreeHead]:
    """A log as it was before, with the head of then, and a head that somebody has seen since."""
    storage = MemoryStorage()
    book = ledger(storage)
    book.write("a", deposit("eve", 5))
    short = copy_of(storage, tmp_path / "short")
    book.write("b", transfer("eve", "ann", 5))
    return short, pb.TreeHead.FromString(book.head().head)


def test_a_log_that_is_cut_short_with_its_head_is_found_by_a_witness(tmp_path: Path) -> None:
    """Its own signatures are good: the defence is that somebody has seen more of it."""
    short, seen = shortened(tmp_path)
    with pytest.raises(BadLog, match="cut short"):
        verify_file(short, [seen])
    assert verify_file(short).accounts.balance("eve") == 5


def split_view() -> tuple[Ledger, Ledger, MemoryStorage]:
    """Two histories with one beginning by one key: what was paid in one was paid to another in the other."""
    one, two = MemoryStorage(), MemoryStorage()
    told = ledger(one)
    told.write("a", deposit("eve", 5))
    head = one.head()
    assert head is not None
    keys = ("ledger/genesis", "a")
    entries = zip(keys, one.entries(), strict=True)
    two.append(0, [Appended(key, entry) for key, entry in entries], head)
    rewritten = ledger(two, Clock(5_000))
    told.write("b", transfer("eve", "ann", 5))
    rewritten.write("b", transfer("eve", "bob", 5))
    rewritten.write("c", deposit("eve", 1))
    return told, rewritten, two


def test_a_history_that_is_written_anew_with_the_right_key_is_found_by_who_has_seen_it(
    tmp_path: Path,
) -> None:
    told, _, storage = split_view()
    rewritten = copy_of(storage, tmp_path / "log")
    with pytest.raises(BadLog, match="rewritten"):
        verify_file(rewritten, [pb.TreeHead.FromString(told.head().head)])
    assert verify_file(rewritten).accounts.balance("bob") == 5


def test_a_witness_signs_no_second_history() -> None:
    def attack() -> bool:
        told, rewritten, _ = split_view()
        witness = Witness(told.log_id, told.public_key, SigningKey.of_seed(bytes(32)))
        witness.sign(told.head(), told.consistency)
        try:
            witness.sign(rewritten.head(), rewritten.consistency)
        except BadLog:
            return False
        return True

    repelled(attack, lambda: [patch("trading.ledger.witness.extends", lambda *_: True)])
