"""How long circuits took to get their power, and how often it stopped: read now and then from those that changed."""

from collections.abc import Callable
from operator import attrgetter

from controller.core.circuits.circuit import Circuit, Timings
from controller.core.errors import Refusal
from controller.core.questions import Questions
from controller.runtime.runtime import Runtime
from controller.tallies import POWER_BOUNDS_S, Histogram
from digitalgrid.units import NS_PER_S

STEPS = ("stored", "staged", "committed", "actuated")


class CircuitTimes:
    """Listens for ids alone, which costs an admission next to nothing; :meth:`sweep` looks at the circuits."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._changed: set[int] = set()
        # Circuits whose set-up is counted, and how many interruptions of each are.
        self._set_up: set[int] = set()
        self._interruptions: dict[int, int] = {}
        self.setup_s = {step: Histogram(POWER_BOUNDS_S) for step in STEPS}
        self.interruptions = 0
        self._begin()

    def subscribed(self) -> Callable[[], None]:
        """Listen from now on; what ends that."""
        feeds = self._runtime.feeds
        feeds.circuits.subscribe(self._changed.add)
        feeds.roles.subscribe(self._begin)

        def unsubscribe() -> None:
            feeds.circuits.unsubscribe(self._changed.add)
            feeds.roles.unsubscribe(self._begin)

        return unsubscribe

    def _begin(self) -> None:
        """What was before this process, or before another state was taken over, is not counted again."""
        self._changed.clear()
        known = self._known()
        circuits = known.circuits if known is not None else {}
        self._set_up &= circuits.keys()
        self._interruptions = {
            key: each.interruptions for key, each in circuits.items() if each.interruptions
        }

    def sweep(self) -> None:
        """Count what those that changed since have to tell."""
        known = self._known()
        if known is None:
            return
        changed = tuple(self._changed)
        self._changed.clear()
        set_up: list[Timings] = []
        for circuit_id in changed:
            circuit = known.circuits.get(circuit_id)
            if circuit is None:
                self._set_up.discard(circuit_id)
                self._interruptions.pop(circuit_id, None)
                continue
            self._count_interruptions(circuit)
            if (
                circuit.timings.actuated_after_ns
                and circuit.requested_at_ns is not None
                and circuit_id not in self._set_up
            ):
                self._set_up.add(circuit_id)
                set_up.append(circuit.timings)
        for step, histogram in self.setup_s.items():
            after_ns = map(attrgetter(f"{step}_after_ns"), set_up)
            histogram.observe_all([each / NS_PER_S for each in after_ns])
        # What is forgotten says nothing more of itself.
        if len(self._set_up) > 2 * len(known.circuits) + len(changed):
            self._set_up &= known.circuits.keys()
            for circuit_id in self._interruptions.keys() - known.circuits.keys():
                del self._interruptions[circuit_id]

    def _count_interruptions(self, circuit: Circuit) -> None:
        if not circuit.interruptions:
            return
        more = circuit.interruptions - self._interruptions.get(circuit.circuit_id, 0)
        if more > 0:
            self.interruptions += more
            self._interruptions[circuit.circuit_id] = circuit.interruptions

    def _known(self) -> Questions | None:
        try:
            return self._runtime.questions
        except Refusal:
            return None
