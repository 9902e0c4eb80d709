"""What loads were promised and did not get, from the meters of their routers, in milliseconds of promised power."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from digitalgrid.client import missing_mj
from digitalgrid.model import MissingCause
from digitalgrid.v1 import power_link_pb2 as pb

# Causes that are nobody's plan: what a circuit lacks before its first power is its set-up.
AFTER_START = (MissingCause.FAULT, MissingCause.MOVE, MissingCause.CURTAILMENT)


@dataclass(frozen=True, slots=True)
class Lacking:
    """Energies by circuit and cause, as of one reading of all meters."""

    energy_mj: Mapping[int, Mapping[MissingCause, int]]

    @classmethod
    def of(cls, meters: Iterable[pb.RouterMeters]) -> "Lacking":
        found: dict[int, dict[MissingCause, int]] = {}
        for router in meters:
            for promise in router.promises:
                known = found.setdefault(promise.circuit_id, dict.fromkeys(MissingCause, 0))
                for cause, energy_mj in missing_mj(promise.missing).items():
                    known[cause] += energy_mj
        return cls(found)

    def since(self, before: "Lacking", circuit_id: int, power_w: float) -> float:
        """For how long (ms) all of its power was missing since then, or as much as makes the same energy.

        KeyError where the circuit is not in both readings: what was not read is not zero.
        """
        then = before.energy_mj[circuit_id]
        return self._after_start_mj(circuit_id, then) / power_w

    def in_all(self, circuit_id: int, power_w: float) -> float:
        """The same since the circuit had its first power."""
        return self._after_start_mj(circuit_id, {}) / power_w

    def _after_start_mj(self, circuit_id: int, then: Mapping[MissingCause, int]) -> int:
        now = self.energy_mj[circuit_id]
        return sum(now[cause] - then.get(cause, 0) for cause in AFTER_START)
