"""The journal of an exchange: what is written is there after a kill, one exchange writes it, and pages list it."""

import sqlite3
import threading
from pathlib import Path

import msgspec
import pytest

from tests.support.market_exchange import ExchangeWorld
from tests.support.markets import tender
from trading.core.orders import Interval, Side, order_of
from trading.core.units import Wh
from trading.exchange import journal as journal_module
from trading.exchange.journal import Journal, JournalError
from trading.exchange.ports import ClearingsAsked, OrdersAsked, TradesAsked
from trading.market.phases import Phase
from trading.market.records import IntervalRecord, NonceRecord, OrderRecord, Record


class Written:
    """Writes, and waits until it is durable, or the journal has failed."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.failures: list[Exception] = []
        self._ticket = 0
        self._told = threading.Semaphore(0)
        journal.start(lambda ticket: self._told.release(), self._failed)

    def _failed(self, error: Exception) -> None:
        self.failures.append(error)
        self._told.release()

    def write(self, *records: Record) -> None:
        self._ticket += 1
        self.journal.submit(self._ticket, records)
        assert self._told.acquire(timeout=60)


def test_what_was_written_is_there_after_a_kill(tmp_path: Path) -> None:
    world = ExchangeWorld(3)
    for _ in range(100):
        world.step()
    first = Journal(tmp_path / "j", "m")
    assert first.load().next_seq == 1
    Written(first).write(*_all_of(world))
    # Nobody closes it.
    found = Journal(tmp_path / "j", "m").load()
    wanted = world.journal.journalled()
    assert found.intervals == tuple(sorted(wanted.intervals, key=lambda each: each.interval))
    assert found.orders == wanted.orders
    assert {each.trade.trade_id: each for each in found.trades} == {
        each.trade.trade_id: each for each in wanted.trades
    }
    assert sorted(found.nonces, key=str) == sorted(wanted.nonces, key=str)
    assert found.next_seq == wanted.next_seq


def _all_of(world: ExchangeWorld) -> tuple[Record, ...]:
    kept = world.journal
    return (
        *kept.nonces.values(),
        *kept.orders.values(),
        *kept.trades.values(),
        *kept.intervals.values(),
        *kept.clearings.values(),
    )


def test_what_has_ended_is_listed_and_not_loaded(tmp_path: Path) -> None:
    world = ExchangeWorld(3)
    for _ in range(300):
        world.step()
    world.finish()
    journal = Journal(tmp_path / "j", "m")
    journal.load()
    writer = Written(journal)
    writer.write(*_all_of(world))
    open_ones = [each for each in world.journal.intervals.values() if each.phase is not Phase.ENDED]
    assert set(Journal(tmp_path / "j", "m").load().intervals) == set(open_ones)

    trades = sorted(
        world.journal.trades.values(),
        key=lambda each: (each.trade.interval.start_ns, each.number),
        reverse=True,
    )
    assert len(trades) > 6
    page = journal.trades(TradesAsked(4))
    assert page == trades[:4]
    last = page[-1]
    assert (
        journal.trades(TradesAsked(2, before=(last.trade.interval.start_ns, last.number)))
        == trades[4:6]
    )
    assert journal.trade(last.trade.trade_id) == last and journal.trade("none") is None
    of_ann = [each for each in trades if "ann" in (each.trade.buyer, each.trade.seller)]
    assert journal.trades(TradesAsked(1_000, party="ann")) == of_ann
    start_ns = last.trade.interval.start_ns
    assert journal.trades(TradesAsked(1_000, start_ns=start_ns)) == [
        each for each in trades if each.trade.interval.start_ns == start_ns
    ]
    orders = sorted(world.journal.orders.values(), key=lambda each: -each.order.seq)
    assert journal.orders(OrdersAsked(3)) == orders[:3]
    assert journal.orders(OrdersAsked(3, before=orders[2].order.seq)) == orders[3:6]
    assert journal.orders(OrdersAsked(1_000, party="bob")) == [
        each for each in orders if each.order.party == "bob"
    ]
    clearings = sorted(world.journal.clearings.items(), reverse=True)
    assert journal.clearings(ClearingsAsked(1_000)) == [each for _, each in clearings]
    assert journal.clearings(ClearingsAsked(9, before=clearings[0][0])) == [
        each for _, each in clearings[1:10]
    ]


def test_a_dispute_that_lasts_is_no_reason_to_read_all_orders_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten orders in each of ten intervals: the second is in dispute, the last takes tenders."""
    intervals, orders = [], []
    for number in range(10):
        interval = Interval(number * 10, 10)
        phase = {1: Phase.SETTLING, 9: Phase.OPEN}.get(number, Phase.ENDED)
        seqs = range(10 * number + 1, 10 * number + 11)
        last = 0 if phase is Phase.OPEN else seqs[-1]
        intervals.append(IntervalRecord(interval, "call", phase, first_seq=seqs[0], last_seq=last))
        wanted = [tender(Side.BUY, 1, 1, interval=interval) for _ in seqs]
        made = [order_of(each, seq) for each, seq in zip(wanted, seqs, strict=True)]
        orders += [OrderRecord(each, Wh(1), Wh(0)) for each in made]
    journal = Journal(tmp_path / "j", "m")
    journal.load()
    Written(journal).write(*orders, *intervals)
    read: list[type] = []
    decode = msgspec.msgpack.decode

    def counted(record: bytes, type: type) -> object:  # noqa: A002 - as it is called
        read.append(type)
        return decode(record, type=type)

    monkeypatch.setattr(msgspec.msgpack, "decode", counted)
    found = Journal(tmp_path / "j", "m").load()
    assert found.orders == (*orders[10:20], *orders[90:])
    assert read.count(OrderRecord) == 20


