"""Steps of a market for tests, command by command: tenders, and a trade that has come to its bill."""

import msgspec

from digitalgrid.units import NS_PER_S
from tests.support.market_exchange import SETTINGS
from trading.core.orders import Constraints, Interval, Side, Tender, TimeInForce
from trading.core.readings import Ends, Reading
from trading.core.trades import Activated, Held, Locked, Read, Released, Signed
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule, Nano, Wh
from trading.market.market import Market
from trading.market.outcome import Outcome
from trading.market.records import OrderRecord
from trading.reasons import Refused

# Of the interval that is cleared at its gate, and the one before it, where orders meet as they come.
CALLED, CONTINUOUS = 20 * NS_PER_S, 10 * NS_PER_S
NOW_NS = 10 * NS_PER_S
HELD = Held("1", 1_000_000, MicroPerKwh(0), Millijoule(0))


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
