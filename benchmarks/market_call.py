"""Call auction: one clearing of a whole book, with who is matched with whom, and why the others are not.

``allowed`` is 50 ms for 20,000 orders. Its welfare and volume are compared with those of prefix sums of both curves.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.harness import Row, by_turns
from benchmarks.market_orders import town
from trading.core.orders import Order, Side
from trading.mechanisms.call import CallAuction
from trading.mechanisms.mechanism import Clearing
from trading.mechanisms.network import no_network
from trading.mechanisms.verify import verify

_ALLOWED_S = 0.05 / 20_000
_QUICK = (20_000,)
_FULL = (20_000, 200_000)
_ROUNDS = 7


def rows(full: bool) -> Iterator[Row]:
    network = no_network()
    for count in _FULL if full else _QUICK:
        orders = town(count, 1)
        taken, results = by_turns(
            {"ours": partial(CallAuction().clear, orders, network, 0)}, _ROUNDS
        )
        clearing = results["ours"]
        agree = not verify(orders, network, clearing) and _volume(orders) == sum(
            match.wh for match in clearing.matches
        )
        peers = {"allowed": _ALLOWED_S * count}
        extra = _figures(clearing)
        yield Row("market-call", count, f"{count:,} orders", taken["ours"], peers, agree, extra)


def _volume(orders: list[Order]) -> int:
    """The most that can be traded: where both curves, sorted, cross."""
    limit = np.array([order.limit for order in orders])
    wh = np.array([order.wh for order in orders])
    buys = np.array([order.side is Side.BUY for order in orders])
    prices, place = np.unique(limit, return_inverse=True)
    bought = np.bincount(place[buys], wh[buys], len(prices))
    sold = np.bincount(place[~buys], wh[~buys], len(prices))
    return int(np.minimum(np.cumsum(bought[::-1])[::-1], np.cumsum(sold)).max())


def _figures(clearing: Clearing) -> dict[str, int]:
    return {"matches": len(clearing.matches), "price": clearing.prices[0].price}
