"""Ports: what the runtime of an exchange asks of others. Who cannot say raises :class:`Unreachable`, and is asked anew.

Every request has a key, and is done once however often it is asked. Answers are events of trades as they are. A request
is handed over with a copy of the trade that asks, for what is not in it: parties, meters, terms, the circuit.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from trading.core.trades import (
    Activate,
    Activated,
    AskMeters,
    Close,
    Closed,
    Held,
    Hold,
    HoldLost,
    Lock,
    Locked,
    PartPaid,
    Pay,
    Read,
    Refusal,
    Release,
    Released,
    Revoke,
    Sign,
    Signed,
    Trade,
    Unsigned,
    Watched,
)
from trading.core.units import Nano
from trading.market.outcome import Clear, Cleared
from trading.market.records import ClearingRecord, OrderRecord, Record, TradeRecord
from trading.market.restoring import Journalled
from trading.mechanisms.network import MarketNetwork


class Unreachable(Exception):
    """Nobody answered, or not in time: whether it was done is not known. It is asked again, with the same key."""


class ControllerPort(Protocol):
    async def hold(self, asked: Hold, trade: Trade) -> Held | Refusal:
        """RequestPower with a hold until ``asked.until_ns``, by ``asked.key`` as request id, on ``asked.path`` where
        there is one, within ``asked.constraints``. A refusal's reason is the controller's, its detail what binds.
        """

    async def activate(self, asked: Activate, trade: Trade) -> Activated | HoldLost | Refusal: ...

    async def release(self, asked: Release, trade: Trade) -> Released:
        """Also of a circuit that never was, or was forgotten; after it none comes into being under the key."""

    async def read(self, asked: AskMeters, trade: Trade) -> Read:
        """Final registers of both ends by generation, as far as they are to be had, and what was missing by cause.
        Empty where nothing is known yet; it is asked again until both ends have said all, or the time for it is over.
        """

    async def network(self) -> MarketNetwork:
        """As it is now: what stands already is load. Without barred pairs, which the market knows."""

    async def watch(self, heard: Callable[[str, Watched | HoldLost], None]) -> None:
        """Tell what happens to circuits, by request id (``Trade.request_id``), until it fails; it is then called again.
        Circuits of others may be told too: they are passed over.
        """


class LedgerPort(Protocol):
    async def lock(self, asked: Lock, trade: Trade) -> Locked | Refusal | None:
        """None where it was revoked before it was written."""

    async def sign(self, asked: Sign, trade: Trade) -> Signed | Refusal | None:
        """Asked together with the lock, and after it. None where the money is not in escrow, or not yet, or it was
        revoked before it was written.
        """

    async def revoke(self, asked: Revoke, trade: Trade) -> Unsigned | Signed:
        """Signed where the log has the signature under this key already. Lock and signature that wait to be written
        are not written any more.
        """

    async def pay(self, asked: Pay, trade: Trade) -> PartPaid | Refusal: ...

    async def close(self, asked: Close, trade: Trade) -> Closed | Refusal:
        """``Refusal(NO_ESCROW)`` where everybody had his own back before."""

    def free(self, account: str) -> Nano:
        """What an account has that is in no escrow. What open orders can come to is the market's to take off."""

    def registered(self, meter_public_key: bytes) -> int | None:
        """Since when (ns) the log has the meter of a key; None where it has not."""


class Clearer(Protocol):
    @property
    def is_ready(self) -> bool:
        """Whether an answer waits for nothing but its clearing, and for no loading before it."""

    async def clear(self, asked: Clear, network: MarketNetwork) -> Cleared:
        """In a worker: the loop goes on meanwhile. ``network`` has the barred pairs of ``asked``."""


class TradesAsked(msgspec.Struct, frozen=True):
    """A page of trades, the newest first. ``before``: (start_ns, number) of the last one of the page before."""

    count: int
    party: str | None = None
    start_ns: int | None = None
    before: tuple[int, int] | None = None


class OrdersAsked(msgspec.Struct, frozen=True):
    """Likewise of orders. ``before``: the seq of the last one of the page before."""

    count: int
    party: str | None = None
    before: int | None = None


class ClearingsAsked(msgspec.Struct, frozen=True):
    """Likewise of clearings. ``before``: (start_ns, round)."""

    count: int
    before: tuple[int, int] | None = None


class JournalPort(Protocol):
    """What survives. Groups of records are written in order, each group whole or not at all."""

    def load(self) -> Journalled:
        """All that has not ended; whoever wrote before may not any more."""

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[Exception], None]
    ) -> None:
        """Begin to write; both are called from the writer's thread, the first with the last ticket of a commit."""

    def submit(self, ticket: int, records: Sequence[Record]) -> None:
        """Write these soon."""

    def trades(self, asked: TradesAsked) -> list[TradeRecord]:
        """Of all that there ever were, as they are durable; like the other reads in any thread."""

    def trade(self, trade_id: str) -> TradeRecord | None: ...

    def orders(self, asked: OrdersAsked) -> list[OrderRecord]: ...

    def clearings(self, asked: ClearingsAsked) -> list[ClearingRecord]: ...

    def close(self) -> None:
        """Once all that was submitted is written."""