def test_whoever_opens_it_last_writes_and_the_other_is_told(tmp_path: Path) -> None:
    world = ExchangeWorld(3)
    for _ in range(60):
        world.step()
    records = _all_of(world)
    first = Journal(tmp_path / "j", "m")
    first.load()
    writer = Written(first)
    writer.write(*records[:1])
    second = Journal(tmp_path / "j", "m")
    second.load()
    writer.write(*records[1:])
    (failure,) = writer.failures
    assert isinstance(failure, JournalError) and "another exchange" in str(failure)
    assert second.load().orders == ()
    Written(second).write(*records)
    assert second.orders(OrdersAsked(1))


def test_a_group_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    world = ExchangeWorld(3)
    for _ in range(60):
        world.step()
    journal = Journal(tmp_path / "j", "m")
    journal.load()
    writer = Written(journal)
    bad = msgspec.structs.replace(next(iter(world.journal.intervals.values())))
    unfit = IntervalRecord(msgspec.structs.replace(bad.interval, start_ns=2**70), "m", Phase.OPEN)
    writer.write(*_all_of(world), unfit)
    assert len(writer.failures) == 1
    assert journal.orders(OrdersAsked(1)) == [] and journal.trades(TradesAsked(1)) == []


def test_a_file_that_is_no_journal_of_this_market_is_left_alone(tmp_path: Path) -> None:
    Journal(tmp_path / "j", "m").close()
    with pytest.raises(JournalError, match="of market 'm', and not 'other'"):
        Journal(tmp_path / "j", "other")
    (tmp_path / "text").write_text("no database at all, but long enough to be looked at" * 10)
    with pytest.raises(JournalError, match="is no journal"):
        Journal(tmp_path / "text", "m")
    with sqlite3.connect(tmp_path / "foreign") as db:
        db.execute("CREATE TABLE things (a)")
    with pytest.raises(JournalError, match="no journal of a market"):
        Journal(tmp_path / "foreign", "m")
    with sqlite3.connect(tmp_path / "j") as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(JournalError, match="later release"):
        Journal(tmp_path / "j", "m")
    with pytest.raises(JournalError, match="nowhere"):
        Journal(tmp_path / "nowhere" / "j", "m")


def test_a_crash_at_the_very_first_start_leaves_a_journal_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it comes, as the statements are one transaction."""
    monkeypatch.setattr(journal_module, "_SCHEMA", f"{journal_module._SCHEMA} SELECT no_column;")
    with pytest.raises(JournalError, match="no_column"):
        Journal(tmp_path / "j", "m")
    monkeypatch.undo()
    assert Journal(tmp_path / "j", "m").load().next_seq == 1


def test_a_journal_whose_making_an_earlier_release_did_not_end_opens(tmp_path: Path) -> None:
    Journal(tmp_path / "j", "m").close()
    with sqlite3.connect(tmp_path / "j") as db:
        db.execute("DELETE FROM meta")
    assert Journal(tmp_path / "j", "m").load().next_seq == 1


def test_of_a_full_disk_the_journal_says_that_it_is_full(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", "m")
    journal.load()
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count={pages}")
    writer = Written(journal)
    writer.write(*[NonceRecord(f"{number:0200}", number) for number in range(2_000)])
    (failure,) = writer.failures
    assert "database or disk is full" in str(failure) and str(tmp_path / "j") in str(failure)
