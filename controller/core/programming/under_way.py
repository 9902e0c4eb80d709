"""Generations under way: those that are not at rest, by when their phase must be over, and their part of the window."""

from controller.core.circuits.generation import IN_FLIGHT_PHASES, Generation, PhaseEvent
from controller.core.network.lateness import Lateness
from controller.core.programming.agenda import Agenda
from controller.core.programming.window import Window
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS

# How often it is looked whether a late router has done what is overdue.
_LOOK_AGAIN_NS = 500 * NS_PER_MS


class UnderWay:
    def __init__(self, lateness: Lateness, window: Window) -> None:
        self._lateness = lateness
        self._window = window
        self._generations: dict[CircuitGeneration, Generation] = {}
        self._deadlines: Agenda[CircuitGeneration] = Agenda()

    def next_deadline_ns(self) -> int | None:
        return self._deadlines.next_ns()

    def due(self, now_ns: int) -> list[Generation]:
        """Those of which the phase took too long."""
        return [self._generations[key] for key in self._deadlines.due(now_ns)]

    def enter(
        self, generation: Generation, event: PhaseEvent, now_ns: int, timeout_ms: int
    ) -> None:
        """The next phase, which may take so long."""
        generation.apply(event)
        generation.touched_ns = now_ns
        self.wait(generation, now_ns, timeout_ms)
        if generation.phase in IN_FLIGHT_PHASES:
            self._window.add(generation)
        else:
            self._window.discard(generation.key)

    def wait(self, generation: Generation, now_ns: int, timeout_ms: int) -> None:
        """Its phase may take so long from now on, and longer over late routers."""
        patience_ns = self._lateness.patience_ns(generation.route.router_ids, now_ns)
        generation.deadline_ns = now_ns + timeout_ms * NS_PER_MS + patience_ns
        self._generations[generation.key] = generation
        self._deadlines.set(generation.key, generation.deadline_ns)

    def look_again(self, generation: Generation, now_ns: int) -> None:
        """It is overdue, and will be due again."""
        self._deadlines.set(generation.key, now_ns + _LOOK_AGAIN_NS)

    def drop(self, key: CircuitGeneration) -> None:
        """At rest, or gone."""
        self._generations.pop(key, None)
        self._deadlines.drop(key)
        self._window.discard(key)
