"""A log's file that anybody can check offline: whatever is altered in it is found, and named with its entry."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.ledgers import TERMS, deposit, ledger
from tests.support.log_files import FILES, copy, copy_of, database, fill
from trading.ledger.log_file import MAGIC, verify_file
from trading.ledger.refusals import LedgerReason, LedgerRefused
from trading.ledger.sqlite_storage import SqliteStorage
from trading.ledger.storage import MemoryStorage
from trading.ledger.verifying import BadLog


def places(content: bytes) -> list[tuple[int, int]]:
    """Where each entry of a copy begins, with its length, and ends."""
    found, at = [], len(MAGIC)
    while size := int.from_bytes(content[at : at + 4]):
        found.append((at, at + 4 + size))
        at += 4 + size
    return found


@pytest.mark.parametrize("kind", FILES)
def test_a_log_as_it_was_written_is_right(kind: str, tmp_path: Path) -> None:
    verifier = verify_file(FILES[kind](tmp_path / "log"))
    assert (verifier.tree.size, verifier.accounts.balance("bob")) == (6, 201)


def test_every_byte_of_a_copy_counts_and_its_entry_is_named(tmp_path: Path) -> None:
    path = copy(tmp_path / "log")
    content = path.read_bytes()
    bits, entries = random.Random(1), places(content)
    # The whole of each signature takes its time.
    for at in range(bits.randrange(3), len(content), 3):
        altered = bytearray(content)
        altered[at] ^= 1 << bits.randrange(8)
        path.write_bytes(altered)
        with pytest.raises(BadLog) as caught:
            verify_file(path)
        wanted = [number for number, (first, end) in enumerate(entries) if first <= at < end]
        if wanted and caught.value.seq is not None:
            assert caught.value.seq == wanted[0]
        else:
            # The mark at the beginning, or the head at the end, which no entry is at fault for.
            assert not wanted or at < entries[-1][0] + 4


def test_a_copy_that_is_cut_anywhere_is_found(tmp_path: Path) -> None:
    path = copy(tmp_path / "log")
    content = path.read_bytes()
    for size in range(0, len(content), 5):
        path.write_bytes(content[:size])
        with pytest.raises(BadLog):
            verify_file(path)
    path.write_bytes(content + b"\x00")
    with pytest.raises(BadLog, match="after the head"):
        verify_file(path)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DELETE FROM entries WHERE seq = 3", 3),
        ("DELETE FROM entries WHERE seq = 0", 0),
        ("DELETE FROM entries WHERE seq = 5", None),
        ("DELETE FROM entries", None),
        ("DELETE FROM head", None),
        ("DROP TABLE head", None),
        ("DROP TABLE entries", 0),
        ("UPDATE entries SET seq = 9 WHERE seq = 5", 5),
        ("UPDATE entries SET key = 'other' WHERE seq = 2", 2),
        ("UPDATE entries SET signed = 'text' WHERE seq = 2", 2),
        ("UPDATE entries SET signed = x'ff' WHERE seq = 2", 2),
        ("UPDATE entries SET signed = signed || x'f80701' WHERE seq = 2", 2),
        ("UPDATE entries SET signed = (SELECT signed FROM entries WHERE seq = 4) WHERE seq = 2", 2),
        ("UPDATE head SET signed = x'00'", None),
    ],
)
def test_whatever_is_done_to_a_database_is_found(
    statement: str, named: int | None, tmp_path: Path
) -> None:
    path = database(tmp_path / "ledger.sqlite")
    with closing(sqlite3.connect(path)) as other:
        other.execute(statement)
        other.commit()
    with pytest.raises(BadLog) as caught:
        verify_file(path)
    assert caught.value.seq == named


def test_a_log_is_read_while_its_ledger_writes_and_nothing_is_left_beside_one_that_rests(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(SqliteStorage(path)) as storage:
        book = ledger(storage)
        fill(book, 2)
        assert verify_file(path).tree.size == 6
        book.write("more", deposit("ann", 1))
        assert verify_file(path).tree.size == 7
    before = sorted(tmp_path.iterdir())
    assert verify_file(path).tree.size == 7
    assert sorted(tmp_path.iterdir()) == before == [path]


@pytest.mark.parametrize("content", [b"", b"text", MAGIC, b"SQLite format 3\x00", bytes(10_000)])
def test_a_file_that_is_no_log_is_said_to_be_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BadLog):
        verify_file(tmp_path / "file")


def test_the_longest_entry_that_a_ledger_writes_is_read_again(tmp_path: Path) -> None:
    from digitalgrid.market.v1 import ledger_pb2 as pb
    from trading.ledger.accounts import MAX_ID_CHARACTERS, MAX_POSTINGS

    wide, storage = "\U0001f600" * (MAX_ID_CHARACTERS - 2), MemoryStorage()
    book = ledger(storage)
    book.write("d", deposit(f"{wide}1", 1_000))
    book.write(
        "l",
        pb.Entry(
            lock=pb.Lock(
                trade_id=wide, terms_hash=TERMS, stakes=[pb.Stake(account=f"{wide}1", nano=1_000)]
            )
        ),
    )
    book.write(
        "c",
        pb.Entry(
            payment=pb.Payment(
                trade_id=wide,
                postings=[
                    pb.Posting(payer=f"{wide}1", payee=f"{wide}{number}", nano=1)
                    for number in range(10, 10 + MAX_POSTINGS)
                ],
            )
        ),
    )
    assert verify_file(copy_of(storage, tmp_path / "log")).tree.size == 4


def test_an_entry_is_written_up_to_the_length_that_is_read(tmp_path: Path) -> None:
    """Of an escrow that never was, whatever hash there is."""
    from digitalgrid.market.v1 import ledger_pb2 as pb
    from trading.ledger.forms import MAX_ENTRY_BYTES

    def write(trade_id: str, padding: int) -> int:
        entry = pb.Entry(close=pb.Close(trade_id=trade_id, evidence_hash=bytes(padding)))
        book.write(trade_id, entry)
        *_, last = storage.entries()
        return len(last.entry)

    storage = MemoryStorage()
    book = ledger(storage)
    most = MAX_ENTRY_BYTES - 100
    most += MAX_ENTRY_BYTES - write("a", most)
    assert write("b", most) == MAX_ENTRY_BYTES
    with pytest.raises(LedgerRefused) as caught:
        write("c", most + 1)
    assert caught.value.reason is LedgerReason.ENTRY_MALFORMED
    assert verify_file(copy_of(storage, tmp_path / "log")).tree.size == 3
