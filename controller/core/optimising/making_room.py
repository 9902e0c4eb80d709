"""Making room: promises that wait are served when moves of other circuits would let them, without anybody's asking.

When circuits wait beside a network that has changed, the worker process is asked for moves after which some of them
fit. It is asked again only for something new, later each time that brought nothing (back-off), and a few times in a row
for one change: moves that cannot be made before others are finished are made in the next round.
"""

from collections.abc import Callable, Mapping
from heapq import nlargest
from itertools import islice
from operator import attrgetter

import numpy as np

from controller.core.admission.admission import Admission
from controller.core.admission.route_finder import injection_limit_w
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.effects import Effect, RoomWanted
from controller.core.optimising.moves import Move, ReoptimiseLimits, RoomQuestion
from controller.core.optimising.reoptimising import Reoptimiser
from controller.core.programming.programming import Programmer
from controller.core.promises.mover import Mover
from controller.routing.assignments.room import RoomPlan, Wanted
from controller.routing.assignments.standing import Choice
from digitalgrid.units import NS_PER_S

# Circuits that may be moved for others, those with most power first: what a question may cost the loop and the worker.
MAX_STANDING = 500
# Of the largest, and of those that wait, as many are looked at for a question: what one event may cost the loop.
MAX_LOOKED_AT = 4 * MAX_STANDING
# Circuits for which room is looked for at a time, the most urgent first; then it is the turn of the others.
MAX_WAITING = 32
# Moves in a round: each wears converters.
MAX_MOVES = 16
# Rounds in a row without anything new from outside: what fits only once others have moved, and no moving to and fro.
MAX_ROUNDS = 6
# From something new to the question: changes that come together are one, and circuits come to rest.
_SETTLE_NS = NS_PER_S
# From one question to the next that something new asks for, doubled each time that one brought nothing.
_MIN_PAUSE_NS, _MAX_PAUSE_NS = NS_PER_S, 16 * NS_PER_S
# Of the time that an answer took, as many times are left for everything else.
_REST = 10
# An answer that takes longer will not come: the worker has given up by then.
_LOST_NS = 300 * NS_PER_S


