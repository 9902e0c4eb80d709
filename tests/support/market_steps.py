"""Steps of a market for tests, command by command: tenders, a market at its gate, a trade that has come to its bill."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import pytest

from digitalgrid.units import NS_PER_S
from tests.support.market_settings import SETTINGS
from trading.core.orders import Constraints, Interval, Side, Tender, TimeInForce
from trading.core.readings import Ends, Reading
from trading.core.trades import Activated, Held, Hold, Locked, Read, Released, Signed
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule, Nano, Wh
from trading.market.market import Market
from trading.market.outcome import Ask, Clear, Cleared, Outcome
from trading.market.records import OrderRecord
from trading.market.settings import MarketSettings
from trading.mechanisms.call import CallAuction
from trading.mechanisms.network import no_network
from trading.mechanisms.verify import verify
from trading.reasons import Refused

# Of the interval that is cleared at its gate, and the one before it, where orders meet as they come.
CALLED, CONTINUOUS = 20 * NS_PER_S, 10 * NS_PER_S
NOW_NS = 10 * NS_PER_S
HELD = Held("1", 1_000_000, MicroPerKwh(0), Millijoule(0))
Kind = TypeVar("Kind")
GATE_NS = CALLED - SETTINGS.rules.gate_ns


def tender(
    party: str,
    side: Side,
    wh: int,
    limit: int,
    *,
    nonce: int,
    start_ns: int = CALLED,
    constraints: Constraints | None = None,
    expires_ns: int | None = None,
) -> Tender:
    return Tender(
        f"o{nonce}",
        party,
        f"meter of {party}",
        side,
        Wh(wh),
        MicroPerKwh(limit),
        Interval(start_ns, SETTINGS.rules.length_ns),
        TimeInForce.GTC if expires_ns is None else TimeInForce.GTD,
        expires_ns=expires_ns,
        constraints=constraints or Constraints(),
        nonce=nonce,
    )


FOUR = (
    tender("bob", Side.SELL, 100, 100_000, nonce=1),
    tender("joe", Side.SELL, 100, 110_000, nonce=2),
    tender("ann", Side.BUY, 100, 250_000, nonce=3),
    tender("eve", Side.BUY, 100, 200_000, nonce=4),
)


def taken(
    market: Market, *tenders: Tender, now_ns: int = NOW_NS, free: int = 10**12
) -> Outcome[list[OrderRecord | Refused]]:
    return market.create(tenders, now_ns, mandate_holds=True, free=lambda _: Nano(free))


def billed() -> tuple[Market, str]:
    """Whose bill may be objected to; and the trade's id."""
    times = msgspec.structs.replace(SETTINGS.times, object_ns=60 * NS_PER_S)
    market = Market(msgspec.structs.replace(SETTINGS, times=times))
    market.resume(0)
    for each in (
        tender("bob", Side.SELL, 100, 100_000, nonce=1, start_ns=CONTINUOUS),
        tender("ann", Side.BUY, 100, 200_000, nonce=1, start_ns=CONTINUOUS),
    ):
        taken(market, each, now_ns=0)
    (trade_id,) = [row.trade.trade_id for row in market.trades()]
    for event in (HELD, Locked(), Signed()):
        assert market.hear(trade_id, event, 1).answer
    market.tick(CONTINUOUS)
    market.hear(trade_id, Activated(), CONTINUOUS)
    market.tick(CALLED)
    market.hear(trade_id, Released(), CALLED)
    seen = [Reading(1, 1, Millijoule(100 * MJ_PER_WH))]
    assert market.hear(trade_id, Read((Ends(seen, seen, 1_000_000),)), CALLED).answer
    return market, trade_id


def at_gate(*tenders: Tender, settings: MarketSettings = SETTINGS) -> tuple[Market, Clear]:
    market = Market(settings)
    for each in tenders:
        (answer,) = taken(market, each).answer
        assert isinstance(answer, OrderRecord), answer
    return market, asked_to_clear(market.tick(GATE_NS))


def asked_to_clear(outcome: Outcome[Any]) -> Clear:
    (asked,) = [each for each in outcome.effects if isinstance(each, Clear)]
    return asked


def clear(asked: Clear) -> Cleared:
    network = no_network(asked.barred)
    clearing = CallAuction().clear(asked.orders, network, asked.seed)
    return Cleared(clearing, tuple(verify(asked.orders, network, clearing)), 1)


def cleared(market: Market, asked: Clear) -> Outcome[bool]:
    return market.cleared(asked.interval.start_ns, asked.round, clear(asked), GATE_NS + 1)


def holds(outcome: Outcome[Any]) -> list[str]:
    return [
        e.trade_id for e in outcome.effects if isinstance(e, Ask) and isinstance(e.effect, Hold)
    ]


def records(outcome: Outcome[Any], kind: type[Kind]) -> Sequence[Kind]:
    return [each for each in outcome.records if isinstance(each, kind)]


def refused_by(call: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value
