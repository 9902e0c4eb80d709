"""Looks at circuits that have changed, in the order in which they did, as the budget allows; urgent ones first."""

import asyncio
from itertools import islice
from typing import Protocol

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.protection import Protection
from controller.runtime.runtime import Runtime
from controller.watching.gate import Gate
from digitalgrid.supervision import start_task

# Asked of each change: an enumeration's members take longer to come by.
_URGENT_STATES = (CircuitState.WAITING, CircuitState.FAILED, CircuitState.WITHDRAWN)
_LOST = Protection.LOST
# Circuits that are looked at in one turn of the loop, at some 16 us each.
AT_ONCE = 256


class CircuitViewer(Protocol):
    """Who tells what is seen. All of it is called in the loop, and within what is charged to those who watch."""

    def see_circuit(self, circuit_id: int, circuit: Circuit | None, *, urgent: bool) -> None:
        """A circuit that has changed; None: it is not remembered any more."""

    def seen(self) -> None:
        """That was all for now."""


class CircuitLooks:
    """At the circuits of one state, for one who tells of them, from when it is made until it is closed; of requests
    whose ids begin with ``prefix``.
    """

    def __init__(
        self, runtime: Runtime, gate: Gate, viewer: CircuitViewer, prefix: str = ""
    ) -> None:
        self._runtime = runtime
        self._gate = gate
        self._viewer = viewer
        self._prefix = prefix
        self._circuits = runtime.questions.circuits
        # Changed, and not seen yet; those that are urgent are in both.
        self._changed: dict[int, None] = {}
        # As they are noted: who ends among very many may be forgotten before he is seen, and his end is told.
        self._urgent: dict[int, Circuit] = {}
        # What was told last of those whose word is urgent: it is so once.
        self._words: dict[int, tuple[CircuitState, Protection]] = {}
        self._noted = asyncio.Event()
        runtime.feeds.circuits.subscribe(self._note)
        self._task = start_task("circuit-looks", self._run)

    def close(self) -> None:
        self._runtime.feeds.circuits.unsubscribe(self._note)
        self._task.cancel()

    @property
    def any_changed(self) -> bool:
        """Whether any is to be looked at."""
        return bool(self._changed)

    def has_changed(self, circuit_id: int) -> bool:
        """Whether it is to be looked at."""
        return circuit_id in self._changed

    def look_at(self, circuit_id: int) -> None:
        """Now, whatever waits."""
        self._changed.pop(circuit_id, None)
        noted = self._urgent.pop(circuit_id, None)
        urgent = noted is not None
        circuit = self._circuits.get(circuit_id, noted)
        if circuit is not None and _is_urgent(circuit):
            self._words[circuit_id] = (circuit.state, circuit.guard.word)
        else:
            self._words.pop(circuit_id, None)
        self._viewer.see_circuit(circuit_id, circuit, urgent=urgent)

    def forget(self, circuit_id: int) -> None:
        """It is not remembered any more, which nobody says."""
        self._changed.pop(circuit_id, None)
        self._urgent.pop(circuit_id, None)
        self._words.pop(circuit_id, None)

    def _note(self, circuit_id: int) -> None:
        circuit = self._circuits.get(circuit_id)
        if self._prefix and not (circuit and circuit.request_id.startswith(self._prefix)):
            # What is not remembered any more, nobody says either.
            return
        self._changed[circuit_id] = None
        if (
            circuit is not None
            and _is_urgent(circuit)
            and self._words.get(circuit_id) != (circuit.state, circuit.guard.word)
        ):
            self._urgent[circuit_id] = circuit
            self._gate.look_again()
        self._noted.set()

    async def _run(self) -> None:
        while True:
            await self._noted.wait()
            await self._gate.enter(lambda: bool(self._urgent))
            with self._gate.working():
                self._look()
            # The next turn is for others.
            await asyncio.sleep(0)

    def _look(self) -> None:
        """At some, in the order in which they changed; at urgent ones alone while there are some."""
        for circuit_id in list(islice(self._urgent or self._changed, AT_ONCE)):
            self.look_at(circuit_id)
        if len(self._words) > 2 * len(self._circuits) + AT_ONCE:
            # Nobody says of a circuit that it is not remembered any more.
            for circuit_id in self._words.keys() - self._circuits.keys():
                del self._words[circuit_id]
        if not self._changed:
            self._noted.clear()
        self._viewer.seen()


def _is_urgent(circuit: Circuit) -> bool:
    """Whether somebody must know at once: it waits, has ended, or is not protected any more."""
    return circuit.state in _URGENT_STATES or circuit.guard.word is _LOST
