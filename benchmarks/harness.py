"""Rows of ``bench.json``, and how times are taken: in one process, by turns, so that noise meets all alike."""

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison on one instance. Peers are called by the names that their libraries have on PyPI.

    ``agree``: our exact objective is not above the best of the peers', all judged by the same evaluation.
    ``extra`` are further keys of the benchmark's own; with a ``unit`` among them, figures are in that, not in seconds.
    """

    name: str
    size: int
    instance: str
    ours_s: float
    peers: Mapping[str, float]
    agree: bool
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "size": self.size,
            "instance": self.instance,
            "ours_s": self.ours_s,
            "peers": dict(self.peers),
            "agree": self.agree,
            **self.extra,
        }


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    """One timed call, and what it returned; garbage of others is collected before it."""
    gc.collect()
    begin_s = perf_counter()
    result = call()
    return perf_counter() - begin_s, result


def by_turns(
    calls: Mapping[str, Callable[[], Any]], rounds: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """The median seconds of each call over rounds in which each has its turn, and what each returned last."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, Any] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds, results[name] = seconds_of(call)
            taken[name].append(seconds)
    return {name: median(each) for name, each in taken.items()}, results


def quieter(taken_s: Sequence[float]) -> float:
    """The mean of the lower half. What a process computes is never less than it has to, and more by whatever else the
    machine does to its caches: of what is measured on one that is in use the lower half says most.
    """
    lower = sorted(taken_s)[: (len(taken_s) + 1) // 2]
    return sum(lower) / len(lower)


def busyness() -> float:
    """How many processes the machine would run, on the mean of the last minute."""
    return os.getloadavg()[0]
