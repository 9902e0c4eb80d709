"""The ledger as trades ask it: over a slow disk, in groups, and what was written by the release before."""

import asyncio
import threading
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from digitalgrid.counters import COUNTERS
from digitalgrid.market.v1 import ledger_pb2 as pb
from digitalgrid.units import NS_PER_S
from tests.support.ledgers import KEY, deposit, withdrawal
from tests.support.market_ports import (
    Others,
    SimulatedController,
    SimulatedWorker,
    journal,
    pass_time,
    tender,
)
from tests.support.market_settings import PARTIES, SETTINGS
from tests.support.northbound import in_loop, until
from tests.support.sagas import HELD, NOW_NS, TIMES, TO_METERS, read, told, trade
from trading.core.asking import pending
from trading.core.orders import Side
from trading.core.trades import (
    Begin,
    Close,
    Closed,
    HoldLost,
    Lock,
    Locked,
    Refusal,
    Revoke,
    Sign,
    Signed,
    State,
    Trade,
    Unsigned,
)
from trading.exchange.entries import Entries
from trading.exchange.ledger_port import LedgerPort
from trading.exchange.runtime import Runtime
from trading.ledger.ledger import Ledger, Receipt
from trading.ledger.refusals import LedgerReason, LedgerRefused
from trading.ledger.storage import Appended, MemoryStorage

MONEY = 10**10
OPERATOR = "operator"
TRADE_ID = "m-10-1"


class SlowDisk(MemoryStorage):
    """Whose appends wait for ``goes``."""

    def __init__(self) -> None:
        super().__init__()
        self.goes = threading.Event()
        self.goes.set()
        self.appends = threading.Semaphore(0)

    def append(self, first: int, made: Sequence[Appended], head: pb.SignedTreeHead) -> None:
        self.appends.release()
        self.goes.wait()
        super().append(first, made, head)


class World:
    """A port over a slow disk, and a runtime with it among simulated others."""

    def __init__(self) -> None:
        self.others = Others()
        self.disk = SlowDisk()
        self.failures: list[Exception] = []
        self.port = LedgerPort(
            self._opened,
            lambda book, key: book.rotate(KEY, key),
            OPERATOR,
            bytes(32),
            TIMES,
            self.failures.append,
        )

    def _opened(self) -> Ledger:
        book = Ledger(self.disk, KEY, lambda: self.others.now_ns, "m")
        for account in (*PARTIES, OPERATOR):
            book.write(f"deposit/{account}", deposit(account, MONEY))
        return book

    async def stall(self) -> None:
        """A group of somebody else is on its way to the disk, and what comes now waits for it."""
        self.disk.goes.clear()
        appends = self.disk.appends
        while appends.acquire(blocking=False):
            pass
        self._other = asyncio.ensure_future(self.port.write("other", deposit("eve", 1)))
        await until(lambda: appends.acquire(blocking=False))

    async def started(self, path: Path) -> Runtime:
        others = self.others
        await self.port.open()
        exchange = Runtime(
            SETTINGS,
            journal(path),
            SimulatedController(others),
            self.port,
            SimulatedWorker(),
            lambda: others.now_ns,
        )
        exchange.start()
        return exchange

    async def tender(self, exchange: Runtime) -> None:
        for party, side in (("bob", Side.SELL), ("ann", Side.BUY)):
            one = tender(self.others, party, side)
            await exchange.create_tenders([one], mandate_holds=True)

    async def close(self, exchange: Runtime) -> None:
        await exchange.close()
        await self.port.shut()


def state_of(exchange: Runtime) -> State | None:
    row = exchange.market.trade(TRADE_ID)
    return None if row is None else row.trade.state


async def ended(exchange: Runtime) -> Trade:
    """Also one that should not have come to a binding contract."""

    def is_over() -> bool:
        state = state_of(exchange)
        is_open = state is not None and not state.ended and state is not State.CONFIRMED
        return exchange.failure.done() or not is_open

    await until(is_over)
    await exchange.durable()
    found = await exchange.find_trade(TRADE_ID)
    assert found is not None
    return found.trade


def held() -> tuple[Trade, Lock, Sign, Revoke]:
    """A trade that asks for money and signature, and its revocation."""
    one = trade()
    told(one, Begin(), HELD)
    lock, sign, *_ = pending(one, TIMES)
    assert isinstance(lock, Lock) and isinstance(sign, Sign)
    return one, lock, sign, Revoke(sign.key, one.trade_id)


def test_in_one_group_a_signature_without_its_money_is_refused_and_its_revocation_written() -> None:
    one, _, sign, revoke = held()
    entries = Entries(OPERATOR, bytes(32), 0)
    book = Ledger(MemoryStorage(), KEY, lambda: NOW_NS, "m")
    signed, revoked = book.write_many([entries.sign(sign, one), entries.revoke(revoke, one)])
    assert isinstance(signed, LedgerRefused) and signed.reason is LedgerReason.NO_ESCROW
    assert isinstance(revoked, Receipt) and revoked.is_new


