"""Modification of a ledger's log: bits, order, length, and history written anew with the right key."""

import random
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.altered_logs import Copy, flipped, found
from tests.support.attacks import repelled
from tests.support.cases import cases
from tests.support.ledgers import Clock, deposit, ledger, transfer
from tests.support.log_files import copy_of, fill
from trading.ledger.keys import SigningKey
from trading.ledger.ledger import Ledger
from trading.ledger.log_file import verify_file, write_copy
from trading.ledger.merkle import Tree
from trading.ledger.storage import Appended, MemoryStorage
from trading.ledger.verifying import BadLog, Verifier, verify
from trading.ledger.witness import Witness

pytestmark = pytest.mark.attack

Off = list[AbstractContextManager[object]]
# Pairs of entries, so that a log has a thousand.
TRADES = 499
# Entries of which every bit is tried, every place to cut within, every other entry in their place, as `make promised`
# does with them all; where there are none, one of each is.
WHOLE = cases("WHOLE_ENTRIES", 0)
# With which an entry begins in a copy.
_BITS_OF_LENGTH = 32


def nobody_signs() -> Off:
    """Signatures, and the head that they are beneath, are believed."""
    return [
        patch("trading.ledger.verifying.is_signed", lambda *_: True),
        patch.object(Tree, "root", lambda *_: bytes(32)),
    ]


@pytest.fixture(scope="module")
def log() -> Copy:
    return Copy(TRADES)


def some_of(count: int, seq: int) -> Iterable[int]:
    """All of those that are to be tried whole; where none is, one."""
    if WHOLE:
        return range(count if seq in WHOLE else 0)
    return [random.Random(seq).randrange(count)]


def test_a_bit_of_any_of_a_thousand_entries_is_found_and_the_entry_named(
    log: Copy, record_property: Callable[[str, object], None]
) -> None:
    assert len(log.entries) == 1_000
    tried = 0
    for seq, verifier in log.states():
        piece = log.pieces[seq] if seq < 1_000 else log.end
        for bit in some_of(8 * len(piece), seq):
            # Where a length is altered, more is read than there was of it.
            rest = log.rest(seq + 1) if bit < _BITS_OF_LENGTH else b""
            bad = found(verifier, seq, flipped(piece, bit) + rest)
            # Of the end: it is taken for another entry, or its head is named.
            assert bad.seq == seq or (seq == 1_000 and "head" in str(bad)), (seq, bit)
            tried += 1
    record_property("bits", tried)


def test_wherever_a_log_is_cut_that_is_found_and_the_entry_named(
    log: Copy, record_property: Callable[[str, object], None]
) -> None:
    tried = 0
    for seq, verifier in log.states():
        piece = log.pieces[seq] if seq < 1_000 else log.end
        for size in some_of(len(piece), seq):
            bad = found(verifier, seq, piece[:size])
            assert bad.seq == seq or (seq == 1_000 and "head" in str(bad)), (seq, size)
            tried += 1
    record_property("cuts", tried)


def test_an_entry_that_stands_where_another_was_is_found_and_the_place_named(
    log: Copy, record_property: Callable[[str, object], None]
) -> None:
    """As all that were left out, said again, or have changed their places do."""
    tried = 0
    for seq, verifier in log.states():
        for other in some_of(1_000, seq):
            if other != seq:
                assert found(verifier, seq, log.pieces[other] + log.end).seq == seq
                tried += 1
    record_property("moves", tried)


def test_history_that_is_written_anew_from_any_entry_on_is_found_by_who_has_seen_that(
    log: Copy, record_property: Callable[[str, object], None]
) -> None:
    """With the log's own key, so that all its signatures are good."""
    tried = 0
    for seq in [each for each in WHOLE if 0 < each < 1_000] or range(1, 1_000, 97):
        storage = MemoryStorage()
        keys = [pb.Entry.FromString(each.entry).key for each in log.entries[:seq]]
        begun = [Appended(*each) for each in zip(keys, log.entries, strict=False)]
        head = log.head_of(seq)
        storage.append(0, begun, head)
        witness = Witness(log.book.log_id, log.book.public_key, SigningKey.of_seed(bytes(32)))
        witness.sign(log.head_of(seq + 1), log.book.consistency)
        rewritten = ledger(storage, Clock(5_000))
        rewritten.write("other", deposit("eve", 5))
        seen = pb.TreeHead.FromString(log.head_of(seq + 1).head)
        (tail,) = rewritten.entries(seq, 1)
        with pytest.raises(BadLog, match=f"first {seq + 1} entries .* rewritten"):
            verify([*log.entries[:seq], tail], rewritten.head(), [seen])
        with pytest.raises(BadLog, match="does not go on"):
            witness.sign(rewritten.head(), rewritten.consistency)
        tried += 1
    record_property("histories", tried)


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
