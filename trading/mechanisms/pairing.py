"""Pairing: which buyer gets which seller's energy, where one price makes it all the same to both."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from trading.core.orders import Order
from trading.mechanisms.network import Pair

# How often pairs are looked through for an exchange; what is left then goes by the flow's augmenting ways.
_MAX_PASSES = 16


class Filled(msgspec.Struct, frozen=True):
    """What an order is to get. Where the network bars others, it may get more, up to its whole."""

    order: Order
    wh: int


def paired(
    bought: Sequence[Filled], sold: Sequence[Filled], barred: frozenset[Pair]
) -> list[tuple[int, int, int]]:
    """(buy_seq, sell_seq, wh), by seq; never of one party with itself, nor of a barred pair.

    Quantities of both sides add up to the same, of which no party has more than half, both sides together: then, if the
    network bars nothing, all of it is paired. What only pairs could have that are barred is exchanged with other pairs,
    or goes to others who would have it; so no more can be had.
    """
    pairing = _Pairing(bought, sold, barred)
    pairing.in_turn()
    pairing.exchange()
    if barred:
        pairing.augment()
    return sorted((buy, sell, wh) for (buy, sell), wh in pairing.pairs.items() if wh)


class _Pairing:
    def __init__(
        self, bought: Sequence[Filled], sold: Sequence[Filled], barred: frozenset[Pair]
    ) -> None:
        self._barred = barred
        self._party = {each.order.seq: each.order.party for each in (*bought, *sold)}
        self._wanted = {each.order.seq: each.wh for each in bought}
        self._offered = {each.order.seq: each.wh for each in sold}
        # What they would have beyond that.
        self._spare = {each.order.seq: each.order.wh - each.wh for each in (*bought, *sold)}
        self.pairs: dict[Pair, int] = {}

    def _may(self, buyer: int, seller: int) -> bool:
        is_own = self._party[buyer] == self._party[seller]
        return not is_own and (buyer, seller) not in self._barred

    def _pair(self, buyer: int, seller: int, wh: int) -> None:
        self.pairs[buyer, seller] = self.pairs.get((buyer, seller), 0) + wh

    def in_turn(self) -> None:
        """Each buyer with the first sellers that he may have."""
        sellers, offered, pairs = list(self._offered), self._offered, self.pairs
        # Who is at each place, or the next one that has anything left.
        following = list(range(len(sellers) + 1))
        first = 0
        for buyer, wanted in self._wanted.items():
            at = first
            while wanted and at < len(sellers):
                seller = sellers[at]
                if self._may(buyer, seller):
                    wh = min(wanted, offered[seller])
                    # They meet once.
                    pairs[buyer, seller] = wh
                    wanted -= wh
                    offered[seller] -= wh
                    if not offered[seller]:
                        following[at] = at + 1
                if wanted:
                    at = _next(following, at + 1)
            first = _next(following, first)
            self._wanted[buyer] = wanted

    def exchange(self) -> None:
        """Gives who is left over a part of a pair, whose other two then have each other's."""
        buyers = [seq for seq, wh in self._wanted.items() if wh]
        sellers = [seq for seq, wh in self._offered.items() if wh]
        for _ in range(_MAX_PASSES):
            if not buyers or not sellers:
                break
            for other_buyer, other_seller in list(self.pairs):
                while (
                    buyers and sellers and self._swapped(buyers, sellers, other_buyer, other_seller)
                ):
                    pass
            # Whoever nobody could exchange with stays as he is.
            del sellers[:1]

    def _swapped(
        self, buyers: list[int], sellers: list[int], other_buyer: int, other_seller: int
    ) -> bool:
        buyer, seller = buyers[0], sellers[0]
        between = self.pairs[other_buyer, other_seller]
        if not (between and self._may(buyer, other_seller) and self._may(other_buyer, seller)):
            return False
        wh = min(between, self._wanted[buyer], self._offered[seller])
        self.pairs[other_buyer, other_seller] -= wh
        self._pair(buyer, other_seller, wh)
        self._pair(other_buyer, seller, wh)
        self._wanted[buyer] -= wh
        self._offered[seller] -= wh
        if not self._wanted[buyer]:
            del buyers[0]
        if not self._offered[seller]:
            del sellers[0]
        return True

    def augment(self) -> None:
        """For who is left over: along ways over pairs, each of which is exchanged, to who is left over or would have
        more. Where there is no way any more, no more can be had (Ford and Fulkerson).
        """
        for is_buyer, left in ((True, self._wanted), (False, self._offered)):
            for seq in [seq for seq, wh in left.items() if wh]:
                while left[seq] and self._augmented(seq, is_buyer):
                    pass

    def _augmented(self, seq: int, is_buyer: bool) -> bool:
        others = self._offered if is_buyer else self._wanted
        for ends in (others, self._spare):
            way = self._way(seq, is_buyer, ends)
            if way:
                self._exchange_along(way, is_buyer, ends)
                return True
        return False

    def _way(self, first: int, is_buyer: bool, ends: Mapping[int, int]) -> list[int]:
        """Orders, of each side by turns, from ``first`` to one of the other side that has anything in ``ends``."""
        mine, theirs = self._neighbours(is_buyer)
        came_from: dict[int, int] = {first: first}
        queue, unseen = deque([first]), list(theirs)
        while queue:
            one = queue.popleft()
            met = [o for o in unseen if self._may(*((one, o) if is_buyer else (o, one)))]
            unseen = [other for other in unseen if other not in set(met)]
            for other in met:
                came_from[other] = one
                if ends[other]:
                    return list(_back(came_from, other))
                for partner in mine[other]:
                    if partner not in came_from:
                        came_from[partner] = other
                        queue.append(partner)
        return []

    def _neighbours(self, is_buyer: bool) -> tuple[Mapping[int, list[int]], Sequence[int]]:
        """With whom each of the other side is paired, and all of that side."""
        partners: defaultdict[int, list[int]] = defaultdict(list)
        for (buyer, seller), wh in self.pairs.items():
            if wh:
                partners[seller if is_buyer else buyer].append(buyer if is_buyer else seller)
        return partners, list(self._offered if is_buyer else self._wanted)

    def _exchange_along(self, way: list[int], is_buyer: bool, ends: dict[int, int]) -> None:
        """``way``: its last first."""
        way.reverse()
        left = self._wanted if is_buyer else self._offered
        made = [self._as_pair(*each, is_buyer) for each in zip(way[::2], way[1::2], strict=True)]
        undone = [
            self._as_pair(one, other, is_buyer)
            for other, one in zip(way[1:-1:2], way[2::2], strict=True)
        ]
        wh = min(left[way[0]], ends[way[-1]], *[self.pairs[pair] for pair in undone])
        for pair in made:
            self._pair(*pair, wh)
        for pair in undone:
            self.pairs[pair] -= wh
        left[way[0]] -= wh
        ends[way[-1]] -= wh

    @staticmethod
    def _as_pair(one: int, other: int, is_buyer: bool) -> Pair:
        return (one, other) if is_buyer else (other, one)


def _back(came_from: Mapping[int, int], last: int) -> Iterator[int]:
    """From the last to the first."""
    yield last
    while came_from[last] != last:
        last = came_from[last]
        yield last


def _next(following: list[int], at: int) -> int:
    """The first place from ``at`` on that has anything left; shortens the way for whoever asks next."""
    end = at
    while following[end] != end:
        end = following[end]
    while following[at] != end:
        following[at], at = end, following[at]
    return end
