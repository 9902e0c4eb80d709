"""The desk: takes tenders, numbers them, and refuses what their party may not, or could not keep or pay."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import msgspec

from digitalgrid.garbage_collector import without_frames
from digitalgrid.rate_limit import TokenBucket
from digitalgrid.units import NS_PER_S
from trading.core.orders import (
    BUY,
    Interval,
    MarketRules,
    Meter,
    Order,
    Tender,
    check_nonce,
    check_tender,
    order_of,
)
from trading.core.positions import Positions
from trading.core.units import MicroPerKwh, Nano, whole
from trading.reasons import MarketReason, Refused

_NO_DEPOSIT = MicroPerKwh(0)
# How far a nonce may be above the clock (ns): clients count by the time, and no clock of theirs is wrong by a day. One
# that is far above would be the party's last word for ever.
_MAX_NONCE_AHEAD_NS = 86_400 * NS_PER_S


# Since when (ns) the meter of a key is registered with this market's log, for intervals that begin then or later; None
# where it is not.
Registered = Callable[[bytes], int | None]


def nowhere(public_key: bytes) -> int | None:
    """Where there is no log, no meter is registered."""
    return None


class Standing(msgspec.Struct):
    """What is remembered of a party: its last nonce, what it tendered under which id, and what waits in books."""

    nonce: int = -1
    orders: dict[str, Order] = {}
    open_orders: int = 0


class Taken(msgspec.Struct, frozen=True, gc=False):
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
        self._standings = defaultdict(Standing, standings or {})
        # By party, of those whose last nonce has changed since :meth:`used` was asked.
        self._used: dict[str, int] = {}
        # By party, of tenders, of such as were taken and are signed anew, and of all else that it says. Only a newer
        # nonce spends of them: whoever saw what a party said does not silence it by saying that again.
        self._of_tenders: dict[str, TokenBucket] = {}
        self._of_repeats: dict[str, TokenBucket] = {}
        self._of_words: dict[str, TokenBucket] = {}

    def take(
        self,
        tender: Tender,
        now_ns: int,
        *,
        signature_holds: bool,
        funds: Nano,
        cost: Nano,
        beside: Interval | None = None,
        registered: Registered = nowhere,
    ) -> Taken:
        """The order of a tender; Refused for any that cannot be. Taken or not, its nonce is used up: whoever saw one
        that was refused does not place it later. One that was taken before is answered by its order. Whatever has a
        newer nonce spends of the party's rate, taken or not; what has none spends nothing, and changes nothing.

        ``signature_holds`` says whoever knows keys, ``funds`` the ledger: what the party can still lock. ``cost`` is
        the most that the order can come to (see :func:`most_due`). ``beside``: an interval of another length that runs
        at the same time, if there is one. ``registered`` is the log's word about meters that have keys.
        """
        if not signature_holds:
            raise Refused(
                MarketReason.BAD_SIGNATURE, f"the tender is not signed by party {tender.party}"
            )
        party, nonce = tender.party, tender.nonce
        standing = self._standings[party]
        before = standing.orders.get(tender.order_id)
        if before is not None:
            # An answer that was lost is asked for by the same nonce, or by a newer one.
            if self.is_newer(party, nonce, now_ns):
                self._spend(self._of_repeats, party, standing, nonce, now_ns)
            return Taken(self._repeated(tender, before), is_new=False)
        _check_nonce(party, nonce, standing, now_ns)
        self._spend(self._of_tenders, party, standing, nonce, now_ns)
        check_tender(tender, self._rules, now_ns)
        if beside is not None:
            raise _not_alone(tender.interval, beside)
        meter = self._meter_of(tender)
        if meter.public_key:
            _check_registered(tender, registered(meter.public_key))
        if standing.open_orders >= self._rules.orders_per_party:
            raise _book_full(party, standing)
        if cost > funds:
            raise Refused(
                MarketReason.FUNDS,
                f"the order can come to {cost} nano, and party {party} has {funds}",
            )
        self._positions.tender(tender, meter)
        order = order_of(tender, self._next_seq)
        self._next_seq += 1
        standing.orders[tender.order_id] = order
        standing.open_orders += 1
        return Taken(order, is_new=True)

    def hear(self, party: str, nonce: int, now_ns: int) -> Refused | None:
        """Anything else that a party says, as often as it may tender. Raises Refused for the rate, the nonce used up.

        What is wrong with a nonce is returned: what was done before is answered all the same, and costs nothing.
        """
        standing = self._standings[party]
        try:
            _check_nonce(party, nonce, standing, now_ns)
        except Refused as refused:
            return without_frames(refused)
        self._spend(self._of_words, party, standing, nonce, now_ns)
        return None

    def use(self, party: str, nonce: int, now_ns: int) -> None:
        """Of a party's word, whatever becomes of it. Raises Refused for one that was used: it may be said again."""
        _check_nonce(party, nonce, self._standings[party], now_ns)
        self._count(party, nonce)

    def pass_over(self, party: str, nonce: int, now_ns: int) -> None:
        """Of words that nobody will hear: nothing up to this one is heard later."""
        if self.is_newer(party, nonce, now_ns):
            self._count(party, nonce)

    def is_newer(self, party: str, nonce: int, now_ns: int) -> bool:
        """Whether a nonce can be used still; all others are of repeats, or of none that is taken."""
        standing = self._standings.get(party)
        last = -1 if standing is None else standing.nonce
        return whole(nonce) and last < nonce <= now_ns + _MAX_NONCE_AHEAD_NS

    def used(self) -> dict[str, int]:
        """By party, the last nonce of those that have used any since this was asked last."""
        used, self._used = self._used, {}
        return used

    def _count(self, party: str, nonce: int) -> None:
        self._standings[party].nonce = self._used[party] = nonce

    def ended(self, order: Order) -> None:
        """Nothing of the order waits in a book any more."""
        self._standings[order.party].open_orders -= 1

    def forget(self, orders: Iterable[Order]) -> None:
        """Of intervals that have ended: their gates refuse them if they are tendered again."""
        for order in orders:
            self._standings[order.party].orders.pop(order.order_id, None)

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
        if (meter.max_drawn_w if tender.side is BUY else meter.max_injected_w) <= 0.0:
            raise Refused(
                MarketReason.METER_OTHER_WAY,
                f"meter {meter.meter_id} cannot {tender.side}: power flows there the other way only",
            )
        return meter

    def _spend(
        self,
        buckets: dict[str, TokenBucket],
        party: str,
        standing: Standing,
        nonce: int,
        now_ns: int,
    ) -> None:
        """Of a rate, for a newer nonce, which is used up also where nothing is left."""
        standing.nonce = self._used[party] = nonce
        bucket = buckets.get(party)
        if bucket is None:
            bucket = TokenBucket(self._rules.tenders_per_s, self._rules.tender_burst)
            buckets[party] = bucket
        if not bucket.take(now_ns):
            raise Refused(
                MarketReason.RATE_LIMIT,
                f"party {party} asks more than {self._rules.tenders_per_s:g} times a second",
            )


