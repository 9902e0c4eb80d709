"""Continuous double auction: orders a second into an order book that is kept in memory, matched as they come.

``allowed`` is what 200,000 orders a second take. Each order is a new one; matches are not confirmed, so the book also
remembers who may have to come back. ``bare-heapq`` puts as many keys into two heaps and takes them out again.
"""

from collections.abc import Iterator
from functools import partial
from heapq import heappop, heappush

from benchmarks.harness import Row, by_turns
from benchmarks.market_orders import town
from trading.core.orders import Order, Side
from trading.mechanisms.book import BookEvent, OrderBook

_PER_S = 200_000
_QUICK = (20_000,)
_FULL = (20_000, 200_000)
_ROUNDS = 7


def rows(full: bool) -> Iterator[Row]:
    for count in _FULL if full else _QUICK:
        orders = town(count, 1)
        taken, results = by_turns(
            {"ours": partial(_matched, orders), "bare-heapq": partial(_queued, orders)},
            _ROUNDS,
        )
        book, events = results["ours"]
        peers = {"allowed": count / _PER_S, "bare-heapq": taken["bare-heapq"]}
        extra = {"ours_per_s": count / taken["ours"], "events": len(events)}
        yield Row(
            "market-book", count, f"{count:,} orders", taken["ours"], peers, _is_done(book), extra
        )


def _matched(orders: list[Order]) -> tuple[OrderBook, list[BookEvent]]:
    book = OrderBook()
    events: list[BookEvent] = []
    for order in orders:
        events += book.submit(order, 0)
    return book, events


def _queued(orders: list[Order]) -> None:
    queues: dict[Side, list[tuple[int, int]]] = {Side.BUY: [], Side.SELL: []}
    for order in orders:
        heappush(queues[order.side], (order.limit, order.seq))
    for queue in queues.values():
        while queue:
            heappop(queue)


def _is_done(book: OrderBook) -> bool:
    """Nobody waits who could trade, but with himself."""
    bids, asks = book.resting(Side.BUY), book.resting(Side.SELL)
    if not bids or not asks:
        return True
    (bid, _), (ask, _) = bids[0], asks[0]
    return bid.limit < ask.limit or bid.party == ask.party
