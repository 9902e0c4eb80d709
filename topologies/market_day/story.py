"""The story of the day: twelve intervals in which prosumers trade, and what goes wrong in them, on purpose."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from digitalgrid.client import AsyncPowerClient, PowerError
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import northbound_pb2 as power_pb
from topologies.emulator.emulation import Emulation
from topologies.market_day.day import AGREED, Day, Period, Trade
from topologies.market_day.exchange import MECHANISMS, OPERATOR, Exchange, mechanism_of
from topologies.market_day.faults import FAULTS, Faults, until
from topologies.market_day.prosumers import Prosumer
from topologies.market_day.tendering import tenders_of
from trading.client.blocking import MarketClient
from trading.core.units import wh_below

INTERVALS = 12
# Each party's account at dawn: more than a day's trade can come to (nano).
_DEPOSIT_NANO = 20 * 10**9
# Tenders for an interval come once the one before it has begun for so long, at this pace (s): trades that were agreed
# carry by then, and all is in the book before the gate.
_OPENS_S, _APART_S = 1.0, 0.15
_POLL_S = 0.2
# Trades of the last interval: to read, to dispute, to settle.
_ENDS_WITHIN_S = 60.0
_PATIENCE_S = 20.0

T = TypeVar("T")


class MarketDay:
    def __init__(
        self,
        emulation: Emulation,
        client: AsyncPowerClient,
        exchange: Exchange,
        rival: Exchange,
        router_state: Callable[[str], Path],
        prosumers: tuple[Prosumer, ...],
        say: Callable[[str], None],
        seed: int = 1,
        rotation: int = 0,
    ) -> None:
        """``rotation``: by how many mechanisms the first interval is after the first of the market."""
        self._client = client
        self._exchange = exchange
        self._rival = rival
        self._router_state = router_state
        self._prosumers = {each.party: each for each in prosumers}
        self._say = say
        self._traders: dict[str, MarketClient] = {}
        self._operator = exchange.client(OPERATOR)
        self._emulation = emulation
        self.day = Day(pb.Tariff(), OPERATOR, seed=seed, rotation=rotation)

    async def live(self, faults: bool = True) -> Day:
        """All of it; what was seen is in :attr:`day`, also where it breaks off."""
        market = await self._ask(self._operator.market)
        self.day.prices = market.tariff
        self._traders = {party: self._exchange.client(party) for party in self._prosumers}
        await self._deposit(self._operator)
        with self._rival.client(OPERATOR) as rival:
            await self._deposit(rival)
        self.day.deposits = dict.fromkeys((*self._prosumers, OPERATOR), _DEPOSIT_NANO)
        first_ns = first_start_ns(time.time_ns(), market.length_ns, self.day.rotation)
        self._say(f"the day begins in {(first_ns - time.time_ns()) / NS_PER_S:.0f} s")
        trouble = Faults(
            *(self._emulation, self._client, self._exchange, self._rival, self._router_state),
            *(self.day, self._ask, self._say),
        )
        running: list[asyncio.Task[None]] = []
        for number in range(1, INTERVALS + 1):
            start_ns = first_ns + (number - 1) * market.length_ns
            interval = pb.Interval(start_unix_ns=start_ns, length_ns=market.length_ns)
            await until(start_ns - market.length_ns + round(_OPENS_S * NS_PER_S))
            if faults and number in FAULTS:
                prepared = trouble.of_interval(number, start_ns, market)
                running.append(asyncio.create_task(prepared))
            await self._tender(number, interval)
            await self._note(number, interval)
            for task in running:
                if task.done():
                    # It broke off, and with it the story.
                    task.result()
        await asyncio.gather(*running)
        await self._until_ended()
        await self._collect()
        return self.day

    async def _deposit(self, operator: MarketClient) -> None:
        for party in (*self._prosumers, OPERATOR):
            await self._ask(partial(operator.deposit, party, _DEPOSIT_NANO, f"dawn/{party}"))

    async def _tender(self, number: int, interval: pb.Interval) -> None:
        for party, prosumer in self._prosumers.items():
            tenders = tenders_of(prosumer, number, interval, self.day.prices, self.day.seed)
            if tenders:
                results = await self._ask(partial(self._traders[party].create_tenders, tenders))
                for result in results:
                    if result.HasField("refusal"):
                        self._say(f"{party}'s tender is refused: {result.refusal.message}")
            await asyncio.sleep(_APART_S)

    async def _note(self, number: int, interval: pb.Interval) -> None:
        market = await self._ask(self._operator.market)
        mechanism = next(
            (
                each.mechanism
                for each in market.intervals
                if each.interval.start_unix_ns == interval.start_unix_ns
            ),
            "",
        )
        surplus_wh = {
            party: _signed_wh(each.surplus_w(number, self.day.seed), interval.length_ns)
            for party, each in self._prosumers.items()
        }
        self.day.periods.append(Period(number, interval.start_unix_ns, mechanism, surplus_wh))
        book = await self._ask(partial(self._operator.book, interval.start_unix_ns))
        self._say(
            f"interval {number:2} ({mechanism}): {sum(b.wh for b in book.bids)} Wh wanted,"
            f" {sum(a.wh for a in book.asks)} Wh offered"
        )

    async def _until_ended(self) -> None:
        self._say("evening: the last trades are metered and settled")
        deadline_s = time.monotonic() + _ENDS_WITHIN_S
        while time.monotonic() < deadline_s:
            if not await self._ask(lambda: self._operator.list_transactions(open_only=True)):
                return
            await asyncio.sleep(_POLL_S)
        left = await self._ask(lambda: self._operator.list_transactions(open_only=True))
        self._say(f"{len(left)} trades have not ended after {_ENDS_WITHIN_S:g} s")

    async def _collect(self) -> None:
        day = self.day
        for transaction in await self._ask(self._operator.list_transactions):
            day.trades.append(await self._with_bill(transaction))
        day.clearings = list(await self._ask(partial(self._operator.list_clearings, INTERVALS + 2)))
        for account in (*self._prosumers, OPERATOR):
            balance = await self._ask(partial(self._operator.balance, account))
            day.balances[account] = (balance.free_nano, balance.locked_nano)
        await self._collect_circuits()

    async def _with_bill(self, transaction: pb.Transaction) -> Trade:
        if transaction.state not in AGREED:
            return Trade(transaction, pb.Settlement(trade_id=transaction.trade_id))
        bill = await self._ask(partial(self._operator.get_settlement, transaction.trade_id))
        return Trade(bill.transaction, bill.settlement)

    async def _collect_circuits(self) -> None:
        over = {power_pb.CIRCUIT_STATE_WITHDRAWN, power_pb.CIRCUIT_STATE_FAILED}
        circuits = (await self._client.list_circuits()).circuits
        self.day.left_over = [each.circuit_id for each in circuits if each.state not in over]
        for trade in self.day.trades:
            request_id = trade.transaction.request_id
            registers = await self._client.list_registers(request_id=request_id)
            self.day.circuits[request_id] = len({each.circuit_id for each in registers})
            self.day.registers[request_id] = (
                _sum([r.injected_mj if r.HasField("injected_mj") else None for r in registers]),
                _sum([r.delivered_mj if r.HasField("delivered_mj") else None for r in registers]),
            )

    async def _ask(self, ask: Callable[[], T]) -> T:
        """A blocking call of the market's client, again while the exchange is away."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return await asyncio.to_thread(ask)
            except PowerError:
                if time.monotonic() > deadline_s:
                    raise
            await asyncio.sleep(_POLL_S)

    def close(self) -> None:
        for client in (*self._traders.values(), self._operator):
            with suppress(PowerError):
                client.close()


def first_start_ns(now_ns: int, length_ns: int, rotation: int) -> int:
    """Of the first interval of its mechanism that can be tendered for at leisure: which rule meets which fault is the
    script's, and not the clock's.
    """
    start_ns = -(-(now_ns + length_ns) // length_ns) * length_ns
    while mechanism_of(start_ns) != MECHANISMS[rotation]:
        start_ns += length_ns
    return start_ns


def _signed_wh(power_w: float, length_ns: int) -> int:
    return wh_below(power_w, length_ns) if power_w > 0.0 else -wh_below(-power_w, length_ns)


def _sum(figures: list[int | None]) -> int | None:
    known = [each for each in figures if each is not None]
    return sum(known) if known and len(known) == len(figures) else None
