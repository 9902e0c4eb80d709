"""Figures of the whole network: what is injected, delivered and lost for circuits, as reserved, once a second; and what
meters say, as they were last looked at.
"""

import time
from collections import Counter

from controller.core.circuits.circuit import Circuit
from controller.watching.meter_look import Energies, Reading
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

    def second(self) -> tuple[int, float, float]:
        """Now (unix ms), what is injected and what is delivered (W)."""
        injected_w = sum(each[1] for each in self._circuits.values())
        delivered_w = sum(each[2] for each in self._circuits.values())
        return time.time_ns() // 1_000_000, injected_w, delivered_w

    def now(self) -> dict[str, object]:
        at_unix_ms, injected_w, delivered_w = self.second()
        return {
            "at_unix_ms": at_unix_ms,
            "injected_w": injected_w,
            "delivered_w": delivered_w,
            "loss_w": injected_w - delivered_w,
            "circuits": Counter(each[0] for each in self._circuits.values()),
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
