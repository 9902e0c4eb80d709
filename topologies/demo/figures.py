"""The figures of a demonstration, and which of them miss what is promised. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from topologies.demo.books import Books

# What a delivered power may differ from what was asked for.
TOLERANCE = 0.005
_SERVED_WITHIN_S = 5.0
# From the death of a controller that is started again at once: most of it is Python loading the program.
_READ_AGAIN_S, _ADMITS_AGAIN_S = 2.0, 4.0
_BOOK_KEYS = (
    "oversubscribed_instants",
    "conservation_error_mj",
    "max_formula_deviation_mj",
    "lost_in_transit_mj",
    "lost_to_faults_mj",
)


def percentile(values: Sequence[float], fraction: float) -> float | None:
    """Nearest rank; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


@dataclass(frozen=True, slots=True)
class LoadFigure:
    load: str
    requested_w: float
    delivered_w: float

    @property
    def right(self) -> bool:
        return abs(self.delivered_w - self.requested_w) <= TOLERANCE * self.requested_w


@dataclass(slots=True)
class Figures:
    """Collected while the demonstration runs; what it never came to stays None or empty."""

    backend: str = ""
    routers: int = 0
    loads: list[LoadFigure] = field(default_factory=list)
    generated_w: float | None = None
    served_within_s: float | None = None
    setup_ms: list[float] = field(default_factory=list)
    controller_ms: list[float] = field(default_factory=list)
    carrier_ms: list[float] = field(default_factory=list)
    silent_ms: list[float] = field(default_factory=list)
    cuts: dict[str, int] = field(default_factory=lambda: {"carrier": 0, "silent": 0})
    waited_for_repair: int = 0
    cycles: int = 0
    read_again_s: float | None = None
    admits_again_s: float | None = None
    circuits_lost: int | None = None
    undisturbed: bool | None = None
    disturbances: list[str] = field(default_factory=list)
    books: Books | None = None

    def to_json(self) -> dict[str, Any]:
        """The stable keys of ``demo.json``."""
        delivered_w = sum(each.delivered_w for each in self.loads) if self.loads else None
        loss_w = None
        if delivered_w is not None and self.generated_w is not None:
            loss_w = self.generated_w - delivered_w
        return {
            "backend": self.backend,
            "routers": self.routers,
            "loads": [asdict(each) for each in self.loads],
            "requested_w": sum(each.requested_w for each in self.loads) if self.loads else None,
            "delivered_w": delivered_w,
            "generated_w": self.generated_w,
            "loss_w": loss_w,
            "served_within_s": self.served_within_s,
            "setup_ms": _spread(self.setup_ms, "p99"),
            "controller_ms": _spread(self.controller_ms, "p99"),
            "reroute_ms": {
                "carrier": _spread(self.carrier_ms, "max"),
                "silent": _spread(self.silent_ms, "max"),
            },
            "cuts": self.cuts,
            "waited_for_repair": self.waited_for_repair,
            "cycles": self.cycles,
            "controller_killed": {
                "read_again_s": self.read_again_s,
                "admits_again_s": self.admits_again_s,
            },
            "circuits_lost": self.circuits_lost,
            "undisturbed": self.undisturbed,
            "disturbances": self.disturbances,
            **{key: self._from_books(key) for key in _BOOK_KEYS},
        }

    def shortcomings(self) -> list[str]:
        """A sentence on each thing that is not well; none is all well."""
        found = [
            f"load {each.load}: {each.delivered_w:.0f} W of {each.requested_w:.0f} W"
            for each in self.loads
            if not each.right
        ]
        for name, value, limit in self._limits():
            if value is None:
                found.append(f"{name}: not measured")
            elif value > limit:
                found.append(f"{name}: {value:g}, more than {limit:g}")
        if not self.undisturbed:
            found += self.disturbances or ["undisturbed: not measured"]
        return found

    def _from_books(self, key: str) -> float | None:
        value: float | None = getattr(self.books, key, None)
        return value

    def _limits(self) -> list[tuple[str, float | None, float]]:
        return [
            ("served_within_s", self.served_within_s, _SERVED_WITHIN_S),
            ("setup_ms p50", percentile(self.setup_ms, 0.5), 500),
            ("controller_ms p99", percentile(self.controller_ms, 0.99), 50),
            ("reroute_ms carrier p50", percentile(self.carrier_ms, 0.5), 50),
            ("reroute_ms carrier max", max(self.carrier_ms, default=None), 250),
            ("reroute_ms silent p50", percentile(self.silent_ms, 0.5), 250),
            ("reroute_ms silent max", max(self.silent_ms, default=None), 400),
            ("read_again_s", self.read_again_s, _READ_AGAIN_S),
            ("admits_again_s", self.admits_again_s, _ADMITS_AGAIN_S),
            ("circuits_lost", self.circuits_lost, 0),
            ("oversubscribed_instants", self._from_books("oversubscribed_instants"), 0),
            ("conservation_error_mj", self._from_books("conservation_error_mj"), 0),
            ("lost_in_transit_mj", self._from_books("lost_in_transit_mj"), 0),
            ("max_formula_deviation_mj", self._from_books("max_formula_deviation_mj"), 1),
        ]


def _spread(values: Sequence[float], upper: str) -> dict[str, float | None]:
    high = max(values, default=None) if upper == "max" else percentile(values, 0.99)
    return {"p50": percentile(values, 0.5), upper: high}
