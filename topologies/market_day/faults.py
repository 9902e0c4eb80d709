"""What goes wrong in the day: one fault an interval, aimed at trades that are there."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from digitalgrid.client import AsyncPowerClient, ControllerUnreachable
from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from topologies.emulator.emulation import Emulation
from topologies.market_day.day import ENDED, Day, Fault
from topologies.market_day.exchange import OPERATOR, Exchange, mechanism_of
from topologies.market_day.lying_router import LIES
from topologies.market_day.prosumers import PROSUMERS, Prosumer
from trading.client.blocking import MarketClient
from trading.client.calls import tender
from trading.core.units import MJ_PER_WH, wh_below

_POLL_S = 0.05
# What is sold again is so much more than the source has: a share of all of it, and Wh, beyond what losses come to.
_CLEARLY, _LEAST_WH = 0.05, 20
# Of less energy, a fifth is within what two meters may differ by.
_LIE_SHOWS_WH = 20
# Of what is reserved, what a cloud leaves.
_LEFT = 0.5
# How long a controller is away, and until it has been started and has heard of all routers.
_AWAY_S = 1.5
_HEARD_WITHIN_S = 15.0
# From the first trade that is seen in a state until the exchange is killed: more have come to it.
_MORE_COME_S = 0.3
# A trade whose registers have not been read yet.
_UNREAD = (pb.TRANSACTION_STATE_DELIVERING, pb.TRANSACTION_STATE_METERING)
_S = NS_PER_S
# Nothing was counted before, and by no clock that late.
_NOTHING: Mapping[str, tuple[int, int]] = {}
_NEVER = (-1, 0)
_BY_PARTY: Mapping[str, Prosumer] = {each.party: each for each in PROSUMERS}


class Ask(Protocol):
    def __call__(self, ask: Callable[[], Any]) -> Awaitable[Any]:
        """The answer of a blocking call, which is asked again while nobody answers."""


class Faults:
    def __init__(
        self,
        emulation: Emulation,
        client: AsyncPowerClient,
        exchange: Exchange,
        rival: Exchange,
        router_state: Callable[[str], Path],
        day: Day,
        ask: Ask,
        say: Callable[[str], None],
    ) -> None:
        self._emulation = emulation
        self._client = client
        self._exchange = exchange
        self._rival = rival
        self._router_state = router_state
        self._day = day
        self._ask = ask
        self._say = say
        self._operator = exchange.client(OPERATOR)

    async def of_interval(self, number: int, start_ns: int, market: pb.GetMarketResponse) -> None:
        """Do what is planned for an interval, and mend it; called before its gate closes."""
        name = FAULTS[number]
        fault = self._day.faults[name] = Fault(number, name)
        await _ACTS[name](self, fault, start_ns, market)

    # On the network

    async def cut(self, fault: Fault, start_ns: int, market: pb.GetMarketResponse) -> None:
        """The line that most trades use breaks while it carries, and is mended."""
        await until(start_ns + 3 * _S)
        trades = await self._delivering(start_ns)
        uses: dict[str, set[str]] = {}
        for trade in trades:
            circuit = await self._client.get_circuit(trade.circuit_id)
            for each in circuit.links:
                uses.setdefault(each.link_id, set()).add(trade.trade_id)
        if not uses:
            raise TimeoutError("no trade of the interval goes over a line")
        link = max(uses, key=lambda each: (len(uses[each]), each))
        fault.target, fault.concerned = link, uses[link]
        self._say(f"line {link} breaks under {len(fault.concerned)} trades")
        self._emulation.cut(link)
        await until(start_ns + 8 * _S)
        self._emulation.restore(link)

    async def cloud(self, fault: Fault, start_ns: int, market: pb.GetMarketResponse) -> None:
        """The source that sells most gives half of it."""
        await until(start_ns + 3 * _S)
        seller, trades = _by_most(await self._delivering(start_ns), "seller")
        prosumer = _BY_PARTY[seller]
        sold_w = sum(each.injected_wh for each in trades) * 3_600 * _S / market.length_ns
        fault.target, fault.concerned = prosumer.source, {each.trade_id for each in trades}
        self._say(f"a cloud over {prosumer.source}: half of what {seller} has sold is left")
        self._emulation.cloud(prosumer.source, _LEFT * sold_w / prosumer.most_given_w)
        await until(start_ns + market.length_ns + _S)
        self._emulation.clear(prosumer.source)

    async def unplug(self, fault: Fault, start_ns: int, market: pb.GetMarketResponse) -> None:
        """A car that buys drives away; if none does, whoever buys most goes dark."""
        await until(start_ns + 4 * _S)
        trades = await self._delivering(start_ns)
        cars = [each for each in trades if _BY_PARTY[each.buyer].is_car]
        buyer, trades = _by_most(cars or trades, "buyer")
        load = _BY_PARTY[buyer].load
        fault.target, fault.concerned = load, {each.trade_id for each in trades}
        self._say(f"{load} is unplugged while {len(trades)} trades bring it power")
        self._emulation.unplug(load)
        await until(start_ns + market.length_ns + _S)
        self._emulation.plug(load)

    async def lie(self, fault: Fault, start_ns: int, market: pb.GetMarketResponse) -> None:
        """The router of whoever buys most reports less than it has delivered; the operator looks at what lines say."""
        await until(start_ns + 4 * _S)
        trades = await self._delivering(start_ns)
        buyer, _ = _by_most(trades, "buyer")
        router = _BY_PARTY[buyer].router
        lied = {t.trade_id: t.wh for t in trades if _BY_PARTY[t.buyer].router == router}
        fault.target, fault.concerned = router, set(lied)
        fault.found["shows"] = sorted(each for each, wh in lied.items() if wh >= _LIE_SHOWS_WH)
        self._say(f"{router} will report a fifth less than it delivers")
        marker = self._router_state(router) / LIES
        marker.touch()
        try:
            # Before trades of the next interval end, about which it says the truth.
            metered = await self._metered(set(lied), start_ns + 2 * market.length_ns - 2 * _S)
        finally:
            marker.unlink()
        disputed = [each for each in metered if each.state == pb.TRANSACTION_STATE_DISPUTED]
        fault.found["disputed"] = sorted(each.trade_id for each in disputed)
        for trade in disputed:
            await self._resolve(trade, router)

    async def _resolve(self, trade: pb.Transaction, router: str) -> None:
        meters = (await self._client.read_meters()).meters
        (books,) = [each for each in meters if each.router_id == router]
        registers = await self._client.list_registers(trade.circuit_id)
        counted = {
            each.generation: each.delivered_mj
            for each in books.circuits
            if each.circuit_id == trade.circuit_id
        }
        deliveries = [
            pb.Delivery(
                generation=each.generation,
                injected_mj=each.injected_mj,
                delivered_mj=counted.get(each.generation, each.delivered_mj),
            )
            for each in registers
        ]
        await self._ask(
            lambda: self._operator.resolve_dispute(
                trade.trade_id, "the sink's own meter and the line's agree", deliveries
            )
        )

    # On the market

    async def crash(self, fault: Fault, start_ns: int, market: pb.GetMarketResponse) -> None:
        """The exchange is killed while circuits are held and money is not locked yet, and again while it settles."""
        if mechanism_of(start_ns) != "continuous":
            # Nothing is matched before the gate.
            await until(start_ns - market.gate_ns - _S // 2)
        fault.concerned |= await self._kill_in(
            pb.TRANSACTION_STATE_HELD, start_ns, "while circuits are held, before any money"
        )
        await until(start_ns + market.length_ns)
        fault.found["while settling"] = sorted(
            await self._kill_in(pb.TRANSACTION_STATE_SETTLING, start_ns, "while it settles")
        )

    async def _kill_in(self, state: int, start_ns: int, when: str) -> set[str]:
        with self._exchange.stalled_ledger():
            await self._in_state_of(start_ns, state)
            await asyncio.sleep(_MORE_COME_S)
            found = await self._in_state_of(start_ns, state)
            self._say(f"kill -9 of the exchange {when}: {len(found)} trades")
            self._exchange.kill()
        self._exchange.start()
        await self._ask(self._operator.market)
        return {each.trade_id for each in found}

    async def controller(self, fault: Fault, start_ns: int, market: pb.GetMarketResponse) -> None:
        """The controller is killed while power flows, which goes on."""
        # So early that it is back before the next gate.
        await until(start_ns + _S)
        trades = await self._delivering(start_ns)
        fault.concerned = {each.trade_id for each in trades}
        before = await self._counted(trades)
        ends_ns = time.monotonic_ns() + start_ns + market.length_ns - time.time_ns()
        self._say("kill -9 of the controller: power flows on")
        self._emulation.kill_controller()
        await asyncio.sleep(_AWAY_S)
        self._emulation.restart_controller()
        after = await self._counted(trades, before)
        fault.found["seconds"] = min(
            (after[key][0] - before[key][0]) / NS_PER_S for key in fault.concerned
        )
        fault.found["flowed"] = {
            each.trade_id: _share_of(each, before[each.trade_id], after[each.trade_id], ends_ns)
            for each in trades
        }

    async def _counted(
        self, trades: list[pb.Transaction], before: Mapping[str, tuple[int, int]] = _NOTHING
    ) -> dict[str, tuple[int, int]]:
        """When the router of each trade's sink has counted how many mJ of it, by its clock, once all are heard, and
        later than ``before``.
        """
        routers = {each.trade_id: _BY_PARTY[each.buyer].router for each in trades}
        deadline_s = time.monotonic() + _HEARD_WITHIN_S
        while True:
            with suppress(ControllerUnreachable):
                books = {each.router_id: each for each in (await self._client.read_meters()).meters}
                if books.keys() >= set(routers.values()):
                    now = {t.trade_id: _delivered(books[routers[t.trade_id]], t) for t in trades}
                    if all(at_ns > before.get(key, _NEVER)[0] for key, (at_ns, _) in now.items()):
                        return now
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"not all routers' meters are read within {_HEARD_WITHIN_S:g} s")
            await asyncio.sleep(_POLL_S)

    async def second(self, fault: Fault, start_ns: int, market: pb.GetMarketResponse) -> None:
        """Another exchange sells a source that this one has sold, to somebody whose load has room."""
        await until(start_ns - market.gate_ns)
        trades = await self._agreed(start_ns, start_ns - market.gate_ns // 2)
        topology = await self._client.get_topology()
        most_w = {each.source_id: each.max_power_w for each in topology.sources}
        free_w = {each.load_id: each.max_power_w - each.reserved_w for each in topology.loads}
        seller, buyer, wh = too_much(trades, most_w, free_w, market.length_ns)
        fault.target = _BY_PARTY[seller].source
        interval = pb.Interval(start_unix_ns=start_ns, length_ns=market.length_ns)
        self._say(f"a second exchange sells {wh} Wh of {fault.target} to {buyer}")
        # All of it or nothing: a part may fit beside what was sold. The buyer takes what arrives: where the network
        # is cleared with its losses, that is less, and rounded to whole Wh at either end.
        sold = tender("sell", seller, wh, 90_000, interval, min_fill_wh=wh - 2)
        bought = tender("buy", buyer, wh, 250_000, interval)
        for party, order in ((seller, sold), (buyer, bought)):
            await self._tender_again(party, order)
        await until(start_ns + 3 * _S)
        with self._rival.client(OPERATOR) as operator:
            found = await self._ask(operator.list_transactions)
            fault.found["trades"] = {each.trade_id: _told(each) for each in found}
            fault.found["locks"] = await self._ask(lambda: _locks(operator))

    async def _tender_again(self, party: str, order: pb.Tender) -> None:
        with self._rival.client(party) as client:
            (result,) = await self._ask(lambda: client.create_tenders([order]))
        if result.HasField("refusal"):
            raise TimeoutError(f"the second exchange takes no tender: {result.refusal.message}")

    async def _agreed(self, start_ns: int, by_ns: int) -> list[pb.Transaction]:
        """Trades of an interval that are confirmed, once none is on its way any more, or at that time."""
        while True:
            trades = await self._ask(lambda: self._operator.list_transactions("", start_ns))
            found = [each for each in trades if each.state == pb.TRANSACTION_STATE_CONFIRMED]
            is_all = found and all(each in found or each.state in ENDED for each in trades)
            if is_all or time.time_ns() > by_ns:
                return found
            await asyncio.sleep(_POLL_S)

    async def _delivering(self, start_ns: int) -> list[pb.Transaction]:
        return await self._in_state_of(start_ns, pb.TRANSACTION_STATE_DELIVERING)

    async def _in_state_of(self, start_ns: int, state: int) -> list[pb.Transaction]:
        """Trades of an interval that are in a state, once one is."""
        deadline_s = time.monotonic() + 10.0
        while True:
            trades = await self._ask(lambda: self._operator.list_transactions("", start_ns))
            found = [each for each in trades if each.state == state]
            if found:
                return found
            if time.monotonic() > deadline_s:
                word = pb.TransactionState.Name(state)  # type: ignore[arg-type]
                raise TimeoutError(f"no trade of the interval is {word} within 10 s")
            await asyncio.sleep(_POLL_S)

    async def _metered(self, ids: set[str], by_ns: int) -> list[pb.Transaction]:
        """These trades, once the registers of all have been read, or at that time."""
        while True:
            trades = await self._ask(self._operator.list_transactions)
            found = [each for each in trades if each.trade_id in ids]
            if time.time_ns() > by_ns or all(each.state not in _UNREAD for each in found):
                return found
            await asyncio.sleep(_POLL_S)


_Act = Callable[[Faults, Fault, int, pb.GetMarketResponse], Awaitable[None]]
# In this order from the fourth interval on. After the controller's return an interval's length is left to its trades;
# the exchange comes last, as it is away twice.
_ACTS: Mapping[str, _Act] = {
    "sold twice": Faults.second,
    "line cut": Faults.cut,
    "source short": Faults.cloud,
    "controller killed": Faults.controller,
    "sink lies": Faults.lie,
    "car unplugged": Faults.unplug,
    "exchange killed": Faults.crash,
}
# By interval.
FAULTS: Mapping[int, str] = dict(enumerate(_ACTS, start=4))


def _by_most(trades: list[pb.Transaction], side: str) -> tuple[str, list[pb.Transaction]]:
    """The party that trades most on a side, and its trades."""
    parties: dict[str, list[pb.Transaction]] = {}
    for trade in trades:
        parties.setdefault(getattr(trade, side), []).append(trade)
    return max(parties.items(), key=lambda each: (sum(t.wh for t in each[1]), each[0]))


def too_much(
    trades: list[pb.Transaction],
    most_w: Mapping[str, float],
    free_w: Mapping[str, float],
    length_ns: int,
) -> tuple[str, str, int]:
    """A seller, somebody else whose load has room, and so much that the seller's source has not got it besides what he
    has sold. TimeoutError where nobody sold enough, or nobody has room. Of what sources can give, and loads still take.
    """
    found: list[tuple[int, int, str, str]] = []
    for seller in {each.seller for each in trades}:
        most_wh = wh_below(most_w[_BY_PARTY[seller].source], length_ns)
        sold_wh = sum(each.injected_wh for each in trades if each.seller == seller)
        wh = most_wh - sold_wh + max(_LEAST_WH, round(_CLEARLY * most_wh))
        for buyer in PROSUMERS:
            # No more than either may tender for, and what the load has room for.
            fits_w = min(
                _BY_PARTY[seller].most_given_w, buyer.most_taken_w, free_w.get(buyer.load, 0.0)
            )
            spare_wh = wh_below(max(0.0, fits_w), length_ns) - wh
            if buyer.party != seller and spare_wh >= 0:
                found.append((-wh, spare_wh, seller, buyer.party))
    if not found:
        raise TimeoutError("nobody has sold so much that it cannot be sold again to somebody")
    # As little as will do, so that nothing else is in its way.
    less_wh, _, seller, buyer_party = max(found)
    return seller, buyer_party, -less_wh


def _delivered(books: power_link_pb.RouterMeters, trade: pb.Transaction) -> tuple[int, int]:
    """When, by the machine's monotonic clock, and how many mJ until then."""
    counted = (c.delivered_mj for c in books.circuits if c.circuit_id == trade.circuit_id)
    return books.time_ns, sum(counted)


def _share_of(
    trade: pb.Transaction, before: tuple[int, int], after: tuple[int, int], ends_ns: int
) -> float:
    """Of what is agreed, what was delivered between two readings, the later one perhaps after the interval's end."""
    passed_ns = min(after[0], ends_ns) - before[0]
    agreed_mj = trade.wh * MJ_PER_WH * passed_ns / trade.interval.length_ns
    return (after[1] - before[1]) / agreed_mj


def _told(trade: pb.Transaction) -> str:
    state = pb.TransactionState.Name(trade.state).removeprefix("TRANSACTION_STATE_").lower()
    return f"{state}: {trade.reason} {trade.detail}".strip()


def _locks(client: MarketClient) -> int:
    """How often money was locked, by the log."""
    head = ledger_pb2.TreeHead.FromString(client.head().head.head)
    entries = client.entries(0, head.size)
    return sum(ledger_pb2.Entry.FromString(each.entry).HasField("lock") for each in entries)


async def until(at_ns: int) -> None:
    """Until that time (ns since 1970)."""
    await asyncio.sleep(max(0.0, (at_ns - time.time_ns()) / NS_PER_S))
