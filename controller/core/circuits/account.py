"""Account: what of one resource each generation holds, in whole quanta, so that sums are exact in any order."""

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
    """A circuit's part of an account: what it holds firmly, and what each of its shared standbys would take besides,
    with the failures that it covers.
    """

    firm: int
    besides: dict[CircuitGeneration, tuple[frozenset[Failure], int]]


class Account:
    """What of one resource each generation holds, and all circuits together: firmly, and in the pool of standbys."""

    __slots__ = ("held", "pool", "quanta")

    def __init__(self) -> None:
        self.held: dict[CircuitGeneration, float] = {}
        self.quanta = 0
        self.pool = 0

    def largest(self, circuit_id: int, numbers: Iterable[int]) -> float:
        """What the largest of some generations of a circuit holds."""
        held = self.held
        amounts = [held.get(CircuitGeneration(circuit_id, each), 0.0) for each in numbers]
        return max(amounts, default=0.0)

    def share(
        self,
        circuit_id: int,
        numbers: Iterable[int],
        covers: Mapping[CircuitGeneration, frozenset[Failure]],
    ) -> Share:
        """The part of a circuit with these generations, of which those with failures to cover share their room."""
        firm, shared = 0, {}
        for number in numbers:
            key = CircuitGeneration(circuit_id, number)
            held = quanta_of(self.held.get(key, 0.0))
            if key in covers:
                shared[key] = held
            else:
                firm = max(firm, held)
        return Share(
            firm, {key: (covers[key], max(0, held - firm)) for key, held in shared.items()}
        )
