"""Records of a market: what is journalled, one a row, each in the place of the one before of the same thing.

From the newest of each, the market is what it was (:mod:`trading.market.restoring`). They are also what watchers are
told, once they are durable. Fields are only ever added, at the end and with defaults.
"""

import msgspec

from trading.core.orders import Interval, Order
from trading.core.trades import Trade
from trading.core.units import MicroPerKwh, Nano, Wh
from trading.market.phases import Phase
from trading.mechanisms.mechanism import Match, Price, Unmatched
from trading.reasons import MarketReason


class OrderRecord(msgspec.Struct, frozen=True, tag=True, gc=False):
    """``open_wh`` waits; ``matched_wh`` is agreed and not undone; ``reason``: why the rest is not, or was not when the
    interval was cleared last. ``closed``: why nothing of it comes back if the network refuses a match; empty where it
    would.
    """

    order: Order
    open_wh: Wh
    matched_wh: Wh
    reason: str = ""
    closed: str = ""


class TradeRecord(msgspec.Struct, frozen=True, tag=True):
    """``number`` counts the trades of an interval. ``trade`` is a copy: as it was then."""

    trade: Trade
    number: int
    mechanism: str
    matched_ns: int
    confirmed_ns: int = 0


class IntervalRecord(msgspec.Struct, frozen=True, tag=True):
    """``rounds``: how often it was cleared; ``is_due``: it is to be cleared, once the network has answered for all
    matches before; ``is_over``: it is not cleared any more. ``first_seq``: no order of it is older; ``last_seq``: none
    is newer, 0 as long as it takes tenders. ``left``: so many of the last matches and unmatched orders of its newest
    clearing, or of all its orders where it was wrong, are still to be dealt with. ``uncleared``: why it began
    without the answer that was due.
    """

    interval: Interval
    mechanism: str
    phase: Phase
    rounds: int = 0
    is_due: bool = False
    is_over: bool = False
    first_seq: int = 0
    last_seq: int = 0
    left: int = 0
    uncleared: MarketReason | None = None


class ForecastRecord(msgspec.Struct, frozen=True, tag=True):
    """The most that a meter is expected to give in an interval, as was said last."""

    interval: Interval
    meter_id: str
    most: Wh


class ClearingRecord(msgspec.Struct, frozen=True, tag=True):
    """How an interval was cleared, once. ``faults``: what an independent check found wrong with it; then nothing was
    matched. ``welfare``: what buyers would have paid at most, less what sellers would have taken at least.
    ``reference``: the market's reference price then.
    """

    interval: Interval
    mechanism: str
    round: int
    matches: tuple[Match, ...]
    prices: tuple[Price, ...]
    unmatched: tuple[Unmatched, ...]
    at_ns: int
    took_ns: int
    faults: tuple[str, ...] = ()
    welfare: Nano = Nano(0)
    seed: int = 0
    is_path_priced: bool = False
    reference: MicroPerKwh | None = None


class NonceRecord(msgspec.Struct, frozen=True, tag=True):
    """The last nonce that a party has used."""

    party: str
    nonce: int


Record = OrderRecord | TradeRecord | IntervalRecord | ForecastRecord | ClearingRecord | NonceRecord
