"""What a metric is: name, kind, labels and meaning; each program lists all of its own, and exports nothing else."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """``labels`` have few values each: words of the program, or of a router what its configuration names."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str


def metrics_table(prefix: str, metrics: Iterable[Metric]) -> str:
    """In Markdown."""
    lines = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for each in metrics:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        lines.append(f"| `{prefix}{each.name}` | {each.kind} | {labels} | {each.meaning} |")
    return "\n".join(lines) + "\n"