class RoomMaker:
    """Decides when to ask, what, and which of the moves that come back are made."""

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        admission: Admission,
        mover: Mover,
        reoptimiser: Reoptimiser,
        programmer: Programmer,
        emit: Callable[[Effect], None],
    ) -> None:
        self._circuits = circuits
        self._admission = admission
        self._mover = mover
        self._reoptimiser = reoptimiser
        self._programmer = programmer
        self._emit = emit
        # How much had changed when the last question was asked, and when that was, while it is not answered.
        self._room_version = 0
        self._asked_ns: int | None = None
        self._due_ns: int | None = None
        self._not_before_ns = 0
        self._pause_ns = _MIN_PAUSE_NS
        self._rounds_left = 0
        # Those that had their turn; once all had it, the most urgent are next again.
        self._had_turn: set[int] = set()
        self._others_left = False

    def next_deadline_ns(self) -> int | None:
        return self._due_ns

    def look(self, now_ns: int) -> None:
        """See whether there is anything new to ask about."""
        if self._asked_ns is not None and now_ns - self._asked_ns < _LOST_NS:
            return
        if not self._mover.waiting.any_in_vain:
            self._due_ns, self._pause_ns = None, _MIN_PAUSE_NS
            return
        if self._mover.room_version != self._room_version:
            self._room_version = self._mover.room_version
            self._rounds_left = MAX_ROUNDS
            # What comes after the first news does not put the question off.
            due_ns = max(now_ns + _SETTLE_NS, self._not_before_ns)
            self._due_ns = due_ns if self._due_ns is None else min(self._due_ns, due_ns)
        if self._due_ns is not None and now_ns >= self._due_ns:
            self._due_ns = None
            self._asked_ns = now_ns
            self._emit(RoomWanted())

    # The question

    def question(self, now_ns: int) -> RoomQuestion | None:
        """None where nobody waits any more that moves of others could help."""
        self._asked_ns = now_ns
        waiting = self._next_in_turn()
        standing = self._largest() if waiting else []
        asked = self._reoptimiser.question_of(standing) if waiting and standing else None
        if asked is None:
            self._end_round(now_ns, helped=False)
            return None
        return RoomQuestion(
            asked.graph,
            asked.circuits,
            asked.circuit_ids,
            asked.source_ids,
            asked.hops,
            self._wanted(waiting, asked.source_ids),
            tuple(each.circuit_id for each in waiting),
        )

    def _next_in_turn(self) -> list[Circuit]:
        """Of those that wait and could be served, the most urgent that had no turn yet."""
        waiting = self._mover.waiting.in_turn()
        left = [each for each in waiting if each.circuit_id not in self._had_turn]
        found: list[Circuit] = []
        looked_at = 0
        for circuit in left[:MAX_LOOKED_AT]:
            looked_at += 1
            self._had_turn.add(circuit.circuit_id)
            if self._could_be_served(circuit):
                found.append(circuit)
                if len(found) == MAX_WAITING:
                    break
        self._others_left = looked_at < len(left)
        if not self._others_left:
            self._had_turn.clear()
        return found

    def _largest(self) -> list[Circuit]:
        """Circuits that can be moved: the cheap question is asked of all, the dear one of the largest."""
        active = (each for each in self._circuits.values() if each.state is CircuitState.ACTIVE)
        largest = nlargest(MAX_LOOKED_AT, active, key=attrgetter("power_w"))
        return list(islice(filter(self._reoptimiser.can_move, largest), MAX_STANDING))

    def _could_be_served(self, circuit: Circuit) -> bool:
        """Whether its load is there, takes the power, and is not kept off; no move of others changes any of that."""
        view = self._admission.view
        return (
            circuit.sink_id in view.loads
            and view.loads[circuit.sink_id][0] not in circuit.constraints.avoid_ids
            and self._admission.load_takes(circuit.sink_id, circuit.power_w, circuit.circuit_id)
        )

    def _wanted(self, waiting: list[Circuit], source_ids: tuple[str, ...]) -> Wanted:
        view, arrays = self._admission.view, self._admission.arrays
        index = {source_id: number for number, source_id in enumerate(source_ids)}
        usable = self._admission.available_w(())
        priorities = sorted({each.priority for each in waiting})
        hops = [each.constraints.max_hops for each in waiting]
        return Wanted(
            sink=[arrays.node(view.loads[each.sink_id][0]) for each in waiting],
            power_w=[each.power_w for each in waiting],
            choice=list(range(len(waiting))),
            choices=[
                Choice(
                    tuple(index[key] for key in each.source_ids or source_ids if key in usable),
                    frozenset(self._admission.avoided_nodes(each.constraints)),
                    frozenset(arrays.arcs(each.constraints.avoid_ids)),
                )
                for each in waiting
            ],
            max_injected_w=[injection_limit_w(each.power_w, each.constraints) for each in waiting],
            max_hops=[
                arrays.graph.node_count if each is None else min(each, arrays.graph.node_count)
                for each in hops
            ],
            rank=[priorities.index(each.priority) for each in waiting],
        )

    # The answer

    def begin(self, question: RoomQuestion, plan: RoomPlan, now_ns: int) -> list[Move]:
        """Make the moves of a plan if all of them still lead to somebody's being served; else none of them.

        Who waits takes the room once the old paths are gone. What does not fit beside paths that others are about to
        leave is moved in the next round.
        """
        still = {each.circuit_id: each for each in self._mover.waiting.in_turn()}
        served = [
            still[key] for each in plan.served if (key := question.waiting_ids[each]) in still
        ]
        if not self._reoptimiser.rehearse(question, plan, lambda: self._any_fits(served)):
            plan = RoomPlan()
        limits = ReoptimiseLimits(most_moves=MAX_MOVES, least_gain_fraction=-np.inf)
        ids = " ".join(str(question.waiting_ids[each]) for each in plan.served)
        moves = self._reoptimiser.begin(
            self._reoptimiser.look(limits, question, plan), f"to make room for circuit {ids}"
        )
        moved = {each.circuit_id for each in moves if each.moving}
        self._mover.making_room |= moved
        self._end_round(now_ns, helped=bool(moved))
        if plan.served:
            self._mover.waiting.retry_soon(now_ns)
        return moves

    def _any_fits(self, circuits: list[Circuit]) -> bool:
        return any(self._mover.rerouting.find(each, each.power_w) is not None for each in circuits)

    def give_up(self, now_ns: int) -> None:
        """There is no answer."""
        self._end_round(now_ns, helped=False)

    def _end_round(self, now_ns: int, *, helped: bool) -> None:
        took_ns = now_ns - (self._asked_ns if self._asked_ns is not None else now_ns)
        self._asked_ns = None
        # A round goes on until all had their turn.
        self._rounds_left -= not self._others_left
        if helped:
            self._pause_ns = _MIN_PAUSE_NS
        self._not_before_ns = now_ns + max(self._pause_ns, _REST * took_ns)
        if not helped and not self._others_left:
            self._pause_ns = min(2 * self._pause_ns, _MAX_PAUSE_NS)
        # What was on the move was left out; once it rests it may be moved.
        if self._rounds_left > 0 and self._due_ns is None:
            again = helped or self._others_left
            if again or self._programmer.any_under_way():
                self._due_ns = self._not_before_ns
