"""Figures of rounds, beside their limits; what a scenario has to say for itself."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Of a round: its number from 1, and what has just happened.
Progress = Callable[[int, str], None]


def nobody_watches(number: int, what: str) -> None:
    """Progress that nobody is told of."""


@dataclass(slots=True)
class Report:
    """``figures`` go to chaos.json as they are. ``failures`` are things that must never be, each with its round and
    seed; ``missed`` are limits of time that were not kept. A scenario writes into it as it goes: what it found is there
    also where it ends by an exception.
    """

    progress: Progress = nobody_watches
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def add_times(self, key: str, seconds: list[float], limit_s: float) -> None:
        """The median and the worst, which must be within the limit."""
        figure = {
            "rounds": len(seconds),
            "p50": round(statistics.median(seconds), 4),
            "max": round(max(seconds), 4),
            "limit": limit_s,
            "within_limit": max(seconds) <= limit_s,
        }
        self.figures[key] = figure
        if not figure["within_limit"]:
            self.missed.append(f"{key}: {figure['max']:g} s is above the limit of {limit_s:g} s")

    def add(self, other: "Report") -> None:
        self.figures |= other.figures
        self.failures += other.failures
        self.missed += other.missed

    def fail(self, scenario: str, round_: int, seed: int, sentences: list[str]) -> None:
        self.failures += [f"{scenario}, round {round_}, seed {seed}: {each}" for each in sentences]
