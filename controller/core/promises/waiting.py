"""Waiting: circuits that have no path now are searched for in rounds, the most urgent first, and told what binds."""

from collections import deque
from collections.abc import Callable, Mapping

from controller.core.admission.admission import Admission
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.effects import CircuitChanged, Effect
from controller.core.promises.pacing import (
    MAX_AT_ONCE,
    MAX_EXPLAINED,
    RETRY_LATER_NS,
    RETRY_SOON_NS,
    urgency,
)
from digitalgrid.units import NS_PER_S

# What binds is worked out again after this, where anything has changed since.
EXPLAIN_AGAIN_NS = 2 * NS_PER_S
# Pause (ns) between two searches for all circuits that wait, for each of them: a search takes some 0.1 ms, so they
# take a fiftieth of the loop's time.
RETRY_SPACING_NS = 5_000_000


class WaitingCircuits:
    """The queue of those that wait (backoff).

    ``resume`` searches for a path for one, takes it, and says whether it did; ``stands`` counts what has changed for a
    search.
    """

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        admission: Admission,
        resume: Callable[[Circuit], bool],
        stands: Callable[[], int],
        emit: Callable[[Effect], None],
    ) -> None:
        self._circuits = circuits
        self._admission = admission
        self._resume = resume
        self._stands = stands
        self._emit = emit
        # Circuits that wait, and some that did.
        self._ids = {key for key, each in circuits.items() if waits(each)}
        # When the next round of searches begins; the rest of the present one, in this order.
        self._retry_at_ns: int | None = None
        self._searched_ns = 0
        self._to_search: deque[int] = deque()
        self._again_ns: int | None = None
        # Those that the last round found no path for, with the state of which their reason tells and when it was found.
        self._in_vain: dict[int, tuple[int, int]] = {}
        # Circuits that wait for others, which were displaced, to go.
        self.claiming: set[int] = set()

    def next_deadline_ns(self) -> int | None:
        due = (self._retry_at_ns, self._searched_ns if self._to_search else None)
        return min((each for each in due if each is not None), default=None)

    def add(self, circuit: Circuit) -> None:
        """A circuit has no path now."""
        self._ids.add(circuit.circuit_id)

    def add_claiming(self, circuit: Circuit) -> None:
        """A circuit waits for what it was told; look for a path for it as for all that wait."""
        self.add(circuit)
        self.claiming.add(circuit.circuit_id)

    def in_turn(self) -> list[Circuit]:
        """Circuits that wait, the most urgent first."""
        return sorted(self._those_that_wait(), key=urgency)

    def in_vain(self) -> list[Circuit]:
        """Circuits that the last search found no path for, the most urgent first."""
        return [each for each in self.in_turn() if each.circuit_id in self._in_vain]

    @property
    def any_in_vain(self) -> bool:
        """Whether circuits wait that the last search found no path for."""
        return bool(self._in_vain)

    def retry_soon(self, now_ns: int) -> None:
        """Schedule a retry; changes that come together are answered once."""
        waiting = len(self._those_that_wait())
        if waiting:
            due_ns = max(now_ns + RETRY_SOON_NS, self._searched_ns + waiting * RETRY_SPACING_NS)
            self._retry_at_ns = min(self._retry_at_ns or due_ns, due_ns)

    def on_timer(self, now_ns: int) -> None:
        """Try them, most urgent first, some in each event."""
        if not self._to_search and self._retry_at_ns is not None and now_ns >= self._retry_at_ns:
            self._retry_at_ns, self._again_ns = None, None
            self._searched_ns = now_ns
            self._to_search.extend(each.circuit_id for each in self.in_turn())
            still = set(self._to_search)
            self._in_vain = {key: each for key, each in self._in_vain.items() if key in still}
        self._search_some(now_ns)

    def _those_that_wait(self) -> list[Circuit]:
        found = [self._circuits[each] for each in self._ids if each in self._circuits]
        waiting = [each for each in found if waits(each)]
        self._ids = {each.circuit_id for each in waiting}
        return waiting

    def _search_some(self, now_ns: int) -> None:
        if not self._to_search:
            return
        explained = 0
        for _ in range(min(MAX_AT_ONCE, len(self._to_search))):
            circuit = self._circuits.get(self._to_search.popleft())
            if circuit is None or not waits(circuit):
                continue
            if now_ns < circuit.retry_after_ns:
                self._try_again(circuit.retry_after_ns)
            elif not self._search(circuit):
                self._try_again(now_ns + RETRY_LATER_NS)
                if explained < MAX_EXPLAINED and circuit.circuit_id not in self.claiming:
                    explained += self._explain(circuit, now_ns)
        if not self._to_search and self._again_ns is not None:
            spaced_ns = self._searched_ns + len(self._ids) * RETRY_SPACING_NS
            due_ns = max(self._again_ns, spaced_ns)
            self._retry_at_ns = min(self._retry_at_ns or due_ns, due_ns)

    def _try_again(self, at_ns: int) -> None:
        self._again_ns = min(self._again_ns or at_ns, at_ns)

    def _search(self, circuit: Circuit) -> bool:
        """Whether there is a path, which is then taken."""
        if self._resume(circuit):
            self._in_vain.pop(circuit.circuit_id, None)
            return True
        self._in_vain.setdefault(circuit.circuit_id, (-1, 0))
        return False

    def _explain(self, circuit: Circuit, now_ns: int) -> bool:
        """Say what keeps a circuit waiting as things stand, if they stand otherwise than when that was last said."""
        stands = self._stands()
        said, said_ns = self._in_vain[circuit.circuit_id]
        if said == stands or (said >= 0 and now_ns - said_ns < EXPLAIN_AGAIN_NS):
            return False
        self._in_vain[circuit.circuit_id] = (stands, now_ns)
        if circuit.explain(self._why(circuit)):
            self._emit(CircuitChanged(circuit.circuit_id))
        return True

    def _why(self, circuit: Circuit) -> str:
        if circuit.sink_id not in self._admission.view.loads:
            return f"waits for load {circuit.sink_id!r}, which no router has just now"
        return f"waits: {self._admission.explain_change(circuit, circuit.power_w)}"


def waits(circuit: Circuit) -> bool:
    return circuit.state is CircuitState.WAITING
