"""What a panel of the dashboard is, and how its queries (PromQL) are written."""

from dataclasses import dataclass
from enum import Enum

# What is chosen at the head of the dashboard; "All" is every controller of a cluster.
_CHOSEN = 'job=~"$job", instance=~"$instance"'
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


def rate(series: str) -> str:
    return f"rate({series}{_RATE})"


def increase(series: str) -> str:
    return f"increase({series}{_RATE})"


def over(function: str, series: str, by: str = "") -> str:
    """``function``, such as max, over all series, of each value of a label by itself where one is given."""
    return f"{function}{f' by ({by})' if by else ''} ({series})"
