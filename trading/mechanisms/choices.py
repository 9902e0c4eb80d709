"""Choices: what a market decides where its mechanisms leave something open."""

from typing import Protocol, runtime_checkable

import msgspec

from trading.core.units import MicroPerKwh
from trading.mechanisms.book import SelfTrade
from trading.mechanisms.mechanism import Mechanism


class Choices(msgspec.Struct, frozen=True):
    """``reference``: of prices that orders of a call auction allow, the one nearest to it is chosen; None: the middle.
    ``self_trade``: which order ends where two of one party would meet in a continuous book.
    """

    reference: MicroPerKwh | None = None
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST


@runtime_checkable
class Choosing(Protocol):
    """A mechanism that leaves something open, which those of others need not."""

    def choosing(self, choices: Choices) -> Mechanism:
        """The same, by these choices."""
