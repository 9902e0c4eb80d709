"""Figures of the whole network, once a second: what is injected, delivered and lost for circuits, as reserved."""

import time
from collections import Counter

from controller.core.circuits.circuit import Circuit
from controller.web.rows import reserved_power


class Figures:
    """Kept circuit by circuit as each changes, and added up when they are told."""

    def __init__(self) -> None:
        self._circuits: dict[int, tuple[str, float, float]] = {}

    def note(self, circuit_id: int, circuit: Circuit | None) -> None:
        if circuit is None or circuit.state.ended:
            self._circuits.pop(circuit_id, None)
        else:
            self._circuits[circuit_id] = (circuit.state.value, *reserved_power(circuit))

    def now(self) -> dict[str, object]:
        injected_w = sum(each[1] for each in self._circuits.values())
        delivered_w = sum(each[2] for each in self._circuits.values())
        return {
            "at_unix_ms": time.time_ns() // 1_000_000,
            "injected_w": injected_w,
            "delivered_w": delivered_w,
            "loss_w": injected_w - delivered_w,
            "circuits": Counter(each[0] for each in self._circuits.values()),
        }
