"""The figures of the run of protected circuits, beside what they may be at most. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from topologies.demo.books import Books
from topologies.demo.figures import PLANNED_MOVE_MS, percentile


@dataclass(frozen=True, slots=True)
class Limit:
    """What circuits may lack, in milliseconds of their power."""

    p50_ms: float
    max_ms: float


# A line's end hears its carrier go; whatever else fails is found by what does not come.
CARRIER, SILENCE, MOVE = Limit(2.0, 20.0), Limit(5.0, 50.0), Limit(*PLANNED_MOVE_MS)
# Until whatever is to be protected is so, at first and after a fault.
READY_WITHIN_S = 10.0


@dataclass(slots=True)
class Trial:
    """One thing that was done to circuits, and what each of them lacked."""

    what: str
    limit: Limit
    controlled: bool = True
    missing_ms: list[float] = field(default_factory=list)
    # Of those whose standby was not ready, or needed it too (the only source that there was a way to).
    unguarded_ms: list[float] = field(default_factory=list)
    # Until all were protected again for which the network has two paths; None where they were not in time.
    ready_s: float | None = None
    # For how many it had none then.
    without_pair: int = 0

    @property
    def name(self) -> str:
        return self.what if self.controlled else f"{self.what}, no controller"

    @property
    def kept(self) -> bool:
        p50_ms = percentile(self.missing_ms, 0.5)
        if p50_ms is None:
            return False
        # As they are shown: a few millijoules are what rounding owes.
        return (
            round(p50_ms, 1) <= self.limit.p50_ms
            and round(max(self.missing_ms), 1) <= self.limit.max_ms
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "controller": "runs" if self.controlled else "away",
            "circuits": len(self.missing_ms),
            "missing_ms": {
                "p50": percentile(self.missing_ms, 0.5),
                "max": max(self.missing_ms, default=None),
            },
            "at_most_ms": {"p50": self.limit.p50_ms, "max": self.limit.max_ms},
            "kept": self.kept,
            "unguarded": {
                "circuits": len(self.unguarded_ms),
                "missing_ms": max(self.unguarded_ms, default=None),
            },
            "protected_again_s": self.ready_s,
            "without_two_paths": self.without_pair,
        }


@dataclass(slots=True)
class ProtectFigures:
    """Collected while the run goes on; what it never came to stays None or empty."""

    backend: str = ""
    routers: int = 0
    circuits: int = 0
    protected_after_s: float | None = None
    trials: list[Trial] = field(default_factory=list)
    # What a controller that had been away found, in any of its looks, that routers run otherwise than it says, after
    # each trial without it.
    differences: list[int] = field(default_factory=list)
    circuits_lost: int | None = None
    books: Books | None = None
    # After the same trials: what it was changing at its first look, and still was at its last.
    under_way_at_first: list[int] = field(default_factory=list)
    under_way: list[int] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "backend": self.backend,
            "routers": self.routers,
            "circuits": self.circuits,
            "protected_after_s": self.protected_after_s,
            "trials": [trial.to_json() for trial in self.trials],
            "differences_after_return": self.differences,
            "under_way_at_first": self.under_way_at_first,
            "under_way_in_the_end": self.under_way,
            "circuits_lost": self.circuits_lost,
            **{name: value for name, value, _ in self._books()},
        }

    def missed(self) -> Iterator[str]:
        """A sentence on each figure that is not as it should be, though nobody was promised too much for it."""
        if self.protected_after_s is None or self.protected_after_s > READY_WITHIN_S:
            yield f"not all protected within {READY_WITHIN_S:g} s of their request"
        for trial in self.trials:
            if trial.missing_ms and not trial.kept:
                figures = shown(trial.missing_ms)
                yield (
                    f"{trial.name}: {figures}, more than p50 {trial.limit.p50_ms:g},"
                    f" max {trial.limit.max_ms:g} ms"
                )
            if trial.unguarded_ms:
                yield (
                    f"{trial.name}: {len(trial.unguarded_ms)} more circuits had no standby ready that does"
                    f" without it, and lacked up to {max(trial.unguarded_ms):.1f} ms"
                )
            if trial.ready_s is None or trial.ready_s > READY_WITHIN_S:
                yield f"{trial.name}: not protected again within {READY_WITHIN_S:g} s"
        if any(self.differences):
            seen = sum(self.differences)
            yield f"a controller that returned saw {seen} hops otherwise than routers run"
        if any(self.under_way):
            left = sum(self.under_way)
            yield f"a controller that returned was still changing {left} hops after {READY_WITHIN_S:g} s"
        if self.circuits_lost:
            yield f"circuits_lost: {self.circuits_lost}"

    def broken(self) -> list[str]:
        """A sentence on each law that does not hold, and on each trial in which there was nothing to measure."""
        unmeasured = [
            f"{trial.name}: nothing measured, as no circuit had a standby ready that does without it"
            for trial in self.trials
            if not trial.missing_ms
        ]
        return unmeasured + [
            f"{name}: {value}" for name, value, most in self._books() if not _holds(value, most)
        ]

    def _books(self) -> Sequence[tuple[str, float | None, float]]:
        return [
            (name, getattr(self.books, name, None), most)
            for name, most in (
                ("oversubscribed_instants", 0.0),
                ("conservation_error_mj", 0.0),
                ("lost_in_transit_mj", 0.0),
                ("max_formula_deviation_mj", 1.0),
            )
        ]


def _holds(value: float | None, most: float) -> bool:
    return value is not None and value <= most


def shown(missing_ms: Sequence[float]) -> str:
    if not missing_ms:
        return "nothing measured"
    return f"p50 {percentile(missing_ms, 0.5):.1f}, max {max(missing_ms):.1f} ms"
