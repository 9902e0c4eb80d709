"""How long reroutes take: from the fault of a line until a load that lost its power by it has some again, by why the
line was down.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.generation import Generation, Role
from controller.core.network.lateness import MAX_PATIENCE_NS
from controller.core.network.link import LinkState
from controller.core.network.view import GridView
from controller.core.network.why_down import why_down
from controller.runtime.runtime import Runtime
from controller.tallies import POWER_BOUNDS_S
from digitalgrid.metrics.histogram import Histogram
from digitalgrid.model import DownCause
from digitalgrid.units import NS_PER_S

# Not as it should be: of a circuit that is otherwise nothing is timed.
_ODD = (CircuitState.REROUTING, CircuitState.DEGRADED, CircuitState.WAITING)


@dataclass(slots=True)
class _Fault:
    """Of a circuit whose path has a line that is down: since when that is known, and how the circuit was by then."""

    cause: DownCause
    since_ns: int
    # Lines of the newest generation that had the one that is down.
    link_ids: tuple[str, ...]
    power_since_ns: int
    interruptions: int
    # It had all of its power: its sink begins to count an interruption with the fault.
    whole: bool


class RerouteTimes:
    """Shown each change of a circuit, as it happens; one that is as it should be, and was, costs next to nothing."""

    def __init__(self, runtime: Runtime, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._runtime = runtime
        self._now_ns = now_ns
        self._known: Mapping[int, Circuit] = {}
        # Of circuits that are odd; None: nothing is timed of it until it is not.
        self._faults: dict[int, _Fault | None] = {}
        self.took_s = {cause: Histogram(POWER_BOUNDS_S) for cause in DownCause}
        self._begin()

    def subscribed(self) -> Callable[[], None]:
        """Listen from now on; what ends that."""
        feeds = self._runtime.feeds
        feeds.circuits.subscribe(self._look)
        feeds.roles.subscribe(self._begin)

        def unsubscribe() -> None:
            feeds.circuits.unsubscribe(self._look)
            feeds.roles.unsubscribe(self._begin)

        return unsubscribe

    def _begin(self) -> None:
        """Who leads reroutes; others look at nothing."""
        self._known = self._runtime.questions.circuits if self._runtime.leads else {}
        self._faults.clear()

    def _look(self, circuit_id: int) -> None:
        circuit, is_timed = self._known.get(circuit_id), circuit_id in self._faults
        is_odd = circuit is not None and circuit.state in _ODD
        # Each change of each circuit comes here.
        if circuit is not None and is_timed:
            self._look_for_power(circuit)
        elif circuit is not None and is_odd and (fault := self._fault_of(circuit)) is not None:
            self._faults[circuit_id] = fault
        if is_timed and not is_odd:
            del self._faults[circuit_id]

    def _fault_of(self, circuit: Circuit) -> _Fault | None:
        view = self._runtime.view
        for number in sorted(circuit.generations, reverse=True):
            cause = _why_down(view, circuit, number)
            if cause is not None:
                return _Fault(
                    cause,
                    self._now_ns(),
                    _link_ids(circuit.generations[number]),
                    circuit.power_since_ns,
                    circuit.interruptions,
                    whole=circuit.curtailed is None,
                )
        return None

    def _look_for_power(self, circuit: Circuit) -> None:
        fault, newest = self._faults[circuit.circuit_id], circuit.newest()
        if fault is None or circuit.power_since_ns == fault.power_since_ns:
            return
        # What comes next is another fault's, and is not told apart before the circuit is active.
        self._faults[circuit.circuit_id] = None
        # Over the same lines it is no reroute: they were mended, or it had not left them.
        elsewhere = newest is not None and _link_ids(newest) != fault.link_ids
        # Over a standby, or what was in store, it never was without.
        if elsewhere and circuit.interruptions > fault.interruptions:
            took_ns = self._now_ns() - fault.since_ns
            if fault.whole:
                # Its sink may have felt it before anybody said so, but no longer before than words may be late.
                felt_ns = min(circuit.last_interruption_ns, took_ns + MAX_PATIENCE_NS)
                took_ns = max(took_ns, felt_ns)
            self.took_s[fault.cause].observe(took_ns / NS_PER_S)


def _link_ids(generation: Generation) -> tuple[str, ...]:
    return tuple(each.link_id for each in generation.route.links)


def _why_down(view: GridView, circuit: Circuit, number: int) -> DownCause | None:
    """Of the first line of a generation's way that is down; None where it has none, or is a standby."""
    generation = circuit.generations[number]
    if generation.role is not Role.WORKING:
        return None
    for each in generation.route.links:
        link = view.links.get(each.link_id)
        if link is not None and link.state is LinkState.DOWN:
            return why_down(view, link).cause
    return None
