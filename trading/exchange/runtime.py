"""Runtime: owns a market, is its only caller in one asyncio loop, and carries its effects out.

Durable before told: a command runs at once, its records go to the journal, and once they are written, in one
transaction with all that came meanwhile, its answer is told, watchers hear of it, and its effects begin.
"""

import asyncio
import dataclasses
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from digitalgrid.supervision import start_task
from digitalgrid.units import NS_PER_S
from trading.core.orders import Interval, Meter, Tender
from trading.core.readings import Ends
from trading.core.trades import Effect, HoldLost, Trade, TradeEvent, Watched
from trading.core.units import Nano
from trading.exchange.courier import FIRST_PAUSE_S, MAX_PAUSE_S, Courier
from trading.exchange.ports import (
    Clearer,
    ClearingsAsked,
    ControllerPort,
    JournalPort,
    LedgerPort,
    OrdersAsked,
    TradesAsked,
    Unreachable,
)
from trading.exchange.reads import Reads
from trading.exchange.tallies import Tallies
from trading.market.disputes import Objection
from trading.market.market import Market
from trading.market.outcome import Ask, Clear, Cleared, Outcome
from trading.market.records import ClearingRecord, OrderRecord, Record, TradeRecord
from trading.market.settings import MarketSettings
from trading.reasons import MarketReason, Refused

_log = logging.getLogger(__name__)
T = TypeVar("T")
A = TypeVar("A")

# Backpressure: commands that wait for the journal; then the disk is slower than those who ask, and they are told.
MAX_UNWRITTEN = 4096
# Records and effects of commands that are told and begun in one turn of the loop, in which nobody else is heard: some
# milliseconds. A group may have those of a thousand trades.
_MOST_AT_ONCE = 256
# The wall clock is looked at so often at least (s): somebody may set it.
_MAX_SLEEP_S = 0.5

Heard = Callable[[Sequence[Record]], None]


@dataclasses.dataclass(slots=True)
class _Unwritten:
    """Submitted and not durable yet. ``done`` is made by the first who waits for it."""

    ticket: int
    records: Sequence[Record]
    effects: Sequence[Ask | Clear]
    done: asyncio.Future[None] | None = None


class JournalFailed(Exception):
    """The daemon ends, and what was asked last may not be durable: repeat it, with the same ids, once it is back."""


