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
        """For how long (ms) all of its power was missing since then, or as much as makes the same energy."""
        now, then = self.energy_mj.get(circuit_id, {}), before.energy_mj.get(circuit_id, {})
        lacked_mj = sum(now.get(cause, 0) - then.get(cause, 0) for cause in AFTER_START)
        return lacked_mj / power_w
