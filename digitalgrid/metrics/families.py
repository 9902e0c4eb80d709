"""Families: figures as Prometheus reads them, of the metrics that are listed and of no others.

The text is made here: a library takes ten times as long, most of it for labels that are the same at each scrape.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite, isnan
from typing import NamedTuple, TypeVar

from digitalgrid.metrics.histogram import Histogram
from digitalgrid.metrics.reference import Kind, Metric

# Values of labels, and a figure.
Sample = tuple[tuple[str, ...], float]
T = TypeVar("T")


class Family(NamedTuple):
    """A metric by its whole name, with a line for each of its series."""

    name: str
    metric: Metric
    lines: list[str]


class Families:
    """Of one program, whose metrics' names all begin with ``prefix``."""

    def __init__(self, prefix: str, metrics: Sequence[Metric]) -> None:
        self._prefix = prefix
        self._by_name = {each.name: each for each in metrics}
        # What stands before the figures; few, as labels have few values.
        self._series: dict[tuple[str, tuple[str, ...]], str] = {}
        self._of_histogram: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def one(self, name: str, figure: float) -> Family:
        """Of a metric without labels."""
        return self.of(name, [((), figure)])

    def of(self, name: str, samples: Iterable[Sample]) -> Family:
        known, series = self._by_name[name], self._series
        lines = []
        for labels, figure in samples:
            head = series.get((name, labels))
            if head is None:
                said = _labels(known.labels, labels)
                head = series[name, labels] = f"{self._prefix}{name}{said} "
            lines.append(head + number(figure))
        return Family(self._prefix + name, known, lines)

    def histogram(self, name: str, samples: Iterable[tuple[tuple[str, ...], Histogram]]) -> Family:
        known, series = self._by_name[name], self._of_histogram
        lines = []
        for labels, histogram in samples:
            heads = series.get((name, labels))
            if heads is None:
                heads = tuple(_heads(self._prefix + name, known.labels, labels, histogram))
                series[name, labels] = heads
            below = 0
            for head, count in zip(heads, histogram.counts, strict=False):
                below += count
                lines.append(f"{head}{below}")
            lines.append(f"{heads[-2]}{below}")
            lines.append(heads[-1] + number(histogram.total))
        return Family(self._prefix + name, known, lines)

    def counters(self, counts: Mapping[tuple[str, str], int]) -> Iterator[Family]:
        """What happens seldom, of ``digitalgrid.counters``: of it only what has happened, and is this program's."""
        by_name: dict[str, list[Sample]] = {}
        for (name, label), count in counts.items():
            by_name.setdefault(f"{name}_total", []).append(((label,), count))
        for name, samples in sorted(by_name.items()):
            # Those of routers that run in a controller's process are theirs.
            if name in self._by_name:
                yield self.of(name, samples)


def one_label(by_label: Mapping[str, T]) -> Iterator[tuple[tuple[str, ...], T]]:
    return (((label,), each) for label, each in by_label.items())


def exposition(families: Iterable[Family], *, openmetrics: bool) -> str:
    """The text of all of them. OpenMetrics, the later format, names counters without what their series end with; the
    mark of its end is left to whoever adds more.
    """
    lines = []
    for name, metric, series in families:
        if openmetrics and metric.kind is Kind.COUNTER:
            name = name.removesuffix("_total")
        meaning = _escaped(metric.meaning)
        if not openmetrics:
            # The older format has no escape for it here.
            meaning = meaning.replace(r"\"", '"')
        lines.append(f"# HELP {name} {meaning}")
        lines.append(f"# TYPE {name} {metric.kind}")
        lines += series
    return "".join([f"{line}\n" for line in lines])


def number(figure: float) -> str:
    """As Prometheus writes it; a truth is 1 or 0."""
    if type(figure) is int:
        return str(figure)
    figure = float(figure)
    if isfinite(figure):
        return repr(figure)
    return "NaN" if isnan(figure) else "+Inf" if figure > 0 else "-Inf"


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{','.join(pairs)}}}"


def _heads(
    name: str, names: tuple[str, ...], values: tuple[str, ...], histogram: Histogram
) -> Iterator[str]:
    """Before the figures of each bucket, of the count and of the sum."""
    for bound in (*(repr(float(each)) for each in histogram.bounds), "+Inf"):
        yield f"{name}_bucket{_labels((*names, 'le'), (*values, bound))} "
    for part in ("count", "sum"):
        yield f"{name}_{part}{_labels(names, values)} "


def _escaped(said: str) -> str:
    return said.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
