"""Tallies: what is counted where it happens, in plain numbers. Whoever exports them reads them when asked.

A library's counter costs ten times as much, and an admission has no time for it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from digitalgrid.metrics.histogram import Histogram

# Upper bounds (s) of calls and the store; of what power does, with an edge at each promised figure.
CALL_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
POWER_BOUNDS_S = (
    *(0.001, 0.005, 0.01, 0.018, 0.025, 0.05, 0.1, 0.16),
    *(0.25, 0.4, 1.0, 2.5, 5.0, 10.0),
)


class ControlNetwork(NamedTuple):
    """What there is of it now: switches with a session, trunks between them, and hosts, by their MAC addresses."""

    switches: int
    trunks: int
    hosts: int


@dataclass(slots=True)
class Tallies:
    """Of one controller. Labels are the program's own words, so there are few."""

    # By method and status; how long calls took, by method; what is under way, by kind.
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    call_durations_s: dict[str, Histogram] = field(default_factory=dict)
    in_flight: Counter[str] = field(default_factory=Counter)
    # One change at a time, from its decision until it is durable.
    commits_s: Histogram = field(default_factory=lambda: Histogram(CALL_BOUNDS_S))
    # How often this controller began to lead, or ceased.
    began_to_lead: int = 0
    ceased_to_lead: int = 0
    # Browsers that show the page; those that came back and had to begin anew; and those that did not read.
    web_clients: int = 0
    web_resyncs: int = 0
    web_stalls: int = 0
    # Asked for when it is told; None where this controller has none.
    control_network: Callable[[], ControlNetwork] | None = None

    def note_call(self, method: str, status: str, duration_s: float) -> None:
        self.calls[method, status] += 1
        durations_s = self.call_durations_s.get(method)
        if durations_s is None:
            durations_s = self.call_durations_s[method] = Histogram(CALL_BOUNDS_S)
        durations_s.observe(duration_s)
