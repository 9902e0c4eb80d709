"""Courier: carries what trades ask to the controller and the ledger, and their answers back.

Asked again, ever later up to a second, or later where many are, until the trade does not want it any more: after an
answer it mostly does not. Meters that answer without having read both ends are asked ever later up to ten.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from typing import Protocol

import msgspec

from digitalgrid.counters import COUNTERS
from digitalgrid.rate_limit import LimitedLog
from digitalgrid.supervision import OnFailure, start_task
from trading.core.trades import (
    Activate,
    AskMeters,
    Close,
    Effect,
    Hold,
    Lock,
    Pay,
    Refusal,
    Release,
    Revoke,
    Sign,
    Trade,
    TradeEvent,
)
from trading.exchange.ports import ControllerPort, LedgerPort, Unreachable

_log = LimitedLog(logging.getLogger(__name__))

# Until it is asked again, in seconds: quicker than a hold ends, and a second is soon enough for who is gone.
FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 1.0
# The same (s) where the controller has answered and an end is silent: a router that is down comes back in its own time,
# what a controller has forgotten does not, and a bill that waits for an hour at most is not late by ten seconds.
MAX_SILENT_PAUSE_S = 10.0
# Beyond this many a second the controller is not asked again: one that comes back is not to find ten thousand at its
# door. The ledger is the exchange's own, and answers when its disk does.
MAX_AGAIN_PER_S = 500
# Requests on their way to the controller, which admits as many at once in one go; the rest wait here.
MAX_WITH_CONTROLLER = 256
# Requests that are begun in one turn of the loop: of a thousand trades that are matched at once each is a call, and who
# tenders meanwhile waits for a few of them only.
_MOST_AT_ONCE = 16

_OF_CONTROLLER = (Hold, Activate, Release, AskMeters)


class Trades(Protocol):
    """What a courier knows of a market."""

    def wanted(self, trade_id: str, kind: type[Effect]) -> tuple[Effect, Trade] | None:
        """What the trade asks of this kind as it is, and the trade; None where it does not."""

    def hear(self, trade_id: str, event: TradeEvent) -> Awaitable[None]:
        """Done once what follows from it is durable."""

    def now_ns(self) -> int: ...


class Courier:
    """One request of a kind and trade is on its way at a time. ``on_failure``: a port raised what it must not."""

    def __init__(
        self,
        controller: ControllerPort,
        ledger: LedgerPort,
        trades: Trades,
        on_failure: OnFailure,
    ) -> None:
        self._trades = trades
        self._on_failure = on_failure
        self._on_way: dict[tuple[str, type[Effect]], asyncio.Task[None]] = {}
        # To be begun, in order; a key is here once, and its turn is there only if any is.
        self._waiting: dict[tuple[str, type[Effect]], None] = {}
        self._turn: asyncio.Handle | None = None
        self._room = asyncio.Semaphore(MAX_WITH_CONTROLLER)
        # Of those on their way, and of those to be begun.
        self._for_controller = 0
        self._carry: dict[type[Effect], Callable[..., Awaitable[TradeEvent | None]]] = {
            Hold: controller.hold,
            Activate: controller.activate,
            Release: controller.release,
            AskMeters: controller.read,
            Lock: ledger.lock,
            Sign: ledger.sign,
            Revoke: ledger.revoke,
            Pay: ledger.pay,
            Close: ledger.close,
        }

    @property
    def on_way(self) -> int:
        """How many requests are asked and not answered."""
        return len(self._on_way) + len(self._waiting)

    def begin(self, trade_id: str, kind: type[Effect]) -> None:
        """The trade wants something of this kind, and that it does is durable."""
        key = trade_id, kind
        if key not in self._on_way and key not in self._waiting:
            self._waiting[key] = None
            self._for_controller += kind in _OF_CONTROLLER
            self._arm()

    def _arm(self) -> None:
        if self._waiting and self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._begin_some)

    def _begin_some(self) -> None:
        self._turn = None
        for key in list(islice(self._waiting, _MOST_AT_ONCE)):
            del self._waiting[key]
            self._on_way[key] = start_task("courier", partial(self._ask, *key), self._on_failure)
        self._arm()

    def close(self) -> None:
        """Answers that come from now on are not heard: a daemon that starts asks again."""
        self._waiting.clear()
        for task in self._on_way.values():
            task.cancel()

    async def _ask(self, trade_id: str, kind: type[Effect]) -> None:
        pause_s = FIRST_PAUSE_S
        try:
            while (found := self._trades.wanted(trade_id, kind)) is not None:
                answer = await self._answer(kind, *found)
                if answer is not None:
                    await self._trades.hear(trade_id, answer)
                    if self._trades.wanted(trade_id, kind) is None:
                        break
                    if isinstance(answer, Refusal):
                        self._say_again(kind, trade_id, "refused", answer.detail)
                others = self._for_controller if kind in _OF_CONTROLLER else 0
                await asyncio.sleep(max(pause_s, others / MAX_AGAIN_PER_S))
                is_silent = kind is AskMeters and answer is not None
                pause_s = min(2 * pause_s, MAX_SILENT_PAUSE_S if is_silent else MAX_PAUSE_S)
        finally:
            del self._on_way[trade_id, kind]
            self._for_controller -= kind in _OF_CONTROLLER

    async def _answer(self, kind: type[Effect], asked: Effect, trade: Trade) -> TradeEvent | None:
        copy = msgspec.structs.replace(trade)
        try:
            if kind not in _OF_CONTROLLER:
                return await self._carry[kind](asked, copy)
            async with self._room:
                return await self._carry[kind](asked, copy)
        except Unreachable as error:
            COUNTERS.add("market_unanswered", kind.__name__)
            self._say_again(kind, trade.trade_id, "without an answer yet", error)
            return None

    def _say_again(self, kind: type[Effect], trade_id: str, how: str, why: object) -> None:
        _log.warning(
            self._trades.now_ns(),
            kind.__name__,
            "%s of trade %s is %s, and is asked again: %s",
            kind.__name__,
            trade_id,
            how,
            why,
        )
