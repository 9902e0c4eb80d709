"""Tenders and orders: what a party asks a market for, and what must be true of it whoever sends it."""

from enum import StrEnum
from functools import lru_cache

import msgspec

from digitalgrid.limits import MAX_INT64
from digitalgrid.printable import quoted
from digitalgrid.units import PPM as PPM
from trading.core.units import MAX_PRICE, MAX_WH, MicroPerKwh, Wh
from trading.reasons import MarketReason, Refused

# Longer ids than any client has use for; they are kept for ever.
MAX_ID = 64
# What one order may keep off, and how long a name in the network is at most.
MAX_AVOIDED = 64
MAX_NETWORK_ID = 256
# What parties may write on an order for themselves; it is kept for as long as the order is.
MAX_TAGS = 16
# Bytes (UTF-8) of all ids and tags of a tender together: a way through a network keeps off a few dozen ids, and a
# thousand orders of each party are to fit into a few megabytes, on the disk and in an answer.
MAX_TEXT_BYTES = 2_048
# Bytes: Ed25519 has so many.
MAX_SIGNATURE = 64


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


# To look a member up in its class takes as long as some calls, and of each tender some ten places ask for its side.
BUY = Side.BUY


class TimeInForce(StrEnum):
    """How long an order waits for somebody to trade with; never beyond the gate of its interval."""

    GTC = "good till cancelled"
    GTD = "good till date"
    IOC = "immediate or cancel"
    FOK = "fill or kill"

    @property
    def rests(self) -> bool:
        """Whether what is not matched at once waits in the book."""
        return self in (TimeInForce.GTC, TimeInForce.GTD)


