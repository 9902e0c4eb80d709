"""The runtime of an exchange: durable before told, asked until answered, and after a kill it goes on where it was."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from digitalgrid.units import NS_PER_S
from tests.support.market_ports import (
    Others,
    SimulatedController,
    SimulatedLedger,
    journal,
    pass_time,
    runtime,
    tender,
)
from tests.support.market_settings import SETTINGS
from tests.support.moving_markets import KEYED, METERS
from tests.support.northbound import in_loop, until
from tests.support.sagas import trade
from trading.core.orders import Side
from trading.core.trades import (
    AskMeters,
    Delivery,
    Effect,
    Read,
    State,
    Trade,
    TradeEvent,
    Watched,
)
from trading.exchange import courier
from trading.exchange import runtime as runtimes
from trading.exchange.journal import Journal
from trading.exchange.ports import ClearingsAsked, OrdersAsked
from trading.exchange.runtime import JournalFailed, Runtime
from trading.market.outcome import Clear, Cleared
from trading.market.phases import Phase
from trading.market.records import ClearingRecord, OrderRecord, Record, TradeRecord
from trading.mechanisms.network import MarketNetwork
from trading.reasons import MarketReason, Refused


class GatedJournal(Journal):
    """Writes when it is told to; after ``dies_at`` commits it is dead, before or after the next."""

    def __init__(self, path: Path) -> None:
        super().__init__(path / "journal.sqlite", SETTINGS.name)
        self.dies_at: int | None = None
        self.dies_written = False
        self.commits = 0

    def _commit(self, records: Sequence[Record]) -> None:
        self.commits += 1
        is_last = self.commits == self.dies_at
        if not is_last or self.dies_written:
            super()._commit(records)
        if is_last:
            raise RuntimeError("killed")


class WaitingJournal:
    """Writes nothing until it is let."""

    def __init__(self, path: Path) -> None:
        self.real = journal(path)
        self.held: list[tuple[int, Sequence[Record]]] = []

    def submit(self, ticket: int, records: Sequence[Record]) -> None:
        self.held.append((ticket, records))

    def release(self) -> None:
        for ticket, records in self.held:
            self.real.submit(ticket, records)
        self.held.clear()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self.real, name)
        return found


@pytest.fixture(autouse=True)
def asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (courier, runtimes):
        monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.002)


async def traded(others: Others, exchange: Runtime) -> str:
    """A seller's and a buyer's tender; the trade that they become."""
    (sold,) = await exchange.create_tenders([tender(others, "bob", Side.SELL)], mandate_holds=True)
    (bought,) = await exchange.create_tenders([tender(others, "ann", Side.BUY)], mandate_holds=True)
    assert isinstance(sold, OrderRecord) and isinstance(bought, OrderRecord)
    return "m-10-1"


def state_of(exchange: Runtime, trade_id: str) -> State | None:
    row = exchange.market.trade(trade_id)
    return None if row is None else row.trade.state


@in_loop
async def test_a_trade_goes_all_the_way(tmp_path: Path) -> None:
    others = Others()
    exchange = runtime(others, journal(tmp_path))
    told: list[Record] = []
    exchange.subscribe(told.extend)
    exchange.start()
    trade_id = await traded(others, exchange)
    await until(lambda: state_of(exchange, trade_id) is State.CONFIRMED)
    assert others.asked == ["hold", "lock", "sign"]
    await pass_time(others, exchange, 10 * NS_PER_S)
    assert others.heard is not None
    others.heard(f"{trade_id}/1", Watched(Delivery.ACTIVE))
    others.heard("of somebody else", Watched(Delivery.ACTIVE))
    await pass_time(others, exchange, 12 * NS_PER_S)
    await until(lambda: state_of(exchange, trade_id) is None)
    assert others.asked[3:] == ["activate", "release", "read", "close"]
    found = await exchange.find_trade(trade_id)
    assert found is not None and found.trade.state is State.SETTLED
    assert found.trade.delivery is Delivery.ACTIVE
    states = [each.trade.state for each in told if isinstance(each, TradeRecord)]
    assert states == sorted(states, key=list(State).index) and states[-1] is State.SETTLED
    assert exchange.tallies.tenders == {"taken": 2}
    assert exchange.tallies.trades == {State.SETTLED: 1}
    assert not any(others.ledger.book.has_escrow(each) for each in others.trades)
    await exchange.close()


@in_loop
async def test_nothing_is_told_or_asked_before_it_is_durable(tmp_path: Path) -> None:
    others, waiting = Others(), WaitingJournal(tmp_path)
    exchange = runtime(others, waiting)
    told: list[Record] = []
    exchange.subscribe(told.extend)
    exchange.start()
    asked = asyncio.create_task(traded(others, exchange))
    await asyncio.sleep(0.05)
    assert not told and not asked.done()
    waiting.release()
    await until(lambda: bool(waiting.held))
    # The buyer's tender is matched by now, and nobody knows.
    assert exchange.market.trade("m-10-1") is not None
    assert not asked.done() and not others.asked
    assert not any(isinstance(each, TradeRecord) for each in told)
    waiting.release()
    await asked
    await until(lambda: bool(others.asked))
    waiting.release()
    await exchange.close()


@in_loop
async def test_a_tender_counts_whose_client_is_gone_before_it_is_durable(tmp_path: Path) -> None:
    others, waiting = Others(), WaitingJournal(tmp_path)
    exchange = runtime(others, waiting)
    exchange.start()
    tenders = [tender(others, "ann", Side.BUY)]
    asked = asyncio.create_task(exchange.create_tenders(tenders, mandate_holds=True))
    await until(lambda: bool(list(exchange.market.orders.rows())))
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    waiting.release()
    await exchange.durable()
    assert exchange.tallies.tenders == {"taken": 1}
    await exchange.close()


@in_loop
async def test_a_meter_may_leave_once_all_that_is_over_for_it_is_durable(tmp_path: Path) -> None:
    others, waiting = Others(), WaitingJournal(tmp_path)
    exchange = runtime(others, waiting, KEYED)
    exchange.start()
    public_key = METERS["bob"].public_key
    decided = asyncio.create_task(exchange.use_nonce("ann", 1))
    leaves = asyncio.create_task(exchange.begin_move(public_key, leaves=True))
    await until(lambda: bool(exchange.market.moves._under_way))
    (refused,) = exchange.market.create(
        [tender(others, "bob", Side.SELL)],
        0,
        mandate_holds=True,
        free=others.ledger.book.balance,
        registered=lambda _: 0,
    ).answer
    assert isinstance(refused, Refused) and refused.reason is MarketReason.METER_NOT_REGISTERED
    assert not leaves.done()
    waiting.release()
    await leaves
    await decided
    exchange.end_move(public_key)
    # Where nothing can be made durable any more, nobody leaves.
    exchange.failure.set_result(RuntimeError("no disk"))
    with pytest.raises(runtimes.JournalFailed):
        await exchange.begin_move(public_key, leaves=True)
    assert not exchange.market.moves._under_way
    await exchange.close()


@pytest.mark.parametrize("how", ["lose", "unheard"])
@pytest.mark.parametrize("call", ["hold", "lock", "sign", "activate", "release", "read", "close"])
@in_loop
async def test_what_is_not_answered_is_asked_again_and_done_once(
    call: str, how: str, tmp_path: Path
) -> None:
    others = Others()
    exchange = runtime(others, journal(tmp_path))
    exchange.start()
    getattr(others, how).add(call)
    # A signature that is there tells that the money is.
    least = 1 if (call, how) == ("lock", "lose") else 2
    trade_id = await traded(others, exchange)
    for _ in range(45):
        await pass_time(others, exchange, NS_PER_S // 2)
        if others.asked.count(call) and call in getattr(others, how):
            # Not before it was asked at least twice.
            await until(lambda: others.asked.count(call) >= least)
            getattr(others, how).clear()
            await until(lambda: call in others.asked and not exchange.on_way)
    await until(lambda: state_of(exchange, trade_id) is None)
    found = await exchange.find_trade(trade_id)
    assert found is not None and found.trade.state is State.SETTLED
    assert len(others.controller.circuits) == 1
    assert others.ledger.book.total == others.total
    await exchange.close()


@in_loop
async def test_who_fails_otherwise_than_by_being_unreachable_ends_the_daemon(
    tmp_path: Path,
) -> None:
    others = Others()
    exchange = runtime(others, journal(tmp_path))
    exchange.start()

    def wrong(*_: object) -> None:
        raise ZeroDivisionError("a mistake in a port")

    others.controller.hold = wrong  # type: ignore[method-assign, assignment]
    await traded(others, exchange)
    assert isinstance(await exchange.failure, ZeroDivisionError)
    with pytest.raises(JournalFailed):
        await exchange.create_tenders([], mandate_holds=True)
    await exchange.close()


@in_loop
async def test_a_watcher_that_fails_ends_the_daemon(tmp_path: Path) -> None:
    others = Others()
    exchange = runtime(others, journal(tmp_path))

    def wrong(records: Sequence[Record]) -> None:
        raise ZeroDivisionError("a mistake in a watcher")

    exchange.subscribe(wrong)
    exchange.start()
    assert isinstance(await exchange.failure, ZeroDivisionError)
    await exchange.close()


@in_loop
async def test_a_journal_that_cannot_be_written_ends_the_daemon_and_nobody_is_told(
    tmp_path: Path,
) -> None:
    others, dying = Others(), GatedJournal(tmp_path)
    exchange = runtime(others, dying)
    dying.dies_at = 2
    exchange.start()
    await exchange.durable()
    with pytest.raises(JournalFailed, match="killed"):
        await exchange.create_tenders([tender(others, "ann", Side.BUY)], mandate_holds=True)
    assert isinstance(await exchange.failure, RuntimeError)
    await exchange.close()


@in_loop
async def test_meters_that_stay_silent_are_asked_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    asleep = asyncio.sleep
    others = Others()
    asked, one = AskMeters("m-10-1/1"), trade()

    class Silent:
        """A trade whose circuit the controller has forgotten."""

        def wanted(self, trade_id: str, kind: type[Effect]) -> tuple[Effect, Trade] | None:
            return (asked, one) if len(pauses) < 12 else None

        async def hear(self, trade_id: str, event: TradeEvent) -> None:
            assert event == Read(())

        def now_ns(self) -> int:
            return 0

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        # For a while it does not answer at all.
        (others.unheard.add if 3 <= len(pauses) < 5 else others.unheard.discard)("read")
        await asleep(0)

    monkeypatch.setattr(courier, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(others.controller, "meters", lambda _: Read(()))
    controller = SimulatedController(others)
    failures: list[Exception] = []
    carrier = courier.Courier(controller, SimulatedLedger(others), Silent(), failures.append)
    carrier.begin(one.trade_id, AskMeters)
    while carrier.on_way:
        await asleep(0)
    assert not failures
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1, 1, 2, 4, 8, 10, 10, 10])


@in_loop
async def test_what_was_refused_stays_refused_after_a_restart(tmp_path: Path) -> None:
    others = Others()
    much = tender(others, "ann", Side.BUY, wh=10**9)
    reasons = []
    for _ in range(2):
        exchange = runtime(others, journal(tmp_path))
        exchange.start()
        (answer,) = await exchange.create_tenders([much], mandate_holds=True)
        assert isinstance(answer, Refused)
        with pytest.raises(Refused) as refused:
            await exchange.cancel_tender("bob", 7, "of nobody")
        # What is told is durable.
        assert exchange.unwritten == 0
        reasons.append((answer.reason, refused.value.reason))
        await exchange.close()
    assert reasons[0][0] in (MarketReason.POSITION_LIMIT, MarketReason.FUNDS)
    assert reasons[0][1] is MarketReason.ORDER_UNKNOWN
    assert reasons[1] == (MarketReason.STALE_NONCE, MarketReason.STALE_NONCE)


@in_loop
async def test_more_than_can_be_written_down_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "MAX_UNWRITTEN", 20)
    others, waiting = Others(), WaitingJournal(tmp_path)
    exchange = runtime(others, waiting)
    exchange.start()
    asked = [
        asyncio.create_task(
            exchange.create_tenders([tender(others, "ann", Side.BUY, wh=1)], mandate_holds=True)
        )
        for _ in range(30)
    ]
    await until(lambda: exchange.unwritten == 21)
    with pytest.raises(Refused) as refused:
        await exchange.cancel_tender("ann", 10_000, "o1")
    assert refused.value.reason is MarketReason.OVERLOADED
    waiting.release()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(each, Refused) for each in answers) == 10
    await exchange.close()


@in_loop
async def test_a_gate_closes_also_while_commands_come_in_each_turn(tmp_path: Path) -> None:
    others = Others()
    exchange = runtime(others, journal(tmp_path))
    exchange.start()
    wanted = tender(others, "ann", Side.BUY)
    await exchange.create_tenders([wanted], mandate_holds=True)
    (session,) = exchange.market.sessions.values()
    others.now_ns = session.start_ns - SETTINGS.rules.gate_ns
    said_again: list[asyncio.Future[Any]] = []
    while session.phase is Phase.OPEN and len(said_again) < 500:
        again = msgspec.structs.replace(wanted, nonce=wanted.nonce + 1 + len(said_again))
        said_again.append(
            asyncio.ensure_future(exchange.create_tenders([again], mandate_holds=True))
        )
        await asyncio.sleep(0)
    assert session.phase is not Phase.OPEN
    await asyncio.gather(*said_again)
    await exchange.close()


@in_loop
async def test_an_interval_is_cleared_at_its_gate_once_the_network_is_known(tmp_path: Path) -> None:
    others = Others()
    others.now_ns = 10 * NS_PER_S
    exchange = runtime(others, journal(tmp_path))
    told: list[Record] = []
    exchange.subscribe(told.extend)
    exchange.start()
    others.unheard.add("network")
    orders = [tender(others, "bob", Side.SELL), tender(others, "ann", Side.BUY)]
    for each in orders:
        await exchange.create_tenders([each], mandate_holds=True)
    assert exchange.market.trade("m-20-1") is None
    await pass_time(others, exchange, 8 * NS_PER_S)
    session = exchange.market.sessions[20 * NS_PER_S]
    assert session.phase is Phase.CLEARING and session.is_due
    others.unheard.clear()
    await until(lambda: state_of(exchange, "m-20-1") is State.CONFIRMED)
    (cleared,) = [each for each in told if isinstance(each, ClearingRecord)]
    assert [each.wh for each in cleared.matches] == [100] and not cleared.faults
    assert await exchange.list_clearings(ClearingsAsked(5)) == [cleared]
    assert exchange.tallies.clearings == {"right": 1, "wrong": 0}
    assert sum(exchange.tallies.clearing_s.counts) == 1
    await exchange.close()


@in_loop
async def test_who_is_not_matched_since_the_worker_was_loading_is_told_so(tmp_path: Path) -> None:
    class Loading:
        is_ready = False

        async def clear(self, asked: Clear, network: MarketNetwork) -> Cleared:
            never: asyncio.Future[Cleared] = asyncio.get_running_loop().create_future()
            return await never

    others = Others()
    exchange = runtime(others, journal(tmp_path))
    exchange._clearer = Loading()
    exchange.start()
    # The first interval is of the continuous book.
    await pass_time(others, exchange, 10 * NS_PER_S)
    await exchange.create_tenders([tender(others, "bob", Side.SELL)], mandate_holds=True)
    await pass_time(others, exchange, 10 * NS_PER_S)
    (order,) = await exchange.list_orders(OrdersAsked(1))
    assert order.reason == order.closed == MarketReason.CLEARER_LOADING
    await exchange.close()


@in_loop
async def test_a_preview_changes_nothing(tmp_path: Path) -> None:
    others = Others()
    exchange = runtime(others, journal(tmp_path))
    exchange.start()
    await exchange.create_tenders([tender(others, "bob", Side.SELL)], mandate_holds=True)
    previewed = await exchange.preview(10 * NS_PER_S, "call")
    assert [each.reason for each in previewed.clearing.unmatched] == [MarketReason.ONE_SIDED]
    with pytest.raises(Refused, match="no interval"):
        await exchange.preview(0)
    assert exchange.free("bob") < others.ledger.book.balance("bob")
    await exchange.close()


@pytest.mark.parametrize("is_written", [False, True])
@in_loop
async def test_a_kill_at_any_commit_loses_nothing(tmp_path: Path, is_written: bool) -> None:
    """Before it, or after it and before anybody is told; each time another exchange goes on with the same file."""
    commits, at = 2, 1
    while at < commits:
        at += 1
        directory = tmp_path / str(at)
        directory.mkdir()
        others, dying = Others(), GatedJournal(directory)
        dying.dies_at, dying.dies_written = at, is_written
        exchange = runtime(others, dying)
        exchange.start()
        ids = [tender(others, "bob", Side.SELL), tender(others, "ann", Side.BUY)]
        killed = 0
        for _ in range(120):
            if exchange.failure.done():
                killed += 1
                await exchange.close()
                dying = GatedJournal(directory)
                exchange = runtime(others, dying)
                exchange.start()
            try:
                # Who does not know whether it was taken tenders again.
                for each in ids if others.now_ns < 4 * NS_PER_S else ():
                    await exchange.create_tenders([each], mandate_holds=True)
                await pass_time(others, exchange, NS_PER_S // 2)
                await until(lambda: not exchange.on_way or exchange.failure.done())  # noqa: B023
            except JournalFailed:
                continue
            if others.now_ns > 25 * NS_PER_S:
                break
        commits = max(commits, dying.commits + at * killed)
        found = await exchange.find_trade("m-10-1")
        assert found is not None and found.trade.state is State.SETTLED, (at, found)
        assert await exchange.find_trade("m-10-2") is None
        assert {each.state for each in others.controller.circuits.values()} == {"gone"}
        assert not others.ledger.book.has_escrow("m-10-1")
        assert others.ledger.book.total == others.total
        assert not list(exchange.market.trades()) and not exchange.failure.done()
        await exchange.close()
        if not killed:
            break
    assert at > 10
