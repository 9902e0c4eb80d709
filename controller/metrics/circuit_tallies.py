"""What happened to circuits (set-up, interruptions, missing energy, waits), read now and then of those that changed."""

import time
from collections import Counter
from collections.abc import Callable
from operator import attrgetter

import numpy as np

from controller.core.circuits.circuit import Circuit, CircuitState, Timings
from controller.core.errors import Refusal
from controller.core.questions import Questions
from controller.metrics.reroute_times import RerouteTimes
from controller.runtime.runtime import Runtime
from controller.tallies import POWER_BOUNDS_S
from digitalgrid.metrics.histogram import Histogram
from digitalgrid.model import MissingEnergy
from digitalgrid.units import MILLIJOULES_PER_J, NS_PER_S

STEPS = ("stored", "staged", "committed", "actuated")
CAUSES = ("start", "fault", "move", "curtailment", "refused")
_WAITING = CircuitState.WAITING


class CircuitTallies:
    """Listens for ids alone, which costs an admission next to nothing; :meth:`sweep` looks at the circuits."""

    def __init__(self, runtime: Runtime, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._runtime = runtime
        self._now_ns = now_ns
        self._began_ns = now_ns()
        self._changed: set[int] = set()
        # Circuits whose set-up is counted, how many interruptions of each are, and what of its missing energy is.
        self._set_up: set[int] = set()
        self._interruptions: dict[int, int] = {}
        self._missing: dict[int, MissingEnergy] = {}
        # What was counted since a circuit was last active, by cause: it is one gap, however often its sink tells of it.
        self._gaps_mj: dict[int, Counter[str]] = {}
        # When circuits that wait were first seen to.
        self._waiting_since_ns: dict[int, int] = {}
        self.setup_s = {step: Histogram(POWER_BOUNDS_S) for step in STEPS}
        self.interruptions = 0
        self.first_packet_s = Histogram(POWER_BOUNDS_S)
        self.promised_mj = 0
        self.missing_mj = Counter(dict.fromkeys(CAUSES, 0))
        self.gaps_s = {cause: Histogram(POWER_BOUNDS_S) for cause in CAUSES}
        self.reroutes = RerouteTimes(runtime, now_ns)
        self._begin()

    @property
    def longest_wait_s(self) -> float:
        """Of the circuits that wait, since this process has seen them do so; 0 where none does."""
        if not self._waiting_since_ns:
            return 0.0
        return (self._now_ns() - min(self._waiting_since_ns.values())) / NS_PER_S

    def subscribed(self) -> Callable[[], None]:
        """Listen from now on; what ends that."""
        feeds = self._runtime.feeds
        feeds.circuits.subscribe(self._changed.add)
        feeds.roles.subscribe(self._begin)
        forget_reroutes = self.reroutes.subscribed()

        def unsubscribe() -> None:
            forget_reroutes()
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
        self._missing = {
            key: missing
            for key, each in circuits.items()
            if (missing := each.total_missing()) is not None
        }
        self._gaps_mj.clear()
        self._waiting_since_ns.clear()
        for circuit in circuits.values():
            self._note_wait(circuit)

    def sweep(self) -> None:
        """Count what those that changed since have to tell."""
        known = self._known()
        if known is None:
            return
        changed = tuple(self._changed)
        self._changed.clear()
        set_up: list[Timings] = []
        get, had, waiting = known.circuits.get, self._set_up, self._waiting_since_ns
        for circuit_id in changed:
            circuit = get(circuit_id)
            if circuit is None:
                self._forget(circuit_id)
                continue
            # Most have only become active, and nothing has ever happened to them.
            if circuit.state is _WAITING or circuit_id in waiting:
                self._note_wait(circuit)
            if circuit.interruptions:
                self._count_interruptions(circuit)
            if circuit.missing:
                self._count_missing(circuit)
            timings = circuit.timings
            if (
                timings.actuated_after_ns
                and circuit_id not in had
                and circuit.requested_at_ns is not None
            ):
                had.add(circuit_id)
                set_up.append(timings)
        for step, histogram in self.setup_s.items():
            after_ns = map(attrgetter(f"{step}_after_ns"), set_up)
            histogram.observe_all(np.fromiter(after_ns, float, len(set_up)) / NS_PER_S)
        # What is forgotten says nothing more of itself.
        counted = (self._set_up, self._missing, self._interruptions, self._gaps_mj)
        if sum(map(len, counted)) > 8 * len(known.circuits) + len(changed):
            for circuit_id in set().union(*counted) - known.circuits.keys():
                self._forget(circuit_id)

    def _forget(self, circuit_id: int) -> None:
        self._set_up.discard(circuit_id)
        for kept in (self._interruptions, self._missing, self._gaps_mj, self._waiting_since_ns):
            kept.pop(circuit_id, None)

    def _note_wait(self, circuit: Circuit) -> None:
        if circuit.state is _WAITING:
            self._waiting_since_ns.setdefault(circuit.circuit_id, self._now_ns())
        else:
            self._waiting_since_ns.pop(circuit.circuit_id, None)

    def _count_interruptions(self, circuit: Circuit) -> None:
        more = circuit.interruptions - self._interruptions.get(circuit.circuit_id, 0)
        if more > 0:
            self.interruptions += more
            self._interruptions[circuit.circuit_id] = circuit.interruptions
            # A sink may say what it likes: nothing lasts longer than the circuit, or this process, has.
            since_ns = circuit.requested_at_ns or self._began_ns
            longest_ns = max(0, self._now_ns() - since_ns)
            self.first_packet_s.observe(min(circuit.last_interruption_ns, longest_ns) / NS_PER_S)

    def _count_missing(self, circuit: Circuit) -> None:
        missing = circuit.total_missing()
        if missing is not None:
            before = self._missing.get(circuit.circuit_id, MissingEnergy())
            self._missing[circuit.circuit_id] = missing
            self.promised_mj += max(0, missing.promised_mj - before.promised_mj)
            for cause in CAUSES:
                name = f"{cause}_mj"
                more_mj = getattr(missing, name) - getattr(before, name)
                if more_mj > 0:
                    self.missing_mj[cause] += more_mj
                    self._gaps_mj.setdefault(circuit.circuit_id, Counter())[cause] += more_mj
        if circuit.state is CircuitState.ACTIVE or circuit.state.ended:
            for cause, gap_mj in self._gaps_mj.pop(circuit.circuit_id, Counter()).items():
                self.gaps_s[cause].observe(gap_mj / (circuit.power_w * MILLIJOULES_PER_J))

    def _known(self) -> Questions | None:
        try:
            return self._runtime.questions
        except Refusal:
            return None
