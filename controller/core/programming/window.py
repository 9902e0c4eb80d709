"""Window (backpressure): how many generations are staged or committed at a time, in all and at whoever is late."""

from controller.core.circuits.generation import Generation
from controller.core.network.lateness import Lateness
from digitalgrid.model import CircuitGeneration

# In all: others queue, and news get through between.
MAX_IN_FLIGHT = 256
# At a router that is late, which is told no more until it has done these: one group, for what it lacks is turns.
MAX_IN_FLIGHT_LATE = 64


class Window:
    """Generations that are staged or committed just now."""

    def __init__(self, lateness: Lateness) -> None:
        self._lateness = lateness
        self._in_flight: dict[CircuitGeneration, Generation] = {}
        # How many at each router.
        self._at: dict[str, int] = {}

    def add(self, generation: Generation) -> None:
        if generation.key not in self._in_flight:
            self._in_flight[generation.key] = generation
            for router_id in generation.route.router_ids:
                self._at[router_id] = self._at.get(router_id, 0) + 1

    def discard(self, key: CircuitGeneration) -> None:
        generation = self._in_flight.pop(key, None)
        for router_id in generation.route.router_ids if generation is not None else ():
            self._at[router_id] -= 1
            if not self._at[router_id]:
                del self._at[router_id]

    @property
    def taken(self) -> int:
        return len(self._in_flight)

    @property
    def room(self) -> int:
        return max(0, MAX_IN_FLIGHT - len(self._in_flight))

    def room_at(self, router_id: str, now_ns: int) -> int:
        """How many more a router may be told of, within what there is room for in all."""
        if self._lateness.is_gone(router_id):
            return 0
        if not self._lateness.is_late(router_id, now_ns):
            return MAX_IN_FLIGHT
        busy = router_id in self._at or self._lateness.unanswered(router_id)
        return 0 if busy else MAX_IN_FLIGHT_LATE
