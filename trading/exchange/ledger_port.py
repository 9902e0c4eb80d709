"""The ledger, asked by a market: one thread that owns it, and writes all that waits in one group with one flush."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from digitalgrid.market.v1 import ledger_pb2 as pb
from digitalgrid.supervision import start_task
from trading.core.trades import (
    Close,
    Closed,
    Effect,
    Lock,
    Locked,
    PartPaid,
    Pay,
    Refusal,
    Revoke,
    Sign,
    Signed,
    Times,
    Trade,
    Unsigned,
)
from trading.core.units import Nano
from trading.exchange.entries import (
    Done,
    Entries,
    Queue,
    Waiting,
    is_closed_alike,
    signed,
    unsigned,
)
from trading.exchange.reads import Reads
from trading.ledger.ledger import Ledger, Receipt, Wanted
from trading.ledger.refusals import LedgerReason, LedgerRefused

T = TypeVar("T")

# Entries in one group: their hashes and signatures take a tenth of a second, for which the first of them waits.
_MAX_GROUP = 512
# How long an escrow is kept beyond the last dispute (ns): then any party may have it refunded, of a trade that the
# market has forgotten at once, and of one that it has open a week later. A day, in which its operator can mend it.
_KEPT_NS = 86_400_000_000_000
# Estimated readings have twice the usual window.
_WINDOWS = 2


class LedgerPort:
    """``open_ledger`` is called in the ledger's thread, where SQLite wants it used; so is ``rotate``, which gives the
    log another key. ``on_failure`` is told where nothing can be written any more.
    """

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        rotate: Callable[[Ledger, str], Receipt],
        operator: str,
        secret: bytes,
        times: Times,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._open_ledger = open_ledger
        self._rotate = rotate
        windows_ns = _WINDOWS * times.object_ns + times.dispute_ns
        # From the end of an interval until a bill is paid at the latest, and then the exchange has failed.
        self._entries = Entries(operator, secret, times.read_ns + windows_ns + _KEPT_NS)
        self._on_failure = on_failure
        self._executor = ThreadPoolExecutor(1, "ledger")
        self._reads = Reads()
        self._queue = Queue()
        self._work = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._ledger: Ledger | None = None

    async def open(self) -> None:
        """Raises what opening it raises: a log that was altered, or signed with another key."""
        self._ledger = await asyncio.get_running_loop().run_in_executor(
            self._executor, self._open_ledger
        )
        self._writer = start_task("ledger", self._write_on, self._on_failure)

    async def shut(self) -> None:
        """What is being written is written; what waits is not."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if self._ledger is not None:
            await self._ask(Ledger.close)
        self._executor.shutdown()

    @property
    def log_id(self) -> bytes:
        return self._opened.log_id

    @property
    def log_public_key(self) -> bytes:
        """That signs by now."""
        return self._opened.public_key

    @property
    def size(self) -> int:
        """Entries of the log."""
        return self._opened.size

    @property
    def waiting(self) -> int:
        """Entries that the next groups have."""
        return len(self._queue)

    @property
    def _opened(self) -> Ledger:
        if self._ledger is None:
            raise LookupError("the ledger is not open yet")
        return self._ledger

    async def ask(self, question: Callable[[Ledger], T]) -> T:
        """Anything that is read of the ledger, in its thread, between two groups. Of one caller some at a time."""
        async with self._reads.room():
            return await self._ask(question)

    async def _ask(self, question: Callable[[Ledger], T]) -> T:
        """What the exchange itself reads and writes, which waits for no caller's room."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, question, self._opened
        )

    async def write(self, key: str, entry: pb.Entry) -> Receipt:
        """With whatever else waits; the answer comes once it is durable. Raises LedgerRefused."""
        done = await self._write(Wanted(key, entry))
        if isinstance(done, LedgerRefused):
            raise done
        return done

    async def _write(self, wanted: Wanted) -> Receipt | LedgerRefused:
        done = await self._done(wanted)
        if done is None:
            raise LookupError(f"{wanted.key!r} was called back, and is of no trade")
        return done

    async def _done(self, wanted: Wanted, asked: Effect | None = None) -> Done:
        done: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

        def answer(written: Done) -> None:
            if not done.done():
                done.set_result(written)

        self._queue.put(wanted, answer, asked)
        self._work.set()
        return await done

    async def rotate(self, key: str) -> Receipt:
        """The log has another key from now on; under one ``key`` once. What fails half way ends the exchange, which
        goes on there when it is started.
        """
        try:
            return await self._ask(lambda ledger: self._rotate(ledger, key))
        except LedgerRefused:
            raise
        except Exception as error:
            self._on_failure(error)
            raise

    def free(self, account: str) -> Nano:
        """What an account has that is not in escrow."""
        return self._opened.balance(account)

    def registered(self, meter_public_key: bytes) -> int | None:
        return self._opened.registered(meter_public_key)

    async def lock(self, asked: Lock, trade: Trade) -> Locked | Refusal | None:
        done = await self._done(self._entries.lock(asked, trade), asked)
        return None if done is None else _told(done, Locked())

    async def sign(self, asked: Sign, trade: Trade) -> Signed | Refusal | None:
        return signed(await self._done(self._entries.sign(asked, trade), asked))

    async def revoke(self, asked: Revoke, trade: Trade) -> Signed | Unsigned:
        return unsigned(await self._done(self._entries.revoke(asked, trade), asked))

    async def pay(self, asked: Pay, trade: Trade) -> PartPaid | Refusal:
        return _told(await self._write(self._entries.pay(asked, trade)), PartPaid())

    async def close(self, asked: Close, trade: Trade) -> Closed | Refusal:
        wanted = self._entries.close(asked, trade)
        done = await self._write(wanted)
        is_other = isinstance(done, LedgerRefused) and done.reason is LedgerReason.KEY_REUSED
        if is_other and await self._ask(lambda ledger: is_closed_alike(ledger, wanted)):
            return Closed()
        return _told(done, Closed())

    async def _write_on(self) -> None:
        """Group after group, as long as any waits."""
        while True:
            await self._work.wait()
            group = self._queue.take(_MAX_GROUP)
            if not self._queue:
                self._work.clear()
            written = await self._ask(partial(_written, group))
            for each, result in zip(group, written, strict=True):
                each.answer(result)


def _written(group: Sequence[Waiting], ledger: Ledger) -> list[Receipt | LedgerRefused]:
    return ledger.write_many([each.wanted for each in group])


def _told(done: Receipt | LedgerRefused, event: T) -> T | Refusal:
    if isinstance(done, LedgerRefused):
        return Refusal(done.reason.value, str(done))
    return event
