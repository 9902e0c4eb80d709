"""Possible trades: what whoever judges a clearing at one price looks for, and should not find.

The most that can be traded is found by going through prices with a sum for each party; whether more can be had at the
price, or a better limit served, by going along pairs that could be exchanged for others.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush

from trading.core.orders import Order, Side

# May a buyer and a seller trade with each other?
May = Callable[[Order, Order], bool]


def most_at_one_price(orders: Iterable[Order]) -> int:
    """Wh: the most at any one price, where nobody trades with himself and the network bars nobody."""
    changes = defaultdict(list)
    demand = supply = 0
    of_party: defaultdict[str, int] = defaultdict(int)
    for order in orders:
        if order.side is Side.BUY:
            # Above its limit it is out.
            changes[order.limit + 1].append((order.party, -order.wh, True))
            demand += order.wh
            of_party[order.party] += order.wh
        else:
            changes[order.limit].append((order.party, order.wh, False))
    # Parties with more than these have changed since they were put here.
    largest: list[tuple[int, str]] = [(-wh, party) for party, wh in sorted(of_party.items())]
    largest.sort()
    most = 0
    for price in sorted(changes):
        for party, wh, is_bid in changes[price]:
            demand, supply = (demand + wh, supply) if is_bid else (demand, supply + wh)
            of_party[party] += wh
            heappush(largest, (-of_party[party], party))
        while largest and of_party[largest[0][1]] != -largest[0][0]:
            heappop(largest)
        dominant = -largest[0][0] if largest else 0
        most = max(most, min(demand, supply, demand + supply - dominant))
    return most


class Exchanges:
    """Pairs of a clearing, as they could be exchanged. ``eligible``: orders that the price reaches."""

    def __init__(
        self, eligible: Sequence[Order], pairs: Iterable[tuple[int, int]], may: May
    ) -> None:
        self._by_seq = {order.seq: order for order in eligible}
        self._sides = {side: [order for order in eligible if order.side is side] for side in Side}
        self._partners: defaultdict[int, list[int]] = defaultdict(list)
        for buy, sell in pairs:
            self._partners[buy].append(sell)
            self._partners[sell].append(buy)
        self._may = may

    def reached(self, first: Sequence[Order]) -> Iterator[Order]:
        """From orders of one side: of the other side those that one of them could have instead of its partners, and of
        the own side those partners' partners, which would have to give way, and so on.
        """
        if not first:
            return
        side = first[0].side
        unseen = list(self._sides[_OTHER[side]])
        seen = {order.seq for order in first}
        queue = list(first)
        while queue and unseen:
            one = queue.pop()
            met, rest = _parted(unseen, lambda other: self._meets(one, other))  # noqa: B023
            unseen = rest
            for other in met:
                yield other
                for seq in self._partners[other.seq]:
                    if seq not in seen:
                        seen.add(seq)
                        queue.append(self._by_seq[seq])
                        yield self._by_seq[seq]

    def _meets(self, one: Order, other: Order) -> bool:
        return self._may(one, other) if one.side is Side.BUY else self._may(other, one)


_OTHER: Mapping[Side, Side] = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def _parted(
    orders: Iterable[Order], is_so: Callable[[Order], bool]
) -> tuple[list[Order], list[Order]]:
    so: list[Order] = []
    not_so: list[Order] = []
    for order in orders:
        (so if is_so(order) else not_so).append(order)
    return so, not_so
