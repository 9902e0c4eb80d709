"""Account: what of one resource each generation holds, in whole quanta, so that sums are exact in any order."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from controller.core.circuits.failures import Failure
from digitalgrid.model import CircuitGeneration

# Totals are whole numbers of this part of an ampere or watt. A float of a quarter of a milliampere or more is one
# exactly, so that sums are exact in any order, and what is taken away again leaves nothing behind.
QUANTA = 1 << 64


def quanta_of(amount: float) -> int:
    return int(amount * QUANTA)


class Share(NamedTuple):
    """A circuit's part of an account: what it holds firmly, and what its shared standbys would take besides, by the
    failures under which they take it; one at a time, while another replaces it. While nothing has failed, that is room
    for a trickle.
    """

    firm: int
    besides: dict[frozenset[Failure], int]

    def under(self, failure: Failure) -> int:
        """What is taken besides under a failure."""
        return next((taken for covers, taken in self.besides.items() if failure in covers), 0)


# Shared by all accounts in which nobody trickles, which are most.
_NO_TRICKLES: dict[CircuitGeneration, float] = {}
_NO_COVERS: Mapping[CircuitGeneration, frozenset[Failure]] = {}


class Account:
    """What of one resource each generation holds, and all circuits together: firmly, and in the pool of standbys.

    ``trickles`` are what generations take, of those that hold any part, while they only fill their buffers. Of what is
    ``clamped``, a router holds shared standbys to their pool: that has room for all of each, whatever its circuit
    holds there besides. Elsewhere the router shares a circuit's room among its generations. ``floor`` is what standbys
    may take until the router has said that it knows of a smaller pool. ``standing`` is the part of the firm sum that is
    there for dedicated standbys alone, or for circuits on hold.
    """

    __slots__ = ("clamped", "floor", "held", "needed", "quanta", "standing", "trickles")

    def __init__(self, *, clamped: bool = False) -> None:
        self.clamped = clamped
        self.held: dict[CircuitGeneration, float] = {}
        self.trickles = _NO_TRICKLES
        self.quanta = 0
        self.standing = 0
        self.needed = 0
        self.floor = 0

    @property
    def pool(self) -> int:
        """What shared standbys have together, in quanta: the most that a single failure needs, at least."""
        return max(self.needed, self.floor)

    def trickle(self, key: CircuitGeneration, amount: float) -> None:
        """A generation takes so much beside the others of its circuit, until it is demanded."""
        if self.trickles is _NO_TRICKLES:
            self.trickles = {}
        self.trickles[key] = amount

    def stop_trickle(self, key: CircuitGeneration) -> None:
        if self.trickles:
            self.trickles.pop(key, None)

    def largest(self, circuit_id: int, numbers: Iterable[int]) -> float:
        """What the largest of some generations of a circuit holds."""
        held = self.held
        amounts = [held.get(CircuitGeneration(circuit_id, each), 0.0) for each in numbers]
        return max(amounts, default=0.0)

    def firm(
        self,
        circuit_id: int,
        numbers: Iterable[int],
        covers: Mapping[CircuitGeneration, frozenset[Failure]] = _NO_COVERS,
    ) -> int:
        """What some generations of a circuit hold firmly together, in quanta: the largest, or the largest of the others
        beside what one that is not demanded trickles, but for those that share their room.
        """
        if not self.trickles and not covers:
            return quanta_of(self.largest(circuit_id, numbers))
        keys = [CircuitGeneration(circuit_id, each) for each in numbers]
        held = {key: quanta_of(self.held.get(key, 0.0)) for key in keys if key not in covers}
        firm = max(held.values(), default=0)
        for key in keys:
            trickle = self.trickles.get(key)
            if trickle is not None and key not in covers:
                others = max((quanta for other, quanta in held.items() if other != key), default=0)
                firm = max(firm, others + quanta_of(trickle))
        return firm

    def share(
        self,
        circuit_id: int,
        numbers: Iterable[int],
        covers: Mapping[CircuitGeneration, frozenset[Failure]],
    ) -> Share:
        """The part of a circuit with these generations, of which those with failures to cover share their room."""
        firm = self.firm(circuit_id, numbers, covers)
        keys = (CircuitGeneration(circuit_id, each) for each in numbers)
        besides = [(covers[key], self._besides(key, firm)) for key in keys if key in covers]
        return Share(firm, dict(besides) if len(besides) < 2 else _largest_of(besides))

    def _besides(self, key: CircuitGeneration, firm: int) -> int:
        """What a shared standby takes of the pool, beside what its circuit holds firmly."""
        held = quanta_of(self.held.get(key, 0.0))
        if self.clamped:
            return held
        return max(0, held - firm, quanta_of(self.trickles.get(key, 0.0)))

    def recomputed(self, covers: Mapping[CircuitGeneration, frozenset[Failure]]) -> int:
        """Firm part and pool as the sums of what circuits hold, for those who check the books."""
        firm: defaultdict[int, int] = defaultdict(int)
        shared: set[CircuitGeneration] = set()
        for key, amount in self.held.items():
            if key in covers:
                shared.add(key)
            else:
                firm[key.circuit_id] = max(firm[key.circuit_id], quanta_of(amount))
        for key, trickle in self.trickles.items():
            if key in shared:
                continue
            others = (
                quanta_of(amount)
                for other, amount in self.held.items()
                if other.circuit_id == key.circuit_id and other != key and other not in shared
            )
            together = max(others, default=0) + quanta_of(trickle)
            firm[key.circuit_id] = max(firm[key.circuit_id], together)
        of_circuit: defaultdict[Failure, dict[int, int]] = defaultdict(dict)
        for key in shared:
            besides = self._besides(key, firm[key.circuit_id])
            for each in covers[key]:
                taken = of_circuit[each].get(key.circuit_id, 0)
                of_circuit[each][key.circuit_id] = max(taken, besides)
        needed = (sum(each.values()) for each in of_circuit.values())
        return sum(firm.values()) + max(self.floor, *needed, 0)


def _largest_of(
    besides: Iterable[tuple[frozenset[Failure], int]],
) -> dict[frozenset[Failure], int]:
    """Of several standbys of one circuit the largest under each failure: its sink selects one of them."""
    largest: dict[Failure, int] = {}
    for covers, taken in besides:
        for each in covers:
            largest[each] = max(largest.get(each, 0), taken)
    alike: defaultdict[int, set[Failure]] = defaultdict(set)
    for failure, taken in largest.items():
        alike[taken].add(failure)
    return {frozenset(failures): taken for taken, failures in alike.items()}
