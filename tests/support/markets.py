"""Books of orders for tests of markets, written down briefly or drawn by chance, and what brute force says of them."""

from collections.abc import Sequence

import numpy as np

from trading.core.orders import Interval, Meter, Order, Side, Tender, TimeInForce, order_of
from trading.core.units import MicroPerKwh, Wh

LENGTH_NS = 900_000_000_000
INTERVAL = Interval(2 * LENGTH_NS, LENGTH_NS)
NOW_NS = LENGTH_NS + 1


def tender(
    side: Side,
    wh: int,
    limit: int,
    *,
    party: str = "",
    order_id: str = "o",
    meter_id: str = "",
    interval: Interval = INTERVAL,
    tif: TimeInForce = TimeInForce.GTC,
    min_fill_wh: int = 0,
    expires_ns: int | None = None,
    nonce: int = 0,
) -> Tender:
    """Buyers and sellers are of different parties where nothing is said of it."""
    return Tender(
        order_id=order_id,
        party=party or f"party of {side}ers",
        meter_id=meter_id or f"{side} meter",
        side=side,
        wh=Wh(wh),
        limit=MicroPerKwh(limit),
        interval=interval,
        tif=tif,
        min_fill_wh=Wh(min_fill_wh),
        expires_ns=expires_ns,
        nonce=nonce,
    )


def book(bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]) -> list[Order]:
    """Orders of (limit, Wh), numbered in this order."""
    tenders = [tender(Side.BUY, wh, limit) for limit, wh in bids]
    tenders += [tender(Side.SELL, wh, limit) for limit, wh in asks]
    return [order_of(each, seq) for seq, each in enumerate(tenders, 1)]


def random_book(seed: int, *, parties: int = 0, least_fills: bool = False) -> list[Order]:
    """Few different limits, so that they often tie; with ``parties``, each has orders on both sides."""
    rng = np.random.default_rng(seed)
    most = int(rng.choice([3, 10, 1000]))
    orders = []
    for seq in rng.permutation(np.arange(1, int(rng.integers(1, 13)) + 1)).tolist():
        side = Side.BUY if rng.random() < 0.5 else Side.SELL
        wh = int(rng.integers(1, 9))
        party = f"p{rng.integers(parties)}" if parties else ""
        least = int(rng.integers(0, wh + 1)) if least_fills and rng.random() < 0.3 else 0
        limit = int(rng.integers(-2 if rng.random() < 0.2 else 0, most))
        tif = TimeInForce.FOK if least_fills and rng.random() < 0.2 else TimeInForce.GTC
        drawn = tender(side, wh, limit, party=party, min_fill_wh=least, tif=tif)
        orders.append(order_of(drawn, seq))
    return orders


def merit_order(orders: Sequence[Order]) -> tuple[int, int]:
    """Greatest welfare, and the greatest volume, Wh by Wh: the dearest wanted with the cheapest offered."""
    wanted = sorted(
        (o.limit for o in orders if o.side is Side.BUY for _ in range(o.wh)), reverse=True
    )
    offered = sorted(o.limit for o in orders if o.side is Side.SELL for _ in range(o.wh))
    gains = [bid - ask for bid, ask in zip(wanted, offered, strict=False) if bid >= ask]
    return sum(gains), len(gains)


def welfare(orders: Sequence[Order], matched: Sequence[tuple[int, int, int]]) -> int:
    """Of matches (buy_seq, sell_seq, wh)."""
    limit = {order.seq: order.limit for order in orders}
    return sum(wh * (limit[buy] - limit[sell]) for buy, sell, wh in matched)


def meters(*parties: str, power_w: float = 1e6) -> dict[str, Meter]:
    """Of each party one that buys and sells."""
    made = [Meter(f"meter of {party}", party, "r1", power_w, power_w) for party in parties]
    return {meter.meter_id: meter for meter in made}
