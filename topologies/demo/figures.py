"""The figures of a demonstration, and which of them miss what is promised. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from topologies.demo.books import Books

# What a delivered power may differ from what was asked for.
TOLERANCE = 0.005
_SERVED_WITHIN_S = 5.0
# From the death of a controller that is started again at once: most of it is Python loading the program.
_READ_AGAIN_S, _ADMITS_AGAIN_S = 2.0, 4.0
# Until the first power packet over another path: median, largest.
_FIRST_PACKET_MS = {"carrier": (50, 250), "silent": (250, 400)}
# Median of what circuits lack that nothing protects; ticks are of 100 ms.
_MISSING_P50_MS = {"carrier": 100, "silent": 250}
# What planned moves may cost: median, largest.
PLANNED_MOVE_MS = (0.0, 2.0)
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
    """What a load asked for and what its router measured; None where no meter was read twice."""

    load: str
    requested_w: float
    delivered_w: float | None

    @property
    def error(self) -> float | None:
        """By how much it is off, as a fraction of what was asked for."""
        if self.delivered_w is None:
            return None
        return abs(self.delivered_w - self.requested_w) / self.requested_w

    @property
    def right(self) -> bool:
        return self.error is not None and self.error <= TOLERANCE

    def __str__(self) -> str:
        if self.delivered_w is None:
            return f"load {self.load}: not measured"
        return f"load {self.load}: {self.delivered_w:.0f} W of {self.requested_w:.0f} W"


def delivered_in_all_w(loads: Sequence[LoadFigure]) -> float | None:
    """To all of them together; None where one was not measured, or there are none."""
    measured_w = [each.delivered_w for each in loads if each.delivered_w is not None]
    return sum(measured_w) if loads and len(measured_w) == len(loads) else None


@dataclass(slots=True)
class Outages:
    """What circuits lacked in one kind of event: milliseconds of promised power, and the first packet beside it."""

    missing_ms: list[float] = field(default_factory=list)
    first_packet_ms: list[float] = field(default_factory=list)

    def note(self, missing_ms: float, first_packet_ms: float | None = None) -> None:
        self.missing_ms.append(missing_ms)
        if first_packet_ms is not None:
            self.first_packet_ms.append(first_packet_ms)


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
    outages: dict[str, Outages] = field(
        default_factory=lambda: {"carrier": Outages(), "silent": Outages(), "move": Outages()}
    )
    cuts: dict[str, int] = field(default_factory=lambda: {"carrier": 0, "silent": 0})
    # The line that was drained while circuits moved.
    drained: str | None = None
    waited_for_repair: int = 0
    cycles: int = 0
    read_again_s: float | None = None
    admits_again_s: float | None = None
    circuits_lost: int | None = None
    undisturbed: bool | None = None
    disturbances: list[str] = field(default_factory=list)
    # What circuits lacked that had nothing to do with the fault.
    disturbed_ms: list[float] = field(default_factory=list)
    books: Books | None = None

    def to_json(self) -> dict[str, Any]:
        """The stable keys of ``demo.json``."""
        delivered_w = delivered_in_all_w(self.loads)
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
            "missing_ms": {
                kind: _spread(each.missing_ms, "max") for kind, each in self.outages.items()
            },
            "first_packet_ms": {
                kind: _spread(self.outages[kind].first_packet_ms, "max")
                for kind in ("carrier", "silent")
            },
            "cuts": self.cuts,
            "drained": self.drained,
            "waited_for_repair": self.waited_for_repair,
            "cycles": self.cycles,
            "controller_killed": {
                "read_again_s": self.read_again_s,
                "admits_again_s": self.admits_again_s,
            },
            "circuits_lost": self.circuits_lost,
            "undisturbed": self.undisturbed,
            "disturbances": self.disturbances,
            "disturbed_ms_max": max(self.disturbed_ms, default=None),
            **{key: self._from_books(key) for key in _BOOK_KEYS},
        }

    def shortcomings(self) -> list[str]:
        """A sentence on each thing that is not well; none is all well."""
        found = [str(each) for each in self.loads if not each.right]
        if not self.loads:
            found.append("loads: not measured")
        if self.drained is None:
            found.append("drained: no line")
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
            *self._outage_limits(),
            ("read_again_s", self.read_again_s, _READ_AGAIN_S),
            ("admits_again_s", self.admits_again_s, _ADMITS_AGAIN_S),
            ("circuits_lost", self.circuits_lost, 0),
            ("oversubscribed_instants", self._from_books("oversubscribed_instants"), 0),
            ("conservation_error_mj", self._from_books("conservation_error_mj"), 0),
            ("lost_in_transit_mj", self._from_books("lost_in_transit_mj"), 0),
            ("max_formula_deviation_mj", self._from_books("max_formula_deviation_mj"), 1),
        ]

    def _outage_limits(self) -> Iterator[tuple[str, float | None, float]]:
        for kind, (p50_ms, max_ms) in _FIRST_PACKET_MS.items():
            packets_ms = self.outages[kind].first_packet_ms
            yield f"first_packet_ms {kind} p50", percentile(packets_ms, 0.5), p50_ms
            yield f"first_packet_ms {kind} max", max(packets_ms, default=None), max_ms
        for kind, limit_ms in _MISSING_P50_MS.items():
            yield f"missing_ms {kind} p50", percentile(self.outages[kind].missing_ms, 0.5), limit_ms
        # As they are shown: a few millijoules are what rounding owes.
        moves_ms = [round(each, 1) for each in self.outages["move"].missing_ms]
        yield "missing_ms move p50", percentile(moves_ms, 0.5), PLANNED_MOVE_MS[0]
        yield "missing_ms move max", max(moves_ms, default=None), PLANNED_MOVE_MS[1]


def _spread(values: Sequence[float], upper: str) -> dict[str, float | None]:
    high = max(values, default=None) if upper == "max" else percentile(values, 0.99)
    return {"p50": percentile(values, 0.5), upper: high}
