"""Figures of the whole network: what is injected, delivered and lost for circuits, as reserved, once a second; and what
meters say, as they were last looked at.
"""

import time
from collections import Counter
from collections.abc import Container, Iterable
from typing import NamedTuple

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.watching.meter_look import Energies, Reading
from controller.web.rows import reserved_power


class _Held(NamedTuple):
    """Of a circuit, what counts."""

    state: CircuitState
    sink_id: str
    injected_w: float
    delivered_w: float


class Figures:
    """Kept circuit by circuit as each changes, and added up when they are told.

    ``sinks``: of each load how many circuits are in which state, those among them that have failed and are remembered;
    ``changed_sinks`` is for who wants to know which are otherwise than before, to be emptied by him.
    """

    def __init__(self, changed_sinks: Iterable[str] = ()) -> None:
        self._circuits: dict[int, _Held] = {}
        self._failed: dict[int, str] = {}
        self.sinks: dict[str, Counter[str]] = {}
        self.changed_sinks = set(changed_sinks)

    def note(self, circuit_id: int, circuit: Circuit | None) -> None:
        before, failed = self._circuits.pop(circuit_id, None), self._failed.pop(circuit_id, None)
        if before is not None:
            self._count(before.sink_id, before.state, -1)
        if failed is not None:
            self._count(failed, CircuitState.FAILED, -1)
        if circuit is None or circuit.state is CircuitState.WITHDRAWN:
            return
        if circuit.state is CircuitState.FAILED:
            self._failed[circuit_id] = circuit.sink_id
        else:
            self._circuits[circuit_id] = _Held(
                circuit.state, circuit.sink_id, *reserved_power(circuit)
            )
        self._count(circuit.sink_id, circuit.state, 1)

    def forgotten(self, circuits: Container[int]) -> set[int]:
        """Those that had failed, and are not among these any more: nobody is told when they are forgotten."""
        return {each for each in self._failed if each not in circuits}

    def _count(self, sink_id: str, state: CircuitState, by: int) -> None:
        states = self.sinks.setdefault(sink_id, Counter())
        states[state.value] += by
        if not states[state.value]:
            del states[state.value]
            if not states:
                del self.sinks[sink_id]
        self.changed_sinks.add(sink_id)

    def second(self) -> tuple[int, float, float]:
        """Now (unix ms), what is injected and what is delivered (W)."""
        injected_w = sum(each.injected_w for each in self._circuits.values())
        delivered_w = sum(each.delivered_w for each in self._circuits.values())
        return time.time_ns() // 1_000_000, injected_w, delivered_w

    def now(self) -> dict[str, object]:
        at_unix_ms, injected_w, delivered_w = self.second()
        return {
            "at_unix_ms": at_unix_ms,
            "injected_w": injected_w,
            "delivered_w": delivered_w,
            "loss_w": injected_w - delivered_w,
            "circuits": Counter(each.state.value for each in self._circuits.values()),
        }


def books(reading: Reading | None) -> dict[str, object] | None:
    """Energy since routers were made (mJ), and whether their books balance; None where nobody has looked yet."""
    if reading is None:
        return None
    return {
        "at_unix_ms": reading.at_unix_ms,
        **reading.totals._asdict(),
        "buffered_mj": reading.buffered_mj,
        "imbalance_mj": reading.imbalance_mj,
        "missing_router_ids": reading.missing_ids,
    }


def measured(reading: Reading) -> dict[str, object]:
    """Power between the last two looks (W), and what links carried (A), by the meters of both ends."""
    powers_w = zip(Energies._fields, reading.powers_w, strict=True)
    return {
        "at_unix_ms": reading.at_unix_ms,
        **{name.removesuffix("_mj") + "_w": power_w for name, power_w in powers_w},
        "links": [
            (link_id, round(flow.a_to_b_a, 3), round(flow.b_to_a_a, 3))
            for link_id, flow in reading.flows.items()
        ],
    }
