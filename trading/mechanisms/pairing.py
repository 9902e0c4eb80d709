"""Pairing: which buyer gets which seller's energy, where one price makes it all the same to both."""

from collections.abc import Sequence

from trading.core.orders import Order
from trading.mechanisms.network import Pair

Filled = tuple[Order, int]

# How often pairs are looked through for an exchange; more is only of use where the network bars many pairs.
_MAX_PASSES = 16


def paired(
    bought: Sequence[Filled], sold: Sequence[Filled], barred: frozenset[Pair]
) -> list[tuple[int, int, int]]:
    """(buy_seq, sell_seq, wh), by seq; never of one party with itself, nor of a barred pair.

    What only such pairs could have is exchanged with pairs that were made before. So where the network bars nothing,
    energy is left over only if one party has more than half of all, both sides together, and then no more than has to.
    """
    pairing = _Pairing(bought, sold, barred)
    pairing.in_turn()
    pairing.exchange()
    return sorted((buy, sell, wh) for (buy, sell), wh in pairing.pairs.items() if wh)


class _Pairing:
    def __init__(
        self, bought: Sequence[Filled], sold: Sequence[Filled], barred: frozenset[Pair]
    ) -> None:
        self._barred = barred
        self._party = {order.seq: order.party for order, _ in (*bought, *sold)}
        self._wanted = {order.seq: wh for order, wh in bought}
        self._offered = {order.seq: wh for order, wh in sold}
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


def _next(following: list[int], at: int) -> int:
    """The first place from ``at`` on that has anything left; shortens the way for whoever asks next."""
    end = at
    while following[end] != end:
        end = following[end]
    while following[at] != end:
        following[at], at = end, following[at]
    return end