def _book_full(party: str, standing: Standing) -> Refused:
    return Refused(
        MarketReason.BOOK_FULL,
        f"party {party} has {standing.open_orders} open orders, the most there may be",
    )


def _check_nonce(party: str, nonce: int, standing: Standing, now_ns: int) -> None:
    if type(nonce) is int and standing.nonce < nonce <= now_ns + _MAX_NONCE_AHEAD_NS:
        return
    check_nonce(nonce)
    if nonce > now_ns + _MAX_NONCE_AHEAD_NS:
        raise Refused(
            MarketReason.NONCE_TOO_FAR,
            f"nonce is {nonce}, more than a day above the clock, which is at {now_ns}",
        )
    raise Refused(
        MarketReason.STALE_NONCE,
        f"nonce is {nonce}; party {party} has used {standing.nonce}",
    )


def _check_registered(tender: Tender, since_ns: int | None) -> None:
    if since_ns is None:
        raise Refused(
            MarketReason.METER_NOT_REGISTERED,
            f"meter {tender.meter_id} is not registered with this market's log",
        )
    if tender.interval.start_ns < since_ns:
        raise Refused(
            MarketReason.METER_NOT_REGISTERED,
            f"meter {tender.meter_id} is registered for intervals from {since_ns} on",
        )


def _not_alone(interval: Interval, beside: Interval) -> Refused:
    return Refused(
        MarketReason.INTERVAL_UNKNOWN,
        f"the interval at {interval.start_ns} is not opened: one of {beside.length_ns} ns, of before the market's"
        f" intervals were changed, runs until {beside.end_ns}",
    )


def most_due(tender: Tender, utility_price: MicroPerKwh = _NO_DEPOSIT) -> Nano:
    """What an order can cost whoever tendered it: a buyer at a limit above 0, a seller at one below, and the deposit of
    one who may have to make the buyer whole, who then buys at ``utility_price``. Tolls are within the
    limit; losses, where a tariff has somebody pay for them, come on top, and so does the fee of a dispute.
    """
    return Nano(tender.wh * due_per_wh(tender, utility_price))


def due_per_wh(tender: Tender, utility_price: MicroPerKwh) -> int:
    limit = tender.limit
    if tender.side is BUY:
        return limit if limit > 0 else 0
    return max(0, max(0, utility_price) - limit)
