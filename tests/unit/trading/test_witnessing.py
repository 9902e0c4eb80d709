"""A witness keeps what it has seen in a file, signs what goes on from it, and refuses what does not."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import ledger_service_pb2 as pb
from tests.support.ledgers import Clock, deposit, ledger
from tests.support.log_files import copy_of
from trading.client.checking import check_log
from trading.client.witnessing import (
    NoWitness,
    Seen,
    read_head,
    read_seen,
    witness_once,
    write_seen,
)
from trading.ledger.keys import SigningKey
from trading.ledger.ledger import Ledger
from trading.ledger.storage import Appended, MemoryStorage
from trading.ledger.verifying import BadLog

WITNESS = SigningKey.of_seed(bytes(31) + b"\x01")


class Served:
    """A log as a client of its market sees it."""

    def __init__(self, book: Ledger) -> None:
        self.book = book

    def head(self) -> pb.GetHeadResponse:
        return pb.GetHeadResponse(head=self.book.head(), log_public_key=self.book.public_key)

    def consistency(self, from_size: int, to_size: int) -> Sequence[bytes]:
        return self.book.consistency(from_size, to_size)

    def entries(self, from_seq: int, to_seq: int) -> Sequence[ledger_pb2.SignedEntry]:
        return self.book.entries(from_seq, to_seq - from_seq)


def seen_of(book: Ledger, before: Seen | None = None) -> Seen:
    return witness_once(Served(book), WITNESS, before)


def test_what_a_witness_has_seen_is_read_again_from_its_file(tmp_path: Path) -> None:
    book = ledger()
    seen = seen_of(book)
    write_seen(tmp_path / "seen.json", seen)
    assert read_seen(tmp_path / "seen.json") == seen
    book.write("d", deposit("ann", 1))
    write_seen(tmp_path / "seen.json", seen_of(book, seen))
    assert read_head(read_seen(tmp_path / "seen.json")).size == 2
    assert [each.name for each in tmp_path.iterdir()] == ["seen.json"]


def test_a_witness_follows_a_log_to_other_keys_that_it_announces() -> None:
    book = ledger()
    seen = seen_of(book)
    for number in range(2):
        book.rotate(SigningKey.of_seed(bytes(30) + bytes([1, number])))
        book.write(f"{number}", deposit("ann", 1))
    after = seen_of(book, seen)
    assert (after.log_public_key, read_head(after).size) == (book.public_key, 5)


def test_a_witness_refuses_a_key_that_the_log_has_not_announced() -> None:
    storage = MemoryStorage()
    seen = seen_of(ledger(storage))
    other = Ledger(MemoryStorage(), SigningKey.of_seed(bytes(30) + b"\x02\x02"), Clock(), "test")
    with pytest.raises(BadLog):
        seen_of(other, seen)


def split_view() -> tuple[Ledger, Ledger, MemoryStorage]:
    """Two histories with one beginning, by one key; and the storage of the second."""
    one, two = MemoryStorage(), MemoryStorage()
    book = ledger(one)
    head = one.head()
    assert head is not None
    two.append(0, [Appended("ledger/genesis", each) for each in one.entries()], head)
    other = ledger(two, Clock(5_000))
    book.write("a", deposit("ann", 5))
    other.write("a", deposit("eve", 5))
    other.write("b", deposit("eve", 5))
    return book, other, two


def test_a_witness_refuses_another_history_and_a_log_that_was_cut_short() -> None:
    book, other, _ = split_view()
    seen = seen_of(book)
    with pytest.raises(BadLog, match="does not go on"):
        seen_of(other, seen)
    longer = seen_of(other)
    with pytest.raises(BadLog, match="after one of"):
        seen_of(book, longer)


def test_two_files_of_witnesses_show_that_a_log_has_two_histories(tmp_path: Path) -> None:
    book, other, storage = split_view()
    log = copy_of(storage, tmp_path / "log")
    assert check_log(log, [seen_of(other)]).witnessed == 3
    with pytest.raises(BadLog, match="rewritten"):
        check_log(log, [seen_of(other), seen_of(book)])
    book.write("b", deposit("ann", 5))
    book.write("c", deposit("ann", 5))
    with pytest.raises(BadLog, match="cut short"):
        check_log(log, [seen_of(book)])


@pytest.mark.parametrize("field", Seen.__struct_fields__)
def test_a_witness_file_that_was_altered_is_none(field: str, tmp_path: Path) -> None:
    seen = seen_of(ledger())
    content = bytearray(getattr(seen, field))
    content[3] ^= 4
    write_seen(tmp_path / "seen.json", msgspec.structs.replace(seen, **{field: bytes(content)}))
    with pytest.raises(NoWitness, match="altered"):
        read_seen(tmp_path / "seen.json")


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 5_000, b'{"head": 1}', b"\xff"])
def test_a_file_that_is_no_witness_is_said_to_be_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "seen.json").write_bytes(content)
    with pytest.raises(NoWitness):
        read_seen(tmp_path / "seen.json")
