"""The day in one picture: prices, energy, and who traded with whom."""

from pathlib import Path
from typing import Any

from topologies.market_day.day import Day
from topologies.market_day.report import prices_of
from trading.core.units import MJ_PER_WH

_MJ_PER_KWH = 1_000 * MJ_PER_WH
_MICRO = 1_000_000
# Of the Okabe-Ito palette, which those see too who do not see all colours.
_BLUE, _ORANGE, _GREY, _GREEN = "#0072b2", "#d55e00", "#8a8a8a", "#009e73"


class NoPlot(Exception):
    """Matplotlib is not installed."""


def plot(day: Day, path: Path) -> None:
    """An SVG file. Raises NoPlot."""
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise NoPlot("no picture: install digitalgrid[plots] for one") from error
    matplotlib.use("svg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[3, 2])
    _prices(figure.add_subplot(grid[0, 0]), day)
    _energy(figure.add_subplot(grid[1, 0]), day)
    _partners(figure.add_subplot(grid[:, 1]), day)
    figure.savefig(path, metadata={"Date": None})


def _prices(axes: Any, day: Day) -> None:
    """What buyers paid, a dot a price, between what the utility asks and pays."""
    for period in day.periods:
        prices = [price / _MICRO for price in prices_of(day, period.start_ns)]
        axes.plot([period.number] * len(prices), prices, "o", color=_BLUE, alpha=0.7)
    for price, word in (
        (day.prices.utility_micro_per_kwh, "utility sells"),
        (day.prices.feed_in_micro_per_kwh, "utility buys"),
    ):
        axes.axhline(price / _MICRO, color=_GREY, linestyle="--")
        axes.annotate(word, (0.5, price / _MICRO), va="bottom", color=_GREY, fontsize=9)
    axes.set(title="Prices", ylabel="per kWh")
    labels = [f"{each.number}\n{each.mechanism}" for each in day.periods]
    axes.set_xticks([each.number for each in day.periods], labels, fontsize=7)


def _energy(axes: Any, day: Day) -> None:
    numbers = [each.number for each in day.periods]
    agreed, came = [], []
    for number in numbers:
        trades = day.of_interval(number)
        agreed.append(sum(t.settlement.contract_mj for t in trades) / _MJ_PER_KWH)
        came.append(sum(t.settlement.delivered_mj for t in trades) / _MJ_PER_KWH)
    axes.bar(numbers, agreed, color=_ORANGE, alpha=0.35, label="agreed")
    axes.bar(numbers, came, color=_GREEN, width=0.5, label="delivered")
    for fault in day.faults.values():
        axes.annotate(
            fault.what, (fault.number, 0), rotation=90, ha="center", va="bottom", fontsize=7
        )
    axes.set(title="Energy", xlabel="interval", ylabel="kWh")
    axes.set_xticks(numbers)
    axes.legend(frameon=False, fontsize=8)


def _partners(axes: Any, day: Day) -> None:
    """Sellers down, buyers across; the darker, the more was delivered."""
    parties = sorted({party for period in day.periods for party in period.surplus_wh})
    table = [[0.0] * len(parties) for _ in parties]
    for trade in day.trades:
        told = trade.transaction
        row, column = parties.index(told.seller), parties.index(told.buyer)
        table[row][column] += trade.settlement.delivered_mj / _MJ_PER_KWH
    axes.imshow(table, cmap="Blues")
    for row, line in enumerate(table):
        for column, kwh in enumerate(line):
            if kwh:
                dark = kwh > 0.6 * max(map(max, table))
                axes.text(
                    column, row, f"{kwh:.2f}", ha="center", va="center", fontsize=7,
                    color="white" if dark else "black",
                )  # fmt: skip
    axes.set(title="Who sold to whom (kWh)", xlabel="buyer", ylabel="seller")
    axes.set_xticks(range(len(parties)), parties, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(parties)), parties, fontsize=8)
