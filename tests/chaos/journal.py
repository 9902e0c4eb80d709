"""What clients were told, and what they were not: the promises that a controller must have kept after any accident."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from digitalgrid.v1 import northbound_pb2 as pb


@dataclass(slots=True, eq=False)
class Asked:
    """One request. ``outcome`` is unknown until it was answered: circuits, or none where it was refused."""

    request: pb.PowerRequest
    circuit_ids: tuple[int, ...] | None = None
    # When it was first answered with circuits, by the monotonic clock, and when that call had begun.
    called_at_s: float = 0.0
    acknowledged_at_s: float = 0.0


@dataclass(slots=True, eq=False)
class Promise:
    """One circuit. ``power_w`` was acknowledged; ``asked_w`` is under way, and may or may not have been decided."""

    circuit_id: int
    request_id: str
    power_w: float
    asked_w: float | None = None
    release_asked: bool = False
    released: bool = False
    # Some worker has a call for it under way.
    busy: bool = False

    @property
    def possible_w(self) -> set[float]:
        return {self.power_w} if self.asked_w is None else {self.power_w, self.asked_w}


@dataclass(slots=True)
class Journal:
    """All that was asked, and all that was promised."""

    asked: dict[str, Asked] = field(default_factory=dict)
    promises: dict[int, Promise] = field(default_factory=dict)
    # Answers that no controller should give.
    faults: list[str] = field(default_factory=list)
    answered: int = 0

    def ask(self, requests: Iterable[pb.PowerRequest]) -> None:
        for request in requests:
            self.asked.setdefault(request.request_id, Asked(request))

    def acknowledge(
        self, request_id: str, circuits: Iterable[pb.Circuit], called_at_s: float
    ) -> None:
        """The same circuits each time that a request is repeated."""
        circuits = tuple(circuits)
        ids = tuple(sorted(each.circuit_id for each in circuits))
        asked = self.asked[request_id]
        self.answered += 1
        if asked.circuit_ids is not None:
            if asked.circuit_ids != ids:
                self.faults.append(f"request {request_id}: was {asked.circuit_ids}, is now {ids}")
            return
        asked.circuit_ids = ids
        asked.called_at_s, asked.acknowledged_at_s = called_at_s, time.monotonic()
        for each in circuits:
            self.promises[each.circuit_id] = Promise(each.circuit_id, request_id, each.power_w)

    def refuse(self, request_id: str) -> None:
        self.answered += 1
        asked = self.asked[request_id]
        if asked.circuit_ids:
            self.faults.append(f"request {request_id}: was promised, and is refused when repeated")
        asked.circuit_ids = ()

    def standing(self) -> list[Promise]:
        """Circuits that nobody has asked to release."""
        return [each for each in self.promises.values() if not each.release_asked]

    def unanswered(self) -> Iterator[Asked]:
        return (each for each in self.asked.values() if each.circuit_ids is None)
