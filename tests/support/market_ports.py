"""An exchange's runtime among simulated others: a network, a real ledger in memory, a worker, and a clock to be set."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from digitalgrid.units import NS_PER_S
from tests.support.market_ledger import OPERATOR, MarketLedger
from tests.support.market_settings import PARTIES, SETTINGS
from tests.support.market_steps import clear
from tests.support.market_world import Controller
from tests.support.northbound import until
from trading.core.orders import Side, Tender
from trading.core.readings import Ends, Reading
from trading.core.trades import (
    Activate,
    Activated,
    AskMeters,
    Close,
    Closed,
    Held,
    Hold,
    HoldLost,
    Lock,
    Locked,
    PartPaid,
    Pay,
    Read,
    Refusal,
    Release,
    Released,
    Revoke,
    Sign,
    Signed,
    Trade,
    TradeEvent,
    Unsigned,
    Watched,
)
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule, Nano, Wh
from trading.exchange.journal import Journal
from trading.exchange.ports import JournalPort, Unreachable
from trading.exchange.runtime import Runtime
from trading.market.outcome import Clear, Cleared
from trading.market.settings import MarketSettings
from trading.mechanisms.network import MarketNetwork, no_network

A = TypeVar("A", Hold, Activate, Release, AskMeters)


class Others:
    """The world around an exchange, which its end does not touch. ``lose``: which calls get no answer, by name; those
    of ``unheard`` do not arrive at all.
    """

    def __init__(self) -> None:
        self.now_ns = 0
        self.controller = Controller(self)
        balances = dict.fromkeys((*PARTIES, OPERATOR), 2 * 10**9)
        self.trades: dict[str, Trade] = {}
        self.ledger = MarketLedger(balances, lambda: self.now_ns, self.trades.__getitem__)
        self.total = self.ledger.book.total
        self.asked: list[str] = []
        self.lose: set[str] = set()
        self.unheard: set[str] = set()
        self.heard: Callable[[str, Watched | HoldLost], None] | None = None
        self.tendered = 0
        # Before its requests' ids, where two exchanges share a controller.
        self.prefix = ""

    def readings(self, key: str, wh: int) -> Read:
        """All of it arrives."""
        sent, given = wh * MJ_PER_WH * 105 // 100, wh * MJ_PER_WH
        source, sink = ([Reading(1, 1, Millijoule(each))] for each in (sent, given))
        return Read((Ends(source, sink, 1_050_000),))

    def call(
        self, name: str, trade: Trade, served: Callable[[], TradeEvent | None]
    ) -> TradeEvent | None:
        self.trades[trade.trade_id] = trade
        self.asked.append(name)
        if name in self.unheard:
            raise Unreachable(f"{name} is not heard")
        answer = served()
        if name in self.lose:
            raise Unreachable(f"the answer to {name} is lost")
        return answer


class SimulatedController:
    def __init__(self, others: Others) -> None:
        self._others = others

    def _named(self, asked: A) -> A:
        return msgspec.structs.replace(asked, key=self._others.prefix + asked.key)

    async def hold(self, asked: Hold, trade: Trade) -> Held | Refusal:
        answer = self._others.call(
            "hold", trade, lambda: self._others.controller.hold(self._named(asked))
        )
        assert isinstance(answer, Held | Refusal)
        return answer

    async def activate(self, asked: Activate, trade: Trade) -> Activated | HoldLost | Refusal:
        act = self._others.controller.activate
        answer = self._others.call("activate", trade, lambda: act(self._named(asked)))
        assert isinstance(answer, Activated | HoldLost | Refusal)
        return answer

    async def release(self, asked: Release, trade: Trade) -> Released:
        release = self._others.controller.release
        answer = self._others.call("release", trade, lambda: release(self._named(asked)))
        assert isinstance(answer, Released)
        return answer

    async def read(self, asked: AskMeters, trade: Trade) -> Read:
        answer = self._others.call(
            "read", trade, lambda: self._others.controller.meters(self._named(asked))
        )
        assert isinstance(answer, Read)
        return answer

    async def network(self) -> MarketNetwork:
        if "network" in self._others.unheard:
            raise Unreachable("no controller answers")
        return no_network()

    async def watch(self, heard: Callable[[str, Watched | HoldLost], None]) -> None:
        self._others.heard = heard
        await asyncio.Event().wait()


class SimulatedLedger:
    def __init__(self, others: Others) -> None:
        self._others = others

    def registered(self, meter_public_key: bytes) -> int | None:
        return self._others.ledger.book.registered(meter_public_key)

    async def lock(self, asked: Lock, trade: Trade) -> Locked | Refusal:
        answer = self._others.call("lock", trade, lambda: self._others.ledger.at_once(asked))
        assert isinstance(answer, Locked | Refusal)
        return answer

    async def sign(self, asked: Sign, trade: Trade) -> Signed | Refusal | None:
        answer = self._others.call("sign", trade, lambda: self._others.ledger.at_once(asked))
        assert answer is None or isinstance(answer, Signed | Refusal)
        return answer

    async def revoke(self, asked: Revoke, trade: Trade) -> Unsigned | Signed:
        answer = self._others.call("revoke", trade, lambda: self._others.ledger.at_once(asked))
        assert isinstance(answer, Unsigned | Signed)
        return answer

    async def pay(self, asked: Pay, trade: Trade) -> PartPaid | Refusal:
        answer = self._others.call("pay", trade, lambda: self._others.ledger.at_once(asked))
        assert isinstance(answer, PartPaid | Refusal)
        return answer

    async def close(self, asked: Close, trade: Trade) -> Closed | Refusal:
        answer = self._others.call("close", trade, lambda: self._others.ledger.at_once(asked))
        assert isinstance(answer, Closed | Refusal)
        return answer

    def free(self, account: str) -> Nano:
        return self._others.ledger.book.balance(account)


class SimulatedWorker:
    is_ready = True

    async def clear(self, asked: Clear, network: MarketNetwork) -> Cleared:
        return clear(asked)


def runtime(others: Others, journal: JournalPort, settings: MarketSettings = SETTINGS) -> Runtime:
    return Runtime(
        settings,
        journal,
        SimulatedController(others),
        SimulatedLedger(others),
        SimulatedWorker(),
        lambda: others.now_ns,
    )


def tender(others: Others, party: str, side: Side, wh: int = 100) -> Tender:
    """For the next interval that can be tendered for; all at one price, with room for tolls."""
    others.tendered += 1
    nonce = others.tendered
    (interval,) = SETTINGS.rules.open_intervals(others.now_ns)
    limit = MicroPerKwh(210_000 if side is Side.BUY else 200_000)
    return Tender(
        f"o{nonce}", party, f"meter of {party}", side, Wh(wh), limit, interval, nonce=nonce
    )


async def pass_time(others: Others, exchange: Runtime, by_ns: int) -> None:
    """Half a second at a time, so that whatever follows from one deadline is under way before the next."""
    end_ns = others.now_ns + by_ns
    while others.now_ns < end_ns:
        others.now_ns = min(end_ns, others.now_ns + NS_PER_S // 2)
        others.controller.expire()
        exchange.wake()
        await asyncio.sleep(0)
        await until(lambda: not exchange.unwritten or exchange.failure.done())


def journal(path: Path) -> Journal:
    return Journal(path / "journal.sqlite", SETTINGS.name)