class Runtime:
    """Made in the loop's own thread, and called there only. :attr:`market` is there to be read; what changes it are the
    methods here.

    A failure of the journal, an exception of the market that is no Refused, or one of a port that is not Unreachable
    ends the daemon by way of :attr:`failure`: nothing that was promised is lost, and a restarted one goes on.
    """

    def __init__(
        self,
        settings: MarketSettings,
        journal: JournalPort,
        controller: ControllerPort,
        ledger: LedgerPort,
        clearer: Clearer,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._journal = journal
        self._controller = controller
        self._ledger = ledger
        self._clearer = clearer
        self._clock_ns = clock_ns
        self._now_ns = clock_ns()
        self.market = Market(settings, journal.load())
        # One read at a time: several would have the interpreter from the loop for most of the time.
        self._reader = ThreadPoolExecutor(1, "reads")
        self._reads = Reads()
        self.tallies = Tallies()
        self._courier = Courier(controller, ledger, self, self._fail)
        self._ticket = 0
        self._unwritten: deque[_Unwritten] = deque()
        self._listeners: list[Heard] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.failure: asyncio.Future[Exception] = self._loop.create_future()

    def start(self) -> None:
        """Go on where the journal ends: ask again for all that was not answered, and look at the clock."""
        self._journal.start(self._from_thread(self._on_durable), self._from_thread(self._fail))
        self._let(self.market.resume)
        self._start("circuits' watch", self._watch)
        self._arm()

    async def close(self) -> None:
        """What was decided is made durable; nothing more is."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._courier.close()
        for task in self._tasks:
            task.cancel()
        self._reader.shutdown(wait=False, cancel_futures=True)
        await self._loop.run_in_executor(None, self._journal.close)

    # Commands

    async def create_tenders(
        self, tenders: Sequence[Tender], *, mandate_holds: bool
    ) -> list[OrderRecord | Refused]:
        """Of each, in order, what became of it at once, or why it is refused; all are durable when this returns.

        ``mandate_holds``: whether the signature of their party covers all of them.
        """

        def create(now_ns: int) -> Outcome[list[OrderRecord | Refused]]:
            outcome = self.market.create(
                tenders,
                now_ns,
                mandate_holds=mandate_holds,
                free=self._ledger.free,
                registered=self._ledger.registered,
            )
            # Not once it is durable: a client may have hung up by then, and its orders stand.
            self.tallies.answered(outcome.answer)
            return outcome

        return await self._do(create)

    async def cancel_tender(self, party: str, nonce: int, order_id: str) -> OrderRecord:
        """Raises Refused; of an order that has ended already it is told how it stands."""
        return await self._do(lambda now_ns: self.market.cancel(party, nonce, order_id, now_ns))

    async def forecast(
        self, party: str, nonce: int, meter_id: str, start_ns: int, most: int
    ) -> tuple[Meter, Interval]:
        """A meter sells no more than that in an interval. Raises Refused."""
        return await self._do(
            lambda now_ns: self.market.forecast(party, nonce, meter_id, start_ns, most, now_ns)
        )

    async def object_to(self, party: str, nonce: int, trade_id: str, objection: Objection) -> Trade:
        """A buyer or seller does not agree with a line of a bill. Raises Refused where it is not open to that."""
        return await self._do(
            lambda now_ns: self.market.object_to(party, nonce, trade_id, objection, now_ns)
        )

    async def resolve(
        self, party: str, nonce: int, trade_id: str, ends: tuple[Ends, ...], decision: str
    ) -> Trade:
        """The operator decides a dispute. Raises Refused."""
        return await self._do(
            lambda now_ns: self.market.resolve(party, nonce, trade_id, ends, decision, now_ns)
        )

    async def use_nonce(self, party: str, nonce: int) -> None:
        """Of a party's word, whatever becomes of it. Raises Refused for one that was used: somebody else may say it
        again.
        """
        await self._do(lambda now_ns: self.market.use_nonce(party, nonce, now_ns))

    async def begin_move(self, meter_public_key: bytes, *, leaves: bool) -> None:
        """The log is to be told that a meter comes or leaves: nothing of it is tendered until :meth:`end_move`. Raises
        Refused. What is over for a meter that leaves stays over: it returns once that is durable.
        """
        self.market.moves.begin(meter_public_key, self.now_ns(), leaves=leaves)
        try:
            await self.durable()
        except BaseException:
            self.end_move(meter_public_key)
            raise

    def end_move(self, meter_public_key: bytes) -> None:
        self.market.moves.end(meter_public_key)

    def pass_over(self, party: str, nonce: int) -> None:
        """Of words that were refused unheard, and are not to be heard later."""
        if not (self._is_closed or self.failure.done()):
            self._let(lambda now_ns: self.market.pass_over(party, nonce, now_ns))

    def is_newer(self, party: str, nonce: int) -> bool:
        """Whether a party has used no such nonce yet; whoever says another repeats what was said."""
        return self.market.is_newer(party, nonce, self.now_ns())

    async def preview(self, start_ns: int, mechanism: str | None = None) -> Cleared:
        """What would be traded if the gate closed now. Raises Refused, Unreachable."""
        asked = self.market.preview(start_ns, mechanism)
        return await self._clearing(asked)

    def free(self, account: str) -> Nano:
        """What an account may spend: in no escrow, and nothing that its open orders can come to."""
        return Nano(self._ledger.free(account) - self.market.orders.committed(account))

    def is_open(self, trade_id: str) -> bool:
        """Whether a trade may still ask for something, so that its escrow is the market's to close."""
        row = self.market.trade(trade_id)
        return row is not None and not row.trade.state.ended

    # Reads of the journal: all that there ever was, as it is durable

    async def list_trades(self, asked: TradesAsked) -> list[TradeRecord]:
        return await self._read(self._journal.trades, asked)

    async def find_trade(self, trade_id: str) -> TradeRecord | None:
        return await self._read(self._journal.trade, trade_id)

    async def list_orders(self, asked: OrdersAsked) -> list[OrderRecord]:
        return await self._read(self._journal.orders, asked)

    async def list_clearings(self, asked: ClearingsAsked) -> list[ClearingRecord]:
        return await self._read(self._journal.clearings, asked)

    async def _read(self, question: Callable[[A], T], asked: A) -> T:
        async with self._reads.room():
            return await self._loop.run_in_executor(self._reader, question, asked)

    async def durable(self) -> None:
        """Return once all that was decided until now is."""
        if self.failure.done():
            raise JournalFailed(str(self.failure.result()))
        if self._unwritten:
            last = self._unwritten[-1]
            if last.done is None:
                last.done = self._loop.create_future()
            # Whoever gives up waiting does not end it for others.
            await asyncio.shield(last.done)

    async def told(self, read: T) -> T:
        """What was read of :attr:`market` just now, once all of it is durable: nothing is told that a restart forgets,
        or that the journal does not know yet.
        """
        await self.durable()
        return read

    # What others hear

    def subscribe(self, heard: Heard) -> Callable[[], None]:
        """Be told of records once they are durable, in order, in the loop; call what is returned to hear no more."""
        self._listeners.append(heard)
        return lambda: self._listeners.remove(heard)

    @property
    def unwritten(self) -> int:
        """How many commands are on their way to the journal."""
        return len(self._unwritten)

    @property
    def on_way(self) -> int:
        """How many requests to the controller and the ledger are not answered."""
        return self._courier.on_way

    # For the courier

    def wanted(self, trade_id: str, kind: type[Effect]) -> tuple[Effect, Trade] | None:
        row = self.market.trade(trade_id)
        if row is None:
            return None
        for each in self.market.wants(trade_id):
            if type(each) is kind:
                return each, row.trade
        return None

    async def hear(self, trade_id: str, event: TradeEvent) -> None:
        """Something has happened to a trade; returns once what follows is durable."""
        self._let(lambda now_ns: self.market.hear(trade_id, event, now_ns))
        await self.durable()

    def now_ns(self) -> int:
        """The wall clock, that never goes back: one that was set back stands still."""
        self._now_ns = max(self._now_ns, self._clock_ns())
        return self._now_ns

    # Within

    async def _do(self, command: Callable[[int], Outcome[T]]) -> T:
        """A client's command. Raises Refused, with nothing changed but the nonce that it used, and JournalFailed."""
        if len(self._unwritten) > MAX_UNWRITTEN:
            raise Refused(
                MarketReason.OVERLOADED, "the journal has not caught up; try again in a moment"
            )
        try:
            answer = self._let(command)
        except Refused:
            # What was refused stays so, also after a restart.
            await self.durable()
            raise
        await self.durable()
        return answer

    def _let(self, command: Callable[[int], Outcome[T]]) -> T:
        """Has the market do something, and what follows from it be journalled."""
        if self._is_closed or self.failure.done():
            raise JournalFailed("the exchange is closed")
        try:
            outcome = command(self.now_ns())
        except Refused:
            self._submit(self.market.refused())
            raise
        except Exception as error:
            _log.critical("the market failed; stopping", exc_info=True)
            self._fail(error)
            raise
        self._submit(outcome)
        return outcome.answer

    def _submit(self, outcome: Outcome[Any]) -> None:
        if outcome.records or outcome.effects:
            self._ticket += 1
            self._unwritten.append(_Unwritten(self._ticket, outcome.records, outcome.effects))
            self._journal.submit(self._ticket, outcome.records)
            self._arm()

    def _on_durable(self, ticket: int) -> None:
        done = 0
        try:
            while self._unwritten and self._unwritten[0].ticket <= ticket:
                written = self._unwritten.popleft()
                self._made_durable(written)
                done += len(written.records) + len(written.effects)
                if done >= _MOST_AT_ONCE:
                    self._loop.call_soon(self._on_durable, ticket)
                    break
        except Exception as error:  # noqa: BLE001 - whatever it is, trades would wait for ever
            _log.critical("a watcher of the market failed; stopping", exc_info=True)
            self._fail(error)

    def _made_durable(self, written: _Unwritten) -> None:
        if written.done is not None and not written.done.done():
            written.done.set_result(None)
        if written.records:
            self.tallies.written(written.records)
            for heard in tuple(self._listeners):
                heard(written.records)
        if not self._is_closed:
            for effect in written.effects:
                self._begin(effect)

    def _begin(self, effect: Ask | Clear) -> None:
        match effect:
            case Ask(trade_id, asked):
                self._courier.begin(trade_id, type(asked))
            case Clear():
                self._start("clearing", lambda: self._clear(effect))

    async def _clear(self, asked: Clear) -> None:
        """Until there is an answer, or the interval begins without one."""
        start_ns, pause_s = asked.interval.start_ns, FIRST_PAUSE_S
        while self.market.awaits(start_ns, asked.round):
            held_up = None if self._clearer.is_ready else MarketReason.CLEARER_LOADING
            self._let(partial(self.market.held_up, start_ns, asked.round, held_up))
            try:
                cleared = await self._clearing(asked)
            except Unreachable as error:
                _log.warning("the interval at %d cannot be cleared yet: %s", start_ns, error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_PAUSE_S)
                continue
            self._let(partial(self.market.cleared, start_ns, asked.round, cleared))

    async def _clearing(self, asked: Clear) -> Cleared:
        network = await self._controller.network()
        network = dataclasses.replace(network, barred=asked.barred)
        return await self._clearer.clear(asked, network)

    async def _watch(self) -> None:
        while True:
            try:
                await self._controller.watch(self._heard)
            except Unreachable as error:
                _log.warning("circuits are not watched: %s", error)
            await asyncio.sleep(MAX_PAUSE_S)

    def _heard(self, request_id: str, event: Watched | HoldLost) -> None:
        trade_id = self.market.trade_id_of(request_id)
        if trade_id is not None:
            self._let(lambda now_ns: self.market.hear(trade_id, event, now_ns))

    def _start(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = start_task(name, work, self._fail)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _arm(self) -> None:
        """Wake when the market next has something to do, or to look at the clock again.

        A timer that is due earlier stays: one that was made anew by each command would never come where commands do
        in each turn of the loop.
        """
        next_ns = self.market.next_deadline_ns()
        wait_s = _MAX_SLEEP_S
        if next_ns is not None:
            wait_s = min(max(0.0, (next_ns - self.now_ns()) / NS_PER_S), _MAX_SLEEP_S)
        at_s = self._loop.time() + wait_s
        if self._timer is not None:
            if self._timer.when() <= at_s:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at_s, self.wake)

    def wake(self) -> None:
        """Look at the clock now: deadlines that have come are dealt with, some at a time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_closed or self.failure.done():
            return
        self._let(self.market.tick)
        self._arm()

    def _fail(self, error: Exception) -> None:
        """Whoever waits is told that it will not be known."""
        if not self.failure.done():
            self.failure.set_result(error)
        for each in self._unwritten:
            if each.done is not None and not each.done.done():
                each.done.set_exception(JournalFailed(str(error)))
        self._unwritten.clear()

    def _from_thread(self, callback: Callable[[T], None]) -> Callable[[T], None]:
        def call(argument: T) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(callback, argument)

        return call
