"""A log that was altered is found out, and the entry is named: bits, order, length, history, and who shows what."""

import random
from collections.abc import Callable

import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.ledgers import KEY, Clock, close, deposit, ledger, lock, transfer
from trading.ledger.keys import Domain, SigningKey
from trading.ledger.ledger import Ledger
from trading.ledger.storage import Appended, MemoryStorage
from trading.ledger.verifying import BadLog, Verifier, verify
from trading.ledger.witness import Witness

Entries = list[pb.SignedEntry]


def book_of(trades: int = 12) -> tuple[Ledger, MemoryStorage]:
    storage = MemoryStorage()
    book = ledger(storage)
    book.write("deposit", deposit("ann", 10**9))
    for number in range(trades):
        book.write(f"lock {number}", lock(f"t{number}", ann=100 + number))
        book.write(f"close {number}", close(f"t{number}", ("ann", "bob", 100 + number)))
    return book, storage


def split_view() -> tuple[Ledger, MemoryStorage, Ledger, MemoryStorage]:
    """Two logs with one beginning, and one key."""
    one, two = MemoryStorage(), MemoryStorage()
    book = ledger(one)
    head = one.head()
    assert head is not None
    two.append(0, [Appended("ledger/genesis", each) for each in one.entries()], head)
    return book, one, ledger(two, Clock(5_000)), two


def seen(book: Ledger) -> pb.TreeHead:
    return pb.TreeHead.FromString(book.head().head)


