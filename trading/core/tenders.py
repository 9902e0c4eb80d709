"""The desk: takes tenders, numbers them, and refuses what their party may not, or could not keep or pay."""

from collections.abc import Mapping

import msgspec

from digitalgrid.rate_limit import TokenBucket
from trading.core.orders import MarketRules, Meter, Order, Side, Tender, check_tender, order_of
from trading.core.positions import Positions
from trading.core.units import Nano, amount
from trading.reasons import MarketReason, Refused

# Of one party: as many at once as a retailer of a town has, and then as many a second as a busy exchange sees of one.
_BURST = 1_000
_PER_S = 200


class Standing(msgspec.Struct):
    """What is remembered of a party: its last nonce, what it tendered under which id, and what waits in books."""

    nonce: int = -1
    orders: dict[str, Order] = {}
    open_orders: int = 0


class Taken(msgspec.Struct, frozen=True):
    """``is_new`` is False of a tender that was taken before, and is only repeated."""

    order: Order
    is_new: bool


class Desk:
    """Whoever tenders is judged here, once; the only place where orders are numbered."""

    def __init__(
        self,
        rules: MarketRules,
        meters: Mapping[str, Meter],
        positions: Positions,
        next_seq: int = 1,
        standings: Mapping[str, Standing] | None = None,
    ) -> None:
        self._rules = rules
        self._meters = meters
        self._positions = positions
        self._next_seq = next_seq
        self._standings = dict(standings or {})
        self._buckets: dict[str, TokenBucket] = {}

    def take(
        self, tender: Tender, now_ns: int, *, signature_holds: bool, funds: Nano, cost: Nano
    ) -> Taken:
        """The order of a tender; Refused, with nothing changed, for any that cannot be.

        ``signature_holds`` says whoever knows keys, ``funds`` the ledger: what the party can still lock. ``cost`` is
        the most that the order can come to (see :func:`most_due`).
        """
        standing = self._standings.get(tender.party, Standing())
        if not signature_holds:
            raise Refused(
                MarketReason.BAD_SIGNATURE, f"the tender is not signed by party {tender.party}"
            )
        before = standing.orders.get(tender.order_id)
        if before is not None:
            return Taken(self._repeated(tender, before), is_new=False)
        check_tender(tender, self._rules, now_ns)
        meter = self._meter_of(tender)
        self._check_party(tender, standing, now_ns)
        if cost > funds:
            raise Refused(
                MarketReason.FUNDS,
                f"the order can come to {cost} nano, and party {tender.party} has {funds}",
            )
        self._positions.tender(tender, meter)
        order = order_of(tender, self._next_seq)
        self._next_seq += 1
        standing.nonce = tender.nonce
        standing.orders[tender.order_id] = order
        standing.open_orders += 1
        self._standings[tender.party] = standing
        return Taken(order, is_new=True)

    def ended(self, order: Order) -> None:
        """Nothing of the order waits in a book any more."""
        self._standings[order.party].open_orders -= 1

    def forget(self, before_ns: int) -> None:
        """Orders of intervals that ended before: their gates refuse them if they are tendered again."""
        for standing in self._standings.values():
            standing.orders = {
                name: order
                for name, order in standing.orders.items()
                if order.interval.end_ns >= before_ns
            }

    def standings(self) -> Mapping[str, Standing]:
        return self._standings

    def _repeated(self, tender: Tender, before: Order) -> Order:
        # A client that repeats a tender may have signed it anew.
        again = msgspec.structs.replace(
            order_of(tender, before.seq), nonce=before.nonce, signature=before.signature
        )
        if again != before:
            raise Refused(
                MarketReason.DUPLICATE_ORDER,
                f"party {tender.party} has tendered something else as {tender.order_id!r}",
            )
        return before

    def _meter_of(self, tender: Tender) -> Meter:
        meter = self._meters.get(tender.meter_id)
        if meter is None or meter.party != tender.party:
            # One answer for both: who may not use a meter does not learn whether there is one.
            raise Refused(
                MarketReason.METER_NOT_YOURS,
                f"party {tender.party} has no meter {tender.meter_id!r}",
            )
        if (meter.max_drawn_w if tender.side is Side.BUY else meter.max_injected_w) <= 0.0:
            raise Refused(
                MarketReason.METER_OTHER_WAY,
                f"meter {meter.meter_id} cannot {tender.side}: power flows there the other way only",
            )
        return meter

    def _check_party(self, tender: Tender, standing: Standing, now_ns: int) -> None:
        if tender.nonce <= standing.nonce:
            raise Refused(
                MarketReason.STALE_NONCE,
                f"nonce is {tender.nonce}; party {tender.party} has used {standing.nonce}",
            )
        if standing.open_orders >= self._rules.orders_per_party:
            raise Refused(
                MarketReason.BOOK_FULL,
                f"party {tender.party} has {standing.open_orders} open orders, the most there may be",
            )
        bucket = self._buckets.setdefault(tender.party, TokenBucket(_PER_S, _BURST))
        if not bucket.take(now_ns):
            raise Refused(
                MarketReason.RATE_LIMIT,
                f"party {tender.party} tenders more than {_PER_S} times a second",
            )


def most_due(tender: Tender) -> Nano:
    """What an order itself can cost whoever tendered it: a buyer at a limit above 0, a seller at one below.

    Loss, toll and a seller's deposit come on top; the market's terms say how much (see trading.core.settlement).
    """
    total = amount(tender.wh, tender.limit)
    return Nano(max(0, total if tender.side is Side.BUY else -total))
