"""What a panel of the dashboard is, and how its queries (PromQL) are written."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

# What is chosen at the head of the dashboard; "All" is every controller of a cluster, and every router.
_CHOSEN = 'job=~"$job", instance=~"$instance"'
_ROUTERS = 'job=~"$routers"'
_RATE = "[$__rate_interval]"


class Drawn(Enum):
    """How Grafana draws a panel, in its own word."""

    FIGURE = "stat"
    SERIES = "timeseries"
    HEAT = "heatmap"
    GRAPH = "nodeGraph"


class Answer(Enum):
    """What Grafana makes of a query's answer: a line a series, rows of buckets, or a table of what is now."""

    SERIES = "time_series"
    BUCKETS = "heatmap"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Query:
    """``name`` says which of a panel's queries it is, where that matters to whoever draws it."""

    expression: str
    legend: str = ""
    answer: Answer = Answer.SERIES
    name: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """``alarm_from`` is the value from which on it is shown as something to act on; to ``lines`` it is held."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    what: str = ""
    stacked: bool = False
    alarm_from: float | None = None
    lines: tuple[float, ...] = ()
    drawn: Drawn = Drawn.SERIES


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def of(metric: str, only: str = "") -> str:
    """The series of a metric, with these labels only."""
    return f"{metric}{{{only}{', ' if only else ''}{_CHOSEN}}}"


def of_routers(metric: str) -> str:
    """Of what routers tell Prometheus themselves."""
    return f"{metric}{{{_ROUTERS}}}"


def rate(series: str) -> str:
    return f"rate({series}{_RATE})"


def increase(series: str) -> str:
    return f"increase({series}{_RATE})"


def changes(series: str) -> str:
    return f"changes({series}{_RATE})"


def over(function: str, series: str, by: str = "") -> str:
    """``function``, such as max, over all series, of each value of a label by itself where one is given."""
    return f"{function}{f' by ({by})' if by else ''} ({series})"


def by_label(label: str, function: str, series: str) -> tuple[Query, ...]:
    """A line for each value of a label."""
    return (Query(over(function, series, label), f"{{{{{label}}}}}"),)


def quantiles(
    histogram: str,
    by: str = "",
    shares: tuple[float, ...] = (0.5, 0.99),
    series: Callable[[str], str] = of,
) -> tuple[Query, ...]:
    """A line for each share, and each value of a label where one is given."""
    buckets = over("sum", rate(series(f"{histogram}_bucket")), f"le, {by}" if by else "le")
    legend = f"{{{{{by}}}}} " if by else ""
    return tuple(
        Query(f"histogram_quantile({share}, {buckets})", f"{legend}p{round(100 * share)}")
        for share in shares
    )