def flipped(entries: Entries, index: int, field: str, bit: int) -> Entries:
    altered = pb.SignedEntry()
    altered.CopyFrom(entries[index])
    content = bytearray(getattr(altered, field))
    content[bit // 8] ^= 1 << bit % 8
    setattr(altered, field, bytes(content))
    return [*entries[:index], altered, *entries[index + 1 :]]


def test_a_log_as_it_was_written_is_right() -> None:
    book, storage = book_of()
    verifier = verify(storage.entries(), storage.head(), [seen(book)])
    assert (verifier.accounts.balance("bob"), verifier.log_id) == (book.balance("bob"), book.log_id)


def test_a_bit_that_is_altered_anywhere_is_found_and_its_entry_named() -> None:
    _, storage = book_of()
    entries, head = list(storage.entries()), storage.head()
    bits = random.Random(1)
    for index, signed in enumerate(entries):
        for field in ("entry", "key_id", "signature"):
            for bit in bits.sample(range(8 * len(getattr(signed, field))), 4):
                with pytest.raises(BadLog) as caught:
                    verify(flipped(entries, index, field, bit), head)
                # Another key in the first entry makes another log, which the second is not of.
                assert caught.value.seq == index or (index == 0 and caught.value.seq == 1)


def test_a_bit_of_the_head_that_is_altered_is_found() -> None:
    _, storage = book_of(2)
    head = storage.head()
    assert head is not None
    for field in ("head", "key_id", "signature"):
        for bit in range(8 * len(getattr(head, field))):
            altered = pb.SignedTreeHead()
            altered.CopyFrom(head)
            content = bytearray(getattr(head, field))
            content[bit // 8] ^= 1 << bit % 8
            setattr(altered, field, bytes(content))
            with pytest.raises(BadLog):
                verify(storage.entries(), altered)


@pytest.mark.parametrize(
    ("alter", "named"),
    [
        (lambda entries: [*entries[:5], *entries[6:]], 5),
        (lambda entries: [*entries[:5], entries[6], entries[5], *entries[7:]], 5),
        (lambda entries: [*entries[:5], entries[4], *entries[5:]], 5),
        (lambda entries: entries[:-1], None),
        (lambda entries: entries[1:], 0),
        (lambda entries: [], None),
    ],
)
def test_what_is_missing_moved_or_repeated_is_found(
    alter: Callable[[Entries], Entries], named: int | None
) -> None:
    _, storage = book_of()
    with pytest.raises(BadLog) as caught:
        verify(alter(list(storage.entries())), storage.head())
    assert caught.value.seq == named


def test_a_log_that_was_cut_short_with_its_head_is_found_by_who_has_seen_more() -> None:
    storage = MemoryStorage()
    book = ledger(storage)
    book.write("a", deposit("ann", 5))
    short = list(storage.entries()), storage.head()
    book.write("b", transfer("ann", "bob", 5))
    verify(*short)
    with pytest.raises(BadLog, match="cut short"):
        verify(*short, [seen(book)])


def test_a_history_that_its_own_writer_rewrote_is_found_by_who_has_seen_it() -> None:
    """With the right key: nothing but what others remember tells."""
    book, _, rewritten, two = split_view()
    for each in (book, rewritten):
        each.write("a", deposit("ann", 5))
    book.write("b", transfer("ann", "bob", 5))
    rewritten.write("b", transfer("ann", "eve", 5))
    verify(two.entries(), two.head())
    with pytest.raises(BadLog, match="rewritten"):
        verify(two.entries(), two.head(), [seen(book)])


def test_an_entry_that_moves_money_that_is_not_there_is_found_though_it_is_signed() -> None:
    book, storage = book_of(1)
    entries = list(storage.entries())
    forged = pb.Entry(
        seq=len(entries),
        key="forged",
        at_unix_ns=1_000,
        transfer=pb.Transfer(payer="eve", payee="bob", nano=1),
    ).SerializeToString(deterministic=True)
    signature = KEY.sign(Domain.ENTRY, book.log_id, forged)
    signed = pb.SignedEntry(entry=forged, key_id=KEY.key_id, signature=signature)
    with pytest.raises(BadLog, match="must not be") as caught:
        verify([*entries, signed], storage.head())
    assert caught.value.seq == len(entries)


def test_an_entry_of_another_log_or_key_is_found() -> None:
    book, storage = book_of(1)
    other, others = book_of(1)
    entries = list(storage.entries())
    with pytest.raises(BadLog) as caught:
        verify([*entries[:3], *list(others.entries())[3:]], storage.head())
    assert caught.value.seq == 3 and other.log_id != book.log_id
    stranger = SigningKey.new()
    content = entries[3].entry
    signed = pb.SignedEntry(
        entry=content,
        key_id=stranger.key_id,
        signature=stranger.sign(Domain.ENTRY, book.log_id, content),
    )
    with pytest.raises(BadLog, match="another key"):
        verify([*entries[:3], signed, *entries[4:]], storage.head())


def test_bytes_that_say_the_same_otherwise_are_found() -> None:
    """An entry has one form: fields in order, none that is not known."""
    book, storage = book_of(1)
    (genesis, first, *_) = storage.entries()
    odd = first.entry + b"\xf8\x07\x01"
    signed = pb.SignedEntry(
        entry=odd, key_id=KEY.key_id, signature=KEY.sign(Domain.ENTRY, book.log_id, odd)
    )
    verifier = Verifier()
    verifier.take(genesis)
    with pytest.raises(BadLog, match="bytes"):
        verifier.take(signed)


def test_a_witness_signs_what_goes_on_and_nothing_else() -> None:
    storage = MemoryStorage()
    book = ledger(storage)
    witness = Witness(book.log_id, KEY.public_key, SigningKey.new())
    witness.sign(book.head(), book.consistency)
    for number in range(9):
        book.write(f"{number}", deposit("ann", 1))
        witness.sign(book.head(), book.consistency)
    assert witness.seen.size == 10
    older = ledger(MemoryStorage())
    with pytest.raises(BadLog):
        witness.sign(older.head(), older.consistency)
    assert witness.seen.size == 10


def test_an_entry_that_says_to_be_older_than_the_one_before_is_found() -> None:
    book, storage = book_of(1)
    entries = list(storage.entries())
    late = pb.Entry(
        seq=len(entries), key="x", at_unix_ns=1, deposit=pb.Deposit(account="a", nano=1)
    )
    content = late.SerializeToString(deterministic=True)
    signature = KEY.sign(Domain.ENTRY, book.log_id, content)
    signed = pb.SignedEntry(entry=content, key_id=KEY.key_id, signature=signature)
    with pytest.raises(BadLog, match="older"):
        verify([*entries, signed], storage.head())


def test_a_witness_follows_the_log_to_another_key() -> None:
    storage = MemoryStorage()
    book = ledger(storage)
    witness = Witness(book.log_id, KEY.public_key, SigningKey.new())
    witness.sign(book.head(), book.consistency)
    receipt = book.rotate(SigningKey.new())
    with pytest.raises(BadLog):
        witness.sign(book.head(), book.consistency)
    genesis, rotated = storage.entries()
    with pytest.raises(BadLog):
        witness.follow(genesis)
    witness.follow(rotated)
    witness.sign(book.head(), book.consistency)
    assert witness.seen.size == receipt.seq + 1


def test_a_witness_refuses_a_split_view() -> None:
    book, _, other, _ = split_view()
    book.write("a", deposit("ann", 5))
    other.write("a", deposit("eve", 5))
    other.write("b", deposit("eve", 5))
    witness = Witness(book.log_id, KEY.public_key, SigningKey.new())
    witness.sign(book.head(), book.consistency)
    with pytest.raises(BadLog, match="does not go on"):
        witness.sign(other.head(), other.consistency)
