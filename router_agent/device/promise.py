"""Durable promises of a router: the highest election id (a fencing token), and tombstones of withdrawn circuits."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from digitalgrid.model import ElectionId

# Tombstones kept: a stage that arrives after so many later circuits has lost its lease and session long before.
MAX_TOMBSTONES = 20_000


@dataclass(frozen=True, slots=True)
class Promise:
    """A higher election id, and tombstones, that must be durable before they are acted upon."""

    election_id: ElectionId | None = None
    floors: Mapping[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.election_id is not None or bool(self.floors)


def keep_newest(floors: OrderedDict[int, int], added: Mapping[int, int]) -> None:
    """Take up tombstones; the oldest go when there are too many."""
    for circuit_id, floor in added.items():
        floors[circuit_id] = floor
        floors.move_to_end(circuit_id)
    while len(floors) > MAX_TOMBSTONES:
        floors.popitem(last=False)
