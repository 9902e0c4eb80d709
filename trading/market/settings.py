"""Settings of a market: what it trades, by which mechanisms, at which prices, and who may."""

import msgspec

from digitalgrid.units import NS_PER_S
from trading.core.orders import Interval, MarketRules, Meter
from trading.core.settlement import Tariff
from trading.core.trades import Times
from trading.core.units import MicroPerKwh
from trading.mechanisms.book import SelfTrade
from trading.mechanisms.choices import Choices

CONTINUOUS = "continuous"


class MarketSettings(msgspec.Struct, frozen=True):
    """``mechanisms``: as plug-ins are named; intervals have them in turn, by their number. ``rounds``: how often an
    interval is cleared at most, where the network refuses matches.
    """

    name: str
    rules: MarketRules = MarketRules()
    times: Times = Times()
    tariff: Tariff = Tariff()
    mechanisms: tuple[str, ...] = (CONTINUOUS,)
    operator: str = "operator"
    meters: tuple[Meter, ...] = ()
    rounds: int = 5
    # Of continuous books, where two orders of one party would meet.
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST
    # Of call auctions, where orders leave the price open.
    reference: MicroPerKwh | None = None

    def __post_init__(self) -> None:
        # Trades are named by the second in which their intervals begin.
        if self.rules.length_ns < NS_PER_S:
            raise ValueError(f"intervals of {self.rules.length_ns} ns are shorter than a second")
        if not self.mechanisms:
            raise ValueError("no mechanism is named")

    @property
    def choices(self) -> Choices:
        """For whoever clears."""
        return Choices(self.reference, self.self_trade)

    @property
    def trade_prefix(self) -> str:
        """What ids of trades, and so of the requests for their circuits, begin with."""
        return f"{self.name}-"

    def mechanism_of(self, interval: Interval) -> str:
        number = interval.start_ns // interval.length_ns
        return self.mechanisms[number % len(self.mechanisms)]
