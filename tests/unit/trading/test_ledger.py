"""One conformance suite for ledgers, whatever they are stored in: money is moved once, never made, never lost."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.garbage import left_by
from tests.support.ledgers import (
    KEY,
    STORAGES,
    TERMS,
    Clock,
    close,
    deposit,
    ledger,
    lock,
    payment,
    refund,
    transfer,
    withdrawal,
)
from tests.support.races import Locks, run
from trading.ledger.accounts import MAX_ID_CHARACTERS, MAX_POSTINGS, MAX_STAKES
from trading.ledger.keys import SigningKey
from trading.ledger.ledger import Ledger, Receipt, Wanted
from trading.ledger.merkle import extends, includes
from trading.ledger.refusals import LedgerReason, LedgerRefused
from trading.ledger.sqlite_storage import NoLedger, SqliteStorage
from trading.ledger.storage import Appended, Fenced, MemoryStorage, Storage
from trading.ledger.verifying import BadLog, verify
from trading.reasons import MarketReason


@pytest.fixture(params=sorted(STORAGES))
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    made = STORAGES[request.param](tmp_path)
    yield made
    made.close()


def refused(book: Ledger, entry: pb.Entry, key: str = "refused") -> LedgerReason | MarketReason:
    before = (book.total, book.head().SerializeToString())
    with pytest.raises(LedgerRefused) as caught:
        book.write(key, entry)
    assert (book.total, book.head().SerializeToString()) == before, "nothing was written"
    return caught.value.reason


def with_money(storage: Storage, clock: Clock | None = None, **balances: int) -> Ledger:
    book = ledger(storage, clock)
    for account, nano in balances.items():
        book.write(f"deposit {account}", deposit(account, nano))
    return book


# Money


def test_money_comes_moves_and_leaves(storage: Storage) -> None:
    book = with_money(storage, ann=10)
    book.write("t", transfer("ann", "bob", 4))
    book.write("w", withdrawal("bob", 1))
    assert (book.balance("ann"), book.balance("bob"), book.balance("eve")) == (6, 3, 0)
    assert book.total == 9


def test_nobody_spends_what_he_does_not_have(storage: Storage) -> None:
    book = with_money(storage, ann=10)
    assert refused(book, transfer("ann", "bob", 11)) is LedgerReason.BALANCE_TOO_LOW
    assert refused(book, withdrawal("bob", 1)) is LedgerReason.BALANCE_TOO_LOW
    assert refused(book, lock("t", ann=11)) is LedgerReason.BALANCE_TOO_LOW
    assert refused(book, lock("t", ann=5, bob=1)) is LedgerReason.BALANCE_TOO_LOW
    assert (book.balance("ann"), book.locked("ann")) == (10, 0)


def test_escrow_is_paid_out_of_in_parts_and_closed_to_the_last_nano(storage: Storage) -> None:
    book = with_money(storage, ann=10, bob=5)
    book.write("lock", lock("t", ann=8, bob=3))
    assert (book.balance("ann"), book.locked("ann"), book.total) == (2, 8, 15)
    book.write("part", payment("t", ("ann", "bob", 2), ("ann", "grid", 1)))
    assert (book.balance("bob"), book.balance("grid"), book.locked("ann")) == (4, 1, 5)
    too_much = payment("t", ("ann", "bob", 6))
    assert refused(book, too_much) is LedgerReason.ESCROW_TOO_SMALL
    not_all = close("t", ("ann", "bob", 5))
    assert refused(book, not_all) is LedgerReason.ESCROW_NOT_EMPTY
    book.write("close", close("t", ("ann", "bob", 4), ("ann", "ann", 1), ("bob", "bob", 3)))
    assert not book.has_escrow("t")
    assert (book.balance("ann"), book.balance("bob"), book.balance("grid")) == (3, 11, 1)
    assert book.total == 15


def test_money_that_is_locked_is_not_spent_meanwhile(storage: Storage) -> None:
    book = with_money(storage, ann=10)
    book.write("lock", lock("t", ann=8))
    assert refused(book, transfer("ann", "bob", 3)) is LedgerReason.BALANCE_TOO_LOW
    assert refused(book, lock("u", ann=3)) is LedgerReason.BALANCE_TOO_LOW


def test_a_trade_has_one_escrow_ever(storage: Storage) -> None:
    book = with_money(storage, ann=10)
    book.write("lock", lock("t", ann=2))
    assert refused(book, lock("t", ann=2)) is LedgerReason.ESCROW_EXISTS
    book.write("close", close("t", ("ann", "ann", 2)))
    assert refused(book, lock("t", ann=2)) is LedgerReason.ESCROW_EXISTS
    assert refused(book, close("t", ("ann", "ann", 2))) is LedgerReason.NO_ESCROW
    assert refused(book, refund("t")) is LedgerReason.NO_ESCROW


def test_what_was_closed_before_it_was_opened_is_never_opened(storage: Storage) -> None:
    """Of a lock whose answer was lost it is not known whether it comes."""
    book = with_money(storage, ann=10)
    assert refused(book, close("t", ("ann", "bob", 1))) is LedgerReason.NO_ESCROW
    book.write("close", close("t"))
    assert refused(book, lock("t", ann=2)) is LedgerReason.ESCROW_EXISTS
    book.write("give back", close("u", ("ann", "ann", 7)))
    assert (book.balance("ann"), book.total) == (10, 10)
    assert refused(book, lock("u", ann=2)) is LedgerReason.ESCROW_EXISTS


def test_whoever_waits_long_enough_has_his_money_back(storage: Storage) -> None:
    clock = Clock(100)
    book = with_money(storage, clock, ann=10)
    book.write("lock", lock("t", refundable_unix_ns=200, ann=8))
    clock.at_unix_ns = 199
    assert refused(book, refund("t")) is LedgerReason.NOT_REFUNDABLE_YET
    clock.at_unix_ns = 200
    book.write("refund", refund("t"))
    assert (book.balance("ann"), book.locked("ann")) == (10, 0)
    assert refused(book, close("t", ("ann", "bob", 8))) is LedgerReason.NO_ESCROW


def test_a_lock_that_comes_too_late_is_none(storage: Storage) -> None:
    clock = Clock(100)
    book = with_money(storage, clock, ann=10)
    late = lock("t", ann=1)
    late.lock.not_after_unix_ns = 99
    assert refused(book, late) is LedgerReason.TOO_LATE
    late.lock.not_after_unix_ns = 100
    book.write("lock", late)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (pb.Entry(), LedgerReason.ENTRY_EMPTY),
        (deposit("", 1), LedgerReason.ID_MALFORMED),
        (deposit("a\x1b[2J", 1), LedgerReason.ID_MALFORMED),
        (deposit("a" * (MAX_ID_CHARACTERS + 1), 1), LedgerReason.ID_MALFORMED),
        (deposit("ann", 0), LedgerReason.NANO_OUT_OF_RANGE),
        (deposit("ann", 2**64 - 1), LedgerReason.NANO_OUT_OF_RANGE),
        (deposit("ann", 2**63 - 1), LedgerReason.TOO_MUCH_MONEY),
        (transfer("ann", "", 1), LedgerReason.ID_MALFORMED),
        (transfer("ann", "bob", 0), LedgerReason.NANO_OUT_OF_RANGE),
        (lock("t"), LedgerReason.TOO_MANY_STAKES),
        (
            lock("t", **{f"a{number}": 0 for number in range(MAX_STAKES + 1)}),
            LedgerReason.TOO_MANY_STAKES,
        ),
        (
            payment("open", *[("ann", "bob", 0)] * (MAX_POSTINGS + 1)),
            LedgerReason.TOO_MANY_POSTINGS,
        ),
        (payment("none", ("ann", "bob", 1)), LedgerReason.NO_ESCROW),
        (payment("open", ("eve", "bob", 1)), LedgerReason.ESCROW_TOO_SMALL),
        (
            pb.Entry(commitment=pb.Commitment(kind="terms", sha256=b"x")),
            LedgerReason.HASH_MALFORMED,
        ),
        (
            pb.Entry(lock=pb.Lock(trade_id="t", stakes=[pb.Stake(account="ann", nano=1)])),
            LedgerReason.HASH_MALFORMED,
        ),
    ],
)
def test_what_must_not_be_is_refused_and_nothing_is_written(
    entry: pb.Entry, reason: LedgerReason
) -> None:
    book = with_money(MemoryStorage(), ann=10)
    book.write("open", lock("open", ann=5))
    assert refused(book, entry) is reason


# Exactly once


def test_a_retry_moves_nothing_again(storage: Storage) -> None:
    book = with_money(storage, ann=10)
    first = book.write("pay", transfer("ann", "bob", 4))
    again = book.write("pay", transfer("ann", "bob", 4))
    assert (first.is_new, again.is_new) == (True, False)
    assert (again.seq, again.leaf) == (first.seq, first.leaf)
    assert book.balance("bob") == 4


def test_a_key_means_one_thing(storage: Storage) -> None:
    book = with_money(storage, ann=10)
    book.write("pay", transfer("ann", "bob", 4))
    assert refused(book, transfer("ann", "bob", 5), "pay") is LedgerReason.KEY_REUSED


def test_of_several_each_is_written_or_refused_by_itself(storage: Storage) -> None:
    book = with_money(storage, ann=10)
    done = book.write_many(
        [
            Wanted("a", transfer("ann", "bob", 6)),
            Wanted("b", transfer("ann", "bob", 6)),
            Wanted("a", transfer("ann", "bob", 6)),
            Wanted("a", transfer("ann", "bob", 7)),
            Wanted("c", transfer("bob", "eve", 6)),
        ]
    )
    assert [each.is_new if isinstance(each, Receipt) else each.reason for each in done] == [
        *(True, LedgerReason.BALANCE_TOO_LOW, False),
        *(LedgerReason.KEY_REUSED, True),
    ]
    assert (book.balance("ann"), book.balance("eve")) == (4, 6)


def test_what_is_refused_leaves_nothing_for_the_garbage_collector(storage: Storage) -> None:
    book = with_money(storage, ann=10)
    wanted = [Wanted(f"more {number}", transfer("ann", "bob", 11)) for number in range(20)]
    assert left_by(lambda: book.write_many(wanted)) < len(wanted)


def test_a_ledger_is_taken_up_as_it_was_left(storage: Storage) -> None:
    book = with_money(storage, ann=10)
    book.write("lock", lock("t", ann=8))
    again = ledger(storage)
    assert (again.balance("ann"), again.locked("ann"), again.log_id) == (2, 8, book.log_id)
    assert not again.write("lock", lock("t", ann=8)).is_new
    again.write("close", close("t", ("ann", "bob", 8)))
    verify(storage.entries(), storage.head())


def test_of_two_writers_the_older_is_fenced(storage: Storage) -> None:
    older = with_money(storage, ann=10)
    newer = ledger(storage)
    newer.write("n", transfer("ann", "bob", 1))
    for _ in range(2):
        with pytest.raises(Fenced):
            older.write("o", transfer("ann", "eve", 1))
    assert ledger(storage).balance("eve") == 0
    verify(storage.entries(), storage.head())


def test_a_ledger_that_is_taken_up_while_another_writes_is_the_log_of_one_moment(
    storage: Storage,
) -> None:
    book = with_money(storage, ann=10)
    head = storage.head()
    assert head is not None
    book.write("t", transfer("ann", "bob", 4))

    class Between(MemoryStorage):
        """The head is read, then another writes, then entries are read."""

        def head(self) -> pb.SignedTreeHead | None:
            return head if not self.is_read else storage.head()

        is_read = False

        def entries(self, first: int = 0, count: int | None = None) -> Iterator[pb.SignedEntry]:
            self.is_read = True
            return storage.entries(first, count)

    late = ledger(Between())
    assert (late.balance("ann"), late.balance("bob")) == (10, 0)


def test_entries_that_no_head_is_of_are_found_when_a_ledger_is_taken_up() -> None:
    storage = MemoryStorage()
    book = with_money(storage, ann=10)
    head = storage.head()
    assert head is not None
    book.write("t", transfer("ann", "bob", 4))
    storage._head = head
    with pytest.raises(BadLog, match="of 2 entries only"):
        ledger(storage)


def test_a_thousand_locks_that_race_for_one_balance_take_no_more_than_there_is(
    tmp_path: Path,
) -> None:
    """Two writers, each of which takes the log up anew when it was fenced; `tests.chaos market-race`: two processes."""
    path = tmp_path / "ledger"
    with_money(SqliteStorage(path), ann=100).close()
    races = [Locks(name, str(path), "ann", 500) for name in ("a", "b")]
    with ThreadPoolExecutor(2) as pool:
        ended = sum(pool.map(run, races), Counter[str]())
    assert ended == {"": 100, LedgerReason.BALANCE_TOO_LOW: 900}
    book = ledger(SqliteStorage(path))
    assert (book.balance("ann"), book.locked("ann"), book.total) == (0, 100, 100)
    book.close()


def test_what_could_not_be_stored_is_not_gone_on_from() -> None:
    class Full(MemoryStorage):
        is_full = False

        def append(self, *args: object) -> None:
            if self.is_full:
                raise OSError("no space left on device")
            super().append(*args)  # type: ignore[arg-type]

    storage = Full()
    book = with_money(storage, ann=10)
    storage.is_full = True
    with pytest.raises(OSError):
        book.write("t", transfer("ann", "bob", 1))
    storage.is_full = False
    with pytest.raises(Fenced):
        book.write("t", transfer("ann", "bob", 1))
    assert ledger(storage).balance("bob") == 0


# Proofs


def test_every_entry_has_a_proof_under_the_head(storage: Storage) -> None:
    book = ledger(storage)
    for number in range(20):
        book.write(f"deposit account{number}", deposit(f"account{number}", number + 1))
    head = pb.TreeHead.FromString(book.head().head)
    for number in range(20):
        receipt = book.write(f"deposit account{number}", deposit(f"account{number}", number + 1))
        proof = book.inclusion(receipt.seq, head.size)
        assert includes(receipt.leaf, receipt.seq, head.size, proof, head.root)


def test_each_head_goes_on_from_those_before(storage: Storage) -> None:
    book = ledger(storage)
    heads = [pb.TreeHead.FromString(book.head().head)]
    for number in range(12):
        book.write(f"{number}", deposit("ann", 1))
        heads.append(pb.TreeHead.FromString(book.head().head))
    for earlier in heads:
        for later in heads[heads.index(earlier) :]:
            proof = book.consistency(earlier.size, later.size)
            assert extends(earlier.size, earlier.root, later.size, later.root, proof)


def test_another_key_signs_once_the_present_one_has_said_so(storage: Storage) -> None:
    book = with_money(storage, ann=10)
    following = SigningKey.new()
    seq = book.rotate(following).seq
    # A client's key is never taken for one that nobody gave.
    assert book.rotated(str(seq)) is None
    verify(storage.entries(), storage.head())
    assert Ledger(storage, following, Clock(), "test").balance("ann") == 10
    book.write("t", transfer("ann", "bob", 1))
    verify(storage.entries(), storage.head())
    with pytest.raises(LedgerRefused) as caught:
        Ledger(storage, KEY, Clock(), "test")
    assert caught.value.reason is LedgerReason.NOT_ITS_KEY
    assert Ledger(storage, following, Clock(), "test").balance("bob") == 1


def test_keys_may_take_turns(storage: Storage) -> None:
    book, other = with_money(storage, ann=10), SigningKey.new()
    for number, signer in enumerate((other, KEY, other, KEY)):
        book.rotate(signer)
        book.write(f"{number}", transfer("ann", "bob", 1))
        verify(storage.entries(), storage.head())


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("x", pb.Entry(genesis=pb.Genesis(public_key=KEY.public_key))),
        ("x", pb.Entry(log_key=pb.LogKey(public_key=bytes(32)))),
        ("ledger/x", deposit("ann", 1)),
        ("", deposit("ann", 1)),
        ("k" * (MAX_ID_CHARACTERS + 1), deposit("ann", 1)),
        ("\ud800", deposit("ann", 1)),
    ],
)
def test_a_client_says_nothing_of_keys_and_gives_none_that_fill_the_log(
    key: str, entry: pb.Entry, storage: Storage
) -> None:
    book = with_money(storage, ann=10)
    good = Wanted("good", transfer("ann", "bob", 1))
    first, refused_one, last = book.write_many([good, Wanted(key, entry), good])
    assert isinstance(first, Receipt) and isinstance(last, Receipt)
    assert isinstance(refused_one, LedgerRefused)
    assert refused_one.reason in (LedgerReason.NOT_FOR_CLIENTS, LedgerReason.ID_MALFORMED)
    assert ledger(storage).balance("bob") == 1


def test_a_clock_that_is_set_back_makes_no_entry_older_than_those_before(storage: Storage) -> None:
    clock = Clock(500)
    book = with_money(storage, clock, ann=10)
    clock.at_unix_ns = 100
    book.write("t", transfer("ann", "bob", 1))
    again = ledger(storage, clock)
    again.write("u", transfer("ann", "bob", 1))
    verify(storage.entries(), storage.head())
    times = [pb.Entry.FromString(each.entry).at_unix_ns for each in storage.entries()]
    assert times == sorted(times)


# Files


def make_text(path: Path) -> None:
    path.write_text("this is no database, and long enough to be looked at as one" * 10)


def make_other_database(path: Path) -> None:
    import sqlite3

    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE circuits (id INTEGER)")


@pytest.mark.parametrize("make", [make_text, make_other_database])
def test_a_file_that_is_no_ledger_is_left_alone_and_named(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "other"
    make(path)
    before = path.read_bytes()
    with pytest.raises(NoLedger, match="other"):
        SqliteStorage(path)
    assert path.read_bytes() == before


def test_a_file_that_is_not_there_is_not_made_by_whoever_only_reads(tmp_path: Path) -> None:
    with pytest.raises(NoLedger, match="no ledger"):
        SqliteStorage(tmp_path / "none", must_exist=True)
    assert not (tmp_path / "none").exists()


def test_storages_keep_what_they_were_given(storage: Storage) -> None:
    head = pb.SignedTreeHead(head=b"h")
    some = [Appended(f"{n}", pb.SignedEntry(entry=bytes([n]))) for n in range(5)]
    storage.append(0, some, head)
    assert [each.entry[0] for each in storage.entries()] == [0, 1, 2, 3, 4]
    assert [each.entry[0] for each in storage.entries(1, 2)] == [1, 2]
    assert (storage.seq_of("3"), storage.seq_of("none"), storage.head()) == (3, None, head)
    assert TERMS


def test_of_a_full_disk_a_ledger_says_that_it_is_full_and_keeps_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    storage = SqliteStorage(path)
    book = with_money(storage, ann=100)
    pages = storage._db.execute("PRAGMA page_count").fetchone()[0]
    storage._db.execute(f"PRAGMA max_page_count={pages}")
    many = [Wanted(f"{number:0200}", deposit("bob", 1)) for number in range(500)]
    with pytest.raises(
        NoLedger, match=r"ledger\.sqlite cannot be written: database or disk is full"
    ):
        book.write_many(many)
    book.close()
    assert ledger(SqliteStorage(path)).total == 100
