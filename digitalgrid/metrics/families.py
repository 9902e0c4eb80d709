"""Families: figures as Prometheus' families, of the metrics that are listed and of no others."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family

from digitalgrid.metrics.histogram import Histogram
from digitalgrid.metrics.reference import Kind, Metric

# Values of labels, and a figure.
Sample = tuple[tuple[str, ...], float]
T = TypeVar("T")

_KINDS: dict[Kind, Callable[..., GaugeMetricFamily | CounterMetricFamily]] = {
    Kind.GAUGE: GaugeMetricFamily,
    Kind.COUNTER: CounterMetricFamily,
}


class Families:
    """Of one program, whose metrics' names all begin with ``prefix``."""

    def __init__(self, prefix: str, metrics: Sequence[Metric]) -> None:
        self._prefix = prefix
        self._by_name = {each.name: each for each in metrics}

    def one(self, name: str, figure: float) -> Family:
        """Of a metric without labels."""
        return self.of(name, [((), figure)])

    def of(self, name: str, samples: Iterable[Sample]) -> Family:
        known = self._by_name[name]
        family = _KINDS[known.kind](self._prefix + name, known.meaning, labels=known.labels)
        for labels, figure in samples:
            family.add_metric(labels, figure)
        return family

    def histogram(self, name: str, samples: Iterable[tuple[tuple[str, ...], Histogram]]) -> Family:
        known = self._by_name[name]
        family = HistogramMetricFamily(self._prefix + name, known.meaning, labels=known.labels)
        for labels, histogram in samples:
            buckets, below = [], 0
            for bound, count in zip(
                (*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True
            ):
                below += count
                buckets.append((bound, below))
            family.add_metric(labels, buckets, histogram.total)
        return family

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
