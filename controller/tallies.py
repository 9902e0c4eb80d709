"""Tallies: what is counted where it happens, in plain numbers. Whoever exports them reads them when asked.

A library's counter costs ten times as much, and an admission has no time for it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from digitalgrid.metrics.histogram import Histogram
from digitalgrid.model import DownCause

# Upper bounds (s) of calls and the store; of what power does, with an edge at each promised figure.
CALL_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
POWER_BOUNDS_S = (
    *(0.001, 0.005, 0.01, 0.018, 0.025, 0.05, 0.1, 0.16),
    *(0.25, 0.4, 1.0, 2.5, 5.0, 10.0),
)


# Upper bounds of the requests in one event, and of seconds that a long computation takes.
BATCH_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
SOLVER_BOUNDS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
# Upper bounds of steps: an interior point takes some tens for each priority, columns a few rounds.
ITERATION_BOUNDS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)


class Part(StrEnum):
    """Whose word the core works at; ``EFFECTS`` is what follows: routers are told, the store and watchers."""

    CLIENTS = "clients"
    ROUTERS = "routers"
    STORE = "store"
    TIMER = "timer"
    EFFECTS = "effects"


class Computation(StrEnum):
    """What the worker process works out."""

    DISPATCH = "dispatch"
    REOPTIMISE = "reoptimise"
    MAKE_ROOM = "make room"
    WHAT_IF = "what-if"


# Those whose method comes nearer step by step, and says in how many.
STEPWISE = (Computation.DISPATCH, Computation.REOPTIMISE)


class Outcome(StrEnum):
    """How a computation ended: ``DIED`` with its worker or for want of time, ``LEFT`` by whoever asked."""

    SOLVED = "solved"
    FAILED = "failed"
    DIED = "died"
    LEFT = "left"


class LeadEvent(StrEnum):
    """How a controller began to lead, or ceased: ``GIVEN`` by another, ``HANDED_OVER`` as it was told to end."""

    ELECTED = "elected"
    GIVEN = "given"
    HANDED_OVER = "handed_over"
    LOST = "lost"


class SessionEvent(StrEnum):
    OPENED = "opened"
    CLOSED = "closed"
    REPLACED = "replaced"


# What is turned away where there is too much of it; by the store whatever is decided.
KINDS = ("calls", "watches", "health checks", "health watches", "store")


class ControlNetwork(NamedTuple):
    """What there is of it now: switches with a session, trunks between them, and hosts, by their MAC addresses."""

    switches: int
    trunks: int
    hosts: int


class ControlTraffic(NamedTuple):
    """Since it was started: frames that switches handed over, those that were shed, and flows that they were told."""

    frames: int
    frames_shed: int
    flow_mods: int


@dataclass(slots=True)
class Tallies:
    """Of one controller. Labels are the program's own words, so there are few."""

    # By method and status; how long calls took, by method; what is under way, by kind.
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    call_durations_s: dict[str, Histogram] = field(default_factory=dict)
    in_flight: Counter[str] = field(default_factory=Counter)
    # Calls that were turned away since there were too many, by kind.
    rejected: Counter[str] = field(default_factory=Counter)
    # Requests that were decided in one event.
    batch_sizes: Histogram = field(default_factory=lambda: Histogram(BATCH_BOUNDS))
    # What the loop was busy with in the core (s), by whose word it was.
    busy_s: dict[Part, float] = field(default_factory=lambda: dict.fromkeys(Part, 0.0))
    # Sessions of routers, by what became of them.
    sessions: Counter[SessionEvent] = field(default_factory=Counter)
    # How often lines went down, by why.
    line_downs: Counter[DownCause] = field(
        default_factory=lambda: Counter(dict.fromkeys(DownCause, 0))
    )
    # Long computations, by kind and how they ended; how long they took, by kind.
    solved: Counter[tuple[Computation, Outcome]] = field(
        default_factory=lambda: Counter(dict.fromkeys(product(Computation, Outcome), 0))
    )
    solved_s: dict[Computation, Histogram] = field(
        default_factory=lambda: {each: Histogram(SOLVER_BOUNDS_S) for each in Computation}
    )
    # What those that come nearer step by step took for an answer: an interior point's, or rounds of pricing columns.
    iterations: dict[Computation, Histogram] = field(
        default_factory=lambda: {each: Histogram(ITERATION_BOUNDS) for each in STEPWISE}
    )
    # One change at a time, from its decision until it is durable.
    commits_s: Histogram = field(default_factory=lambda: Histogram(CALL_BOUNDS_S))
    # How often this controller began to lead, or ceased, and how.
    lead_events: Counter[LeadEvent] = field(
        default_factory=lambda: Counter(dict.fromkeys(LeadEvent, 0))
    )
    # Browsers that show the page; those that came back and had to begin anew; and those that did not read.
    web_clients: int = 0
    web_resyncs: int = 0
    web_stalls: int = 0
    # Asked for when it is told; None where this controller has none.
    control_network: Callable[[], ControlNetwork] | None = None
    control_traffic: Callable[[], ControlTraffic] | None = None

    def note_call(self, method: str, status: str, duration_s: float) -> None:
        self.calls[method, status] += 1
        durations_s = self.call_durations_s.get(method)
        if durations_s is None:
            durations_s = self.call_durations_s[method] = Histogram(CALL_BOUNDS_S)
        durations_s.observe(duration_s)

    def note_solved(self, kind: Computation, outcome: Outcome, duration_s: float) -> None:
        self.solved[kind, outcome] += 1
        self.solved_s[kind].observe(duration_s)

    def note_iterations(self, kind: Computation, iterations: int) -> None:
        """Of an answer that was found; ``kind`` is one of :data:`STEPWISE`."""
        self.iterations[kind].observe(iterations)
