"""Orders of a town for the benchmarks of markets: limits around one price, of 500 parties that buy and sell."""

import numpy as np

from trading.core.orders import Interval, Order, Side
from trading.core.units import MicroPerKwh, Wh

INTERVAL = Interval(0, 900_000_000_000)
_PARTIES = 500


def town(count: int, seed: int) -> list[Order]:
    """Every other one sells. Numbered as they come."""
    rng = np.random.default_rng([count, seed])
    limits = rng.normal(150_000, 40_000, count).astype(int).tolist()
    quantities = rng.integers(1, 10_000, count).tolist()
    parties = rng.integers(0, _PARTIES, count).tolist()
    return [
        Order(
            order_id=str(seq),
            party=f"p{party}",
            meter_id=f"m{party}",
            side=Side.BUY if seq % 2 else Side.SELL,
            wh=Wh(wh),
            limit=MicroPerKwh(limit),
            interval=INTERVAL,
            seq=seq,
        )
        for seq, (limit, wh, party) in enumerate(zip(limits, quantities, parties, strict=True), 1)
    ]
