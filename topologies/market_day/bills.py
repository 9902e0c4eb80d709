"""Bills of the day: what each party paid or earned, beside what the utility alone would have cost. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from topologies.market_day.day import Day, Period, Trade
from trading.core.units import MJ_PER_WH


@dataclass(frozen=True, slots=True)
class Bill:
    """Costs are above 0, earnings below. ``traded_nano`` is what the ledger moved; ``utility_nano`` what the rest cost,
    which the market did not bring; ``utility_only_nano`` the whole day without a market.
    """

    party: str
    bought_mj: int
    sold_mj: int
    traded_nano: int
    utility_nano: int
    utility_only_nano: int

    @property
    def nano(self) -> int:
        return self.traded_nano + self.utility_nano

    @property
    def saved_nano(self) -> int:
        return self.utility_only_nano - self.nano


def paid(trades: Iterable[Trade], party: str) -> int:
    """What a party paid in these trades less what it got (nano)."""
    lines = [line for trade in trades for line in trade.lines]
    out = sum(line.nano for line in lines if line.payer == party)
    return out - sum(line.nano for line in lines if line.payee == party)


def bill_of(day: Day, party: str) -> Bill:
    bought_mj = sold_mj = utility = alone = 0
    for period in day.periods:
        trades = day.of_interval(period.number)
        got_mj = sum(t.settlement.delivered_mj for t in trades if t.transaction.buyer == party)
        gave_mj = sum(t.settlement.injected_mj for t in trades if t.transaction.seller == party)
        bought_mj, sold_mj = bought_mj + got_mj, sold_mj + gave_mj
        utility += _from_utility(day, _surplus_mj(period, party) - gave_mj + got_mj)
        alone += _from_utility(day, _surplus_mj(period, party))
    return Bill(party, bought_mj, sold_mj, paid(day.trades, party), utility, alone)


def bills_of(day: Day) -> list[Bill]:
    parties = sorted({party for period in day.periods for party in period.surplus_wh})
    return [bill_of(day, party) for party in parties]


def _surplus_mj(period: Period, party: str) -> int:
    return period.surplus_wh.get(party, 0) * MJ_PER_WH


def _from_utility(day: Day, surplus_mj: int) -> int:
    """What the utility takes for what is lacking, or pays for what is too much, as a cost (nano)."""
    if surplus_mj < 0:
        return -surplus_mj * day.prices.utility_micro_per_kwh // MJ_PER_WH
    return -(surplus_mj * day.prices.feed_in_micro_per_kwh // MJ_PER_WH)
