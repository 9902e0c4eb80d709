"""A re-optimisation as values: what the solver is asked, the moves that it proposes, and how many may be made."""

from dataclasses import dataclass

from controller.core.circuits.route import Route
from controller.routing.assignments.room import Wanted
from controller.routing.assignments.standing import Circuits
from controller.routing.graph import PowerGraph


@dataclass(frozen=True, slots=True)
class ReoptimiseLimits:
    """How many circuits are moved in a round at most, and what a move must save of all that its circuit loses now:
    each move wears converters, and a threshold keeps circuits from moving to and fro. For so long a line that was down
    must be up again before any is moved to it (``wait_to_restore_ns``).
    """

    most_moves: int = 8
    least_gain_fraction: float = 0.02
    wait_to_restore_ns: int = 0


@dataclass(frozen=True, slots=True)
class ReoptimiseQuestion:
    """What the solver is asked, and the ids that its indices stand for. A hop is (link, router that sends), by arc."""

    graph: PowerGraph
    circuits: Circuits
    circuit_ids: tuple[int, ...]
    source_ids: tuple[str, ...]
    hops: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RoomQuestion(ReoptimiseQuestion):
    """Likewise, with the circuits that wait."""

    wanted: Wanted
    waiting_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """A proposed move, looked at. ``gain_w`` is what the network loses less once it and those before it are made;
    ``reason`` says why it is not made, if it is not.
    """

    circuit_id: int
    old: Route
    new: Route | None
    gain_w: float = 0.0
    moving: bool = False
    reason: str = ""
