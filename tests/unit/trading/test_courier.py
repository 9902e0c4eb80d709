"""What trades ask again: how soon, and what is said of it."""

import asyncio
import logging

import pytest

from digitalgrid.rate_limit import LimitedLog
from tests.support.market_ports import Others, SimulatedController, SimulatedLedger
from tests.support.northbound import in_loop, until
from tests.support.sagas import trade
from trading.core.settlement import locks_of
from trading.core.trades import (
    AskMeters,
    Close,
    Effect,
    Lock,
    Locked,
    Refusal,
    Sign,
    Signed,
    Trade,
    TradeEvent,
)
from trading.exchange import courier


class Wanting:
    """Trades that want something of each kind, whatever they hear."""

    def __init__(self) -> None:
        self.trade = trade()
        self.heard: list[TradeEvent] = []
        self._asks: dict[type[Effect], Effect] = {
            AskMeters: AskMeters(self.trade.request_id),
            Sign: Sign("t/sign", "t"),
            Lock: Lock("t/lock", "t", "ann", "bob", locks_of(self.trade.terms), 0),
            Close: Close("t/close", "t", ()),
        }

    def wanted(self, trade_id: str, kind: type[Effect]) -> tuple[Effect, Trade] | None:
        return self._asks[kind], self.trade

    async def hear(self, trade_id: str, event: TradeEvent) -> None:
        self.heard.append(event)

    def now_ns(self) -> int:
        return 0


class Deaf(SimulatedLedger):
    """Answers nothing, as one whose disk does not."""

    async def lock(self, asked: Lock, trade: Trade) -> Locked | Refusal:
        await asyncio.Event().wait()
        raise AssertionError

    async def sign(self, asked: Sign, trade: Trade) -> Signed | Refusal | None:
        await asyncio.Event().wait()
        raise AssertionError


class Refusing(SimulatedLedger):
    async def close(self, asked: Close, trade: Trade) -> Refusal:
        return Refusal("KEY_REUSED", "key 't/close' was used for another entry")


@in_loop
async def test_who_waits_for_the_ledger_does_not_keep_the_controller_from_being_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    others = Others()
    others.unheard.add("read")
    failures: list[Exception] = []
    controller = SimulatedController(others)
    carrier = courier.Courier(controller, Deaf(others), Wanting(), failures.append)
    for number in range(1_000):
        for kind in (Lock, Sign):
            carrier.begin(f"t{number}", kind)
    for number in range(100):
        # Said twice, and asked once.
        for _ in range(2):
            carrier.begin(f"t{number}", AskMeters)
    asleep = asyncio.sleep

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        await asyncio.Event().wait()

    monkeypatch.setattr(courier, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    while len(pauses) < 100:
        await asleep(0)
    assert carrier.on_way == 2_100 and not failures
    assert pauses == [pytest.approx(100 / courier.MAX_AGAIN_PER_S)] * 100
    carrier.close()


@in_loop
async def test_a_refusal_that_changes_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Or a trade would hang, and nobody would know why."""
    monkeypatch.setattr(courier, "_log", LimitedLog(logging.getLogger("courier")))
    monkeypatch.setattr(courier, "FIRST_PAUSE_S", 0.001)
    others, wanting = Others(), Wanting()
    failures: list[Exception] = []
    controller = SimulatedController(others)
    carrier = courier.Courier(controller, Refusing(others), wanting, failures.append)
    carrier.begin("t", Close)
    await until(lambda: len(wanting.heard) > 2)
    (line,) = [each.message for each in caplog.records if each.name == "courier"]
    assert line.startswith("Close of trade t is refused, and is asked again: key 't/close' was")
    assert not failures
    carrier.close()
