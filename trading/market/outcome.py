"""Outcomes: what a command comes to. Its answer goes out, and its effects begin, once its records are durable."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from trading.core.orders import Interval, Order
from trading.core.trades import Effect
from trading.market.records import Record
from trading.mechanisms.choices import Choices
from trading.mechanisms.mechanism import Clearing
from trading.mechanisms.network import Pair

T = TypeVar("T")


class Ask(msgspec.Struct, frozen=True):
    """A trade asks the controller or the ledger for something, again and again until it is answered."""

    trade_id: str
    effect: Effect


class Clear(msgspec.Struct, frozen=True):
    """Clear an interval, in a worker. ``orders`` are what is open of each; ``round`` counts from 1, 0 is a preview."""

    interval: Interval
    mechanism: str
    round: int
    orders: tuple[Order, ...]
    barred: frozenset[Pair]
    seed: int
    choices: Choices = Choices()


class Cleared(msgspec.Struct, frozen=True):
    """The answer to :class:`Clear`. ``faults`` are what :func:`trading.mechanisms.verify.verify` says of it."""

    clearing: Clearing
    faults: tuple[str, ...]
    took_ns: int


class Outcome(msgspec.Struct, Generic[T], frozen=True):
    answer: T
    records: Sequence[Record] = ()
    effects: Sequence[Ask | Clear] = ()