class Interval(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """When power flows: from ``start_ns`` on (nanoseconds since 1970), for ``length_ns``."""

    start_ns: int
    length_ns: int

    @property
    def end_ns(self) -> int:
        return self.start_ns + self.length_ns


class Constraints(msgspec.Struct, frozen=True, gc=False):
    """What the way of the power must keep: millionths of what is injected that may be lost, and ids to keep off."""

    max_loss_ppm: int | None = None
    avoid_ids: tuple[str, ...] = ()

    def beside(self, other: "Constraints") -> "Constraints":
        """What keeps both: as of a buyer and a seller, whose power goes one way."""
        losses = [x.max_loss_ppm for x in (self, other) if x.max_loss_ppm is not None]
        return Constraints(
            min(losses, default=None), tuple(dict.fromkeys((*self.avoid_ids, *other.avoid_ids)))
        )


ANY_WAY = Constraints()


class Tender(msgspec.Struct, frozen=True, gc=False):
    """What a party asks for. ``limit`` is the most a buyer pays, or the least a seller takes, at the delivery point.

    ``order_id`` is the party's own: the same tender under the same id is taken once. ``min_fill_wh``: less at a time is
    not wanted (0: any). ``expires_ns`` only of orders that are good till a date.
    """

    order_id: str
    party: str
    meter_id: str
    side: Side
    wh: Wh
    limit: MicroPerKwh
    interval: Interval
    tif: TimeInForce = TimeInForce.GTC
    min_fill_wh: Wh = Wh(0)
    expires_ns: int | None = None
    constraints: Constraints = ANY_WAY
    tags: tuple[str, ...] = ()
    nonce: int = 0
    signature: bytes = b""

    @property
    def least_wh(self) -> Wh:
        """What the order takes at least, if it takes any."""
        return self.wh if self.tif is TimeInForce.FOK else self.min_fill_wh


class Order(Tender, frozen=True, kw_only=True, gc=False):
    """A tender that was taken. Of two at one price, the one of lower ``seq`` comes first: never a clock."""

    seq: int


class Meter(msgspec.Struct, frozen=True):
    """Where a party hangs on the network, and how much flows there at most, out of it into the network and back.
    ``public_key``: of a meter that has a key of its own, and trades only where that says that it does.
    """

    meter_id: str
    party: str
    router_id: str
    max_injected_w: float = 0.0
    max_drawn_w: float = 0.0
    public_key: bytes = b""


class MarketRules(msgspec.Struct, frozen=True, cache_hash=True):
    """What a market trades. Intervals begin at multiples of their length; the gate closes ``gate_ns`` before.

    ``ahead``: how many intervals are open beside each other. ``router_tick_ns``: what routers count energy by. Of one
    party: ``orders_per_party`` may wait, and ``tender_burst`` come at once, which ``tenders_per_s`` fill up again.
    """

    length_ns: int = 900_000_000_000
    gate_ns: int = 5_000_000_000
    ahead: int = 1
    tick: MicroPerKwh = MicroPerKwh(1)
    router_tick_ns: int = 100_000_000
    orders_per_party: int = 1_000
    # As many a second as a busy exchange sees of one, and as many at once as a retailer of a town has.
    tenders_per_s: float = 200.0
    tender_burst: int = 1_000

    def open_intervals(self, now_ns: int) -> tuple[Interval, ...]:
        """Those that may be tendered for."""
        first = self._first_open(now_ns)
        return tuple(
            Interval(number * self.length_ns, self.length_ns)
            for number in range(first, first + self.ahead)
        )

    def is_open(self, start_ns: int, now_ns: int) -> bool:
        """Whether the interval that begins then is one of those."""
        number, rest = divmod(start_ns, self.length_ns)
        return not rest and 0 <= number - self._first_open(now_ns) < self.ahead

    def _first_open(self, now_ns: int) -> int:
        return (now_ns + self.gate_ns) // self.length_ns + 1


def order_of(tender: Tender, seq: int) -> Order:
    fields = msgspec.structs.astuple(tender)
    return Order(*(fields if type(tender) is Tender else fields[:_FIELDS]), seq=seq)


_FIELDS = len(Tender.__struct_fields__)
_DATED = TimeInForce.GTD


def check_tender(tender: Tender, rules: MarketRules, now_ns: int) -> None:
    """Raises Refused for what no market of these rules could take, whoever sends it."""
    _check_whole(tender)
    _check_size(tender)
    if not _is_name(tender.order_id, MAX_ID):
        raise _unfit_id(tender.order_id)
    _check_quantity(tender)
    _check_limit(tender, rules)
    _check_interval(tender.interval, rules, now_ns)
    if tender.expires_ns is not None or tender.tif is _DATED:
        _check_expiry(tender, now_ns)
    if tender.constraints is not ANY_WAY:
        _check_constraints(tender.constraints)


def _check_whole(tender: Tender) -> None:
    """A float is no money and no energy, whatever it is worth; NaN and infinity are floats too."""
    interval = tender.interval
    if not (
        type(tender.wh) is int
        and type(tender.limit) is int
        and type(tender.min_fill_wh) is int
        and type(interval.start_ns) is int
        and type(interval.length_ns) is int
    ):
        # Which of them is none, is only asked where one is.
        _check_number("wh", tender.wh)
        _check_number("limit", tender.limit)
        _check_number("min_fill_wh", tender.min_fill_wh)
        _check_number("interval.start_ns", interval.start_ns)
        _check_number("interval.length_ns", interval.length_ns)
    if tender.expires_ns is not None:
        _check_number("expires_ns", tender.expires_ns)
    if tender.constraints is not ANY_WAY:
        _check_number("constraints.max_loss_ppm", tender.constraints.max_loss_ppm or 0)


def _check_number(field: str, value: object) -> None:
    # As :func:`whole` looks at it.
    if type(value) is not int:
        raise Refused(MarketReason.NOT_A_WHOLE_NUMBER, f"{field} is {value!r}, no integer", field)


def check_nonce(nonce: object) -> None:
    """Raises Refused for what counts nothing."""
    _check_number("nonce", nonce)


def _check_size(tender: Tender) -> None:
    """What is kept of an order is written down, in 64 bits a number, and must not fill the disk."""
    if tender.expires_ns is not None and tender.expires_ns > MAX_INT64:
        raise Refused(
            MarketReason.NUMBER_TOO_LARGE, f"expires_ns is above {MAX_INT64}", "expires_ns"
        )
    if tender.tags or tender.constraints is not ANY_WAY:
        texts = (tender.order_id, tender.meter_id, *tender.tags, *tender.constraints.avoid_ids)
        _check_text("".join(texts))
    elif _MOST_BYTES_EACH * (len(tender.order_id) + len(tender.meter_id)) > MAX_TEXT_BYTES:
        _check_text(tender.order_id + tender.meter_id)
    if len(tender.signature) > MAX_SIGNATURE:
        raise Refused(
            MarketReason.BAD_SIGNATURE,
            f"signature has {len(tender.signature)} bytes; {MAX_SIGNATURE} are the most",
        )
    if tender.tags:
        _check_tags(tender.tags)


def _check_tags(tags: tuple[str, ...]) -> None:
    if len(tags) > MAX_TAGS:
        raise Refused(MarketReason.TAGS_UNFIT, f"tags are {len(tags)}; {MAX_TAGS} are the most")
    for tag in tags:
        if not _is_name(tag, MAX_ID):
            raise Refused(
                MarketReason.TAGS_UNFIT,
                f"tags has {quoted(tag)}; each must have 1 to {MAX_ID} printable characters",
            )


# Of a character.
_MOST_BYTES_EACH = 4


def _check_text(text: str) -> None:
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_TEXT_BYTES:
        raise Refused(
            MarketReason.TENDER_TOO_LONG,
            f"ids, tags and what is to be avoided have {size} bytes; {MAX_TEXT_BYTES} are the most",
        )


def _is_name(name: str, most: int) -> bool:
    return 0 < len(name) <= most and name.isprintable()


def _unfit_id(order_id: str) -> Refused:
    return Refused(
        MarketReason.ORDER_ID_UNFIT,
        f"order_id is {quoted(order_id)}; it must have 1 to {MAX_ID} printable characters",
    )


def _check_quantity(tender: Tender) -> None:
    wh, least_wh = tender.wh, tender.min_fill_wh
    if wh <= 0:
        raise Refused(MarketReason.QUANTITY_NOT_POSITIVE, f"wh is {wh}; it must be 1 at least")
    if wh > MAX_WH:
        raise Refused(MarketReason.QUANTITY_TOO_LARGE, f"wh is {wh}, above {MAX_WH}")
    if not 0 <= least_wh <= wh:
        raise Refused(
            MarketReason.MIN_FILL_OUT_OF_RANGE,
            f"min_fill_wh is {least_wh}; it must lie between 0 and wh, {wh}",
        )


def _check_limit(tender: Tender, rules: MarketRules) -> None:
    if not -MAX_PRICE <= tender.limit <= MAX_PRICE:
        raise Refused(
            MarketReason.PRICE_OUT_OF_RANGE,
            f"limit is {tender.limit}; it must lie between -{MAX_PRICE} and {MAX_PRICE}",
        )
    if tender.limit % rules.tick:
        raise Refused(
            MarketReason.TICK, f"limit is {tender.limit}; it must be a multiple of {rules.tick}"
        )


# Tenders of one call come at one time, and mostly for one interval. What is refused is not remembered.
@lru_cache(maxsize=16)
def _check_interval(interval: Interval, rules: MarketRules, now_ns: int) -> None:
    if interval.length_ns < rules.router_tick_ns:
        raise Refused(
            MarketReason.INTERVAL_TOO_SHORT,
            f"interval.length_ns is {interval.length_ns}, less than a tick of {rules.router_tick_ns}",
        )
    start_ns = interval.start_ns
    if interval.length_ns != rules.length_ns or start_ns % rules.length_ns:
        raise Refused(
            MarketReason.INTERVAL_UNKNOWN,
            f"intervals are {rules.length_ns} ns long and begin at multiples of it; not at"
            f" {start_ns} for {interval.length_ns}",
        )
    # Exactly at the gate it is closed.
    if now_ns >= start_ns - rules.gate_ns:
        raise Refused(
            MarketReason.INTERVAL_CLOSED,
            f"the gate of the interval at {start_ns} closed at {start_ns - rules.gate_ns}; it is {now_ns}",
        )
    if not rules.is_open(start_ns, now_ns):
        raise Refused(
            MarketReason.INTERVAL_UNKNOWN,
            f"the interval at {start_ns} is not open yet; {rules.ahead} are at a time",
        )


def _check_expiry(tender: Tender, now_ns: int) -> None:
    is_dated = tender.tif is _DATED
    if tender.expires_ns is None:
        if is_dated:
            raise Refused(
                MarketReason.EXPIRY_MISSING, "expires_ns is missing of an order good till a date"
            )
        return
    if not is_dated:
        raise Refused(
            MarketReason.EXPIRY_UNWANTED, f"expires_ns is given, and the order is {tender.tif}"
        )
    if tender.expires_ns <= now_ns:
        raise Refused(
            MarketReason.EXPIRED, f"expires_ns is {tender.expires_ns}; it is {now_ns} by now"
        )


def _check_constraints(constraints: Constraints) -> None:
    loss_ppm = constraints.max_loss_ppm
    if loss_ppm is not None and not 0 <= loss_ppm <= PPM:
        raise Refused(
            MarketReason.LOSS_LIMIT_OUT_OF_RANGE,
            f"constraints.max_loss_ppm is {loss_ppm}; it must lie between 0 and {PPM}",
        )
    if len(constraints.avoid_ids) > MAX_AVOIDED:
        raise Refused(
            MarketReason.TOO_MANY_IDS,
            f"constraints.avoid_ids has {len(constraints.avoid_ids)} ids; {MAX_AVOIDED} are the most",
        )
    for each in constraints.avoid_ids:
        if not _is_name(each, MAX_NETWORK_ID):
            raise Refused(
                MarketReason.AVOIDED_ID_UNFIT,
                f"constraints.avoid_ids has {quoted(each)}; each must have 1 to"
                f" {MAX_NETWORK_ID} printable characters",
            )