def unanswered() -> int:
    return sum(
        count for (name, _), count in COUNTERS.snapshot().items() if name == "market_unanswered"
    )


@in_loop
async def test_what_is_revoked_while_it_waits_for_the_disk_is_not_written() -> None:
    world = World()
    await world.port.open()
    one, lock, sign, revoke = held()
    await world.stall()
    asked = [
        asyncio.ensure_future(each)
        for each in (world.port.lock(lock, one), world.port.sign(sign, one))
    ]
    await until(lambda: world.port.waiting == 2)
    revoked = asyncio.ensure_future(world.port.revoke(revoke, one))
    # Nobody waits for the disk to hear that.
    assert await asyncio.gather(*asked) == [None, None]
    world.disk.goes.set()
    assert await revoked == Unsigned()
    assert await world.port.ask(lambda book: book.seq_of(lock.key)) is None
    assert not world.failures
    await world.port.shut()


@in_loop
async def test_what_is_on_its_way_to_the_disk_is_not_revoked() -> None:
    world = World()
    await world.port.open()
    one, lock, sign, revoke = held()
    await world.stall()
    asked = [
        asyncio.ensure_future(each)
        for each in (world.port.lock(lock, one), world.port.sign(sign, one))
    ]
    await until(lambda: world.port.waiting == 2)
    world.disk.goes.set()
    await until(lambda: world.port.waiting == 0)
    assert await world.port.revoke(revoke, one) == Signed()
    assert await asyncio.gather(*asked) == [Locked(), Signed()]
    await world.port.shut()


@in_loop
async def test_a_lock_that_nobody_has_the_money_for_is_no_call_without_an_answer(
    tmp_path: Path,
) -> None:
    world = World()
    exchange = await world.started(tmp_path)
    before = unanswered()
    await world.stall()
    withdrawn = asyncio.ensure_future(world.port.write("withdrawal", withdrawal("ann", MONEY)))
    await world.tender(exchange)
    await until(lambda: world.port.waiting == 3)
    world.disk.goes.set()
    await withdrawn
    assert (await ended(exchange)).reason == LedgerReason.BALANCE_TOO_LOW
    assert unanswered() == before
    await world.close(exchange)


@pytest.mark.parametrize("what", ["hold lost", "interval begins"])
@in_loop
async def test_a_trade_that_cannot_be_while_lock_and_signature_wait_for_the_disk_is_not_binding(
    what: str, tmp_path: Path
) -> None:
    world = World()
    exchange = await world.started(tmp_path)
    await world.stall()
    await world.tender(exchange)
    await until(lambda: world.port.waiting == 2)
    if what == "hold lost":
        heard = world.others.heard
        assert heard is not None
        heard(f"{TRADE_ID}/1", HoldLost())
    else:
        await pass_time(world.others, exchange, 11 * NS_PER_S)
    assert state_of(exchange) is State.REVOKING
    # The revocation, and nothing else of this trade.
    await until(lambda: world.port.waiting == 1)
    world.disk.goes.set()
    assert (await ended(exchange)).state is State.EXPIRED
    assert world.port.free("ann") == world.port.free("bob") == MONEY
    assert not exchange.failure.done() and not world.failures
    await world.close(exchange)


def closing() -> tuple[Trade, Close]:
    one = trade()
    effects = told(one, *TO_METERS, read(1050, 1000))
    (close,) = [each for each in effects if isinstance(each, Close)]
    return one, close


@in_loop
async def test_a_close_whose_evidence_was_hashed_without_salt_is_the_same_close() -> None:
    """As the release before wrote it, and ended before it heard that it stands."""
    world = World()
    await world.port.open()
    one, close = closing()
    _, lock, *_ = held()
    await world.port.lock(lock, one)
    unsalted = Entries(OPERATOR, bytes(32), 0).close(close, one)
    evidence = msgspec.msgpack.encode((one.ends, one.missed))
    unsalted.entry.close.evidence_hash = sha256(evidence).digest()
    await world.port.write(unsalted.key, unsalted.entry)
    size = world.port.size
    answer = await world.port.close(close, one)
    assert answer == Closed() and world.port.size == size
    told(one, answer)
    assert one.state is State.SETTLED
    await world.port.shut()


@in_loop
async def test_a_close_that_pays_otherwise_is_another_and_refused() -> None:
    world = World()
    await world.port.open()
    one, close = closing()
    _, lock, *_ = held()
    await world.port.lock(lock, one)
    await world.port.close(close, one)
    answer = await world.port.close(msgspec.structs.replace(close, postings=()), one)
    assert isinstance(answer, Refusal) and answer.reason == LedgerReason.KEY_REUSED
    await world.port.shut()
