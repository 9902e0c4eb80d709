"""A better assignment of the circuits that stand: the question as arrays for the solver, and its answer as moves.

The solver works on a copy. Each move that it proposes is evaluated exactly on the network as it is by then, and made
before the old path is broken; those that do not fit beside what stands wait for another round.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from controller.core.admission.admission import Admission
from controller.core.admission.route_finder import injection_limit_w
from controller.core.book.book import CircuitBook
from controller.core.circuits import resources as resource
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.disjointness import in_common, kept_off
from controller.core.circuits.generation import Phase
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.route import Route
from controller.core.optimising.moves import Move, ReoptimiseLimits, ReoptimiseQuestion
from controller.core.promises.mover import Mover
from controller.routing.assignments.reoptimise import Move as ProposedMove
from controller.routing.assignments.reoptimise import Plan
from controller.routing.assignments.room import RoomPlan
from controller.routing.assignments.standing import Choice, circuits_of, paths_of
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import format_power


class Reoptimiser:
    """Asks for better assignments, and moves circuits to them."""

    def __init__(
        self,
        *,
        book: CircuitBook,
        reservations: Reservations,
        admission: Admission,
        mover: Mover,
    ) -> None:
        self._book = book
        self._reservations = reservations
        self._admission = admission
        self._mover = mover

    # The question

    def question(self, restored_ids: frozenset[str] = frozenset()) -> ReoptimiseQuestion | None:
        """None where no circuit could be moved. To lines ``restored_ids``, which have just come back, nobody is."""
        circuits = [each for each in self._book.live.values() if self.can_move(each)]
        return self.question_of(circuits, restored_ids) if circuits else None

    def question_of(
        self, circuits: Sequence[Circuit], restored_ids: frozenset[str] = frozenset()
    ) -> ReoptimiseQuestion:
        """The same with only these, of which each can be moved; what others hold stays."""
        arrays = self._admission.arrays
        arrays.sync()
        routes = [_route(circuit) for circuit in circuits]
        source_ids = list(self._admission.view.sources)
        index = {source_id: number for number, source_id in enumerate(source_ids)}
        choices: dict[Choice, int] = {}
        # Circuits that may be served from the same sources, and keep off the same, share a choice.
        known: dict[tuple[tuple[str, ...], str, frozenset[str], bool], int] = {}
        choice = []
        for circuit, route in zip(circuits, routes, strict=True):
            limits = circuit.constraints
            # Whoever has got there meanwhile may stay.
            off = frozenset(limits.avoid_ids) | (restored_ids - _link_ids(route))
            alike = (circuit.source_ids, route.source_id, off, limits.packets)
            if circuit.standby() is not None:
                found = self._beside_standby(circuit, route, index, off)
                choice.append(choices.setdefault(found, len(choices)))
                continue
            if alike not in known:
                found = self._choice(circuit, route, index, off)
                known[alike] = choices.setdefault(found, len(choices))
            choice.append(known[alike])
        own_w: defaultdict[str, float] = defaultdict(float)
        for route in routes:
            own_w[route.source_id] += route.injected_w
        graph = arrays.graph.snapshot()
        return ReoptimiseQuestion(
            graph,
            circuits_of(
                graph,
                sink=[arrays.node(route.sink_router_id) for route in routes],
                power_w=[route.power_w for route in routes],
                choice=choice,
                choices=list(choices),
                source_node=[arrays.node(self._admission.view.sources[each][0]) for each in index],
                source_limit_w=[self._limit_w(each, own_w[each]) for each in source_ids],
                paths=paths_of(
                    [index[route.source_id] for route in routes],
                    [self._arcs(route) for route in routes],
                ),
                current_a=np.array([link.current_a for route in routes for link in route.links]),
                max_injected_w=[
                    injection_limit_w(circuit.power_w, circuit.constraints) for circuit in circuits
                ],
                max_hops=[
                    graph.node_count
                    if circuit.constraints.max_hops is None
                    else min(circuit.constraints.max_hops, graph.node_count)
                    for circuit in circuits
                ],
                held_w=[route.injected_w for route in routes],
            ),
            tuple(circuit.circuit_id for circuit in circuits),
            tuple(source_ids),
            tuple(arrays.hops()),
        )

    def can_move(self, circuit: Circuit) -> bool:
        """One generation, that delivers, on a path that is known."""
        newest = circuit.newest()
        return (
            circuit.state is CircuitState.ACTIVE
            and newest is not None
            and newest.phase is Phase.CARRYING
            and len(circuit.generations) == 1 + len(circuit.standbys())
            and newest.route.source_id in self._admission.view.sources
            and circuit.sink_id in self._admission.view.loads
            and len(self._arcs(newest.route)) == len(newest.route.links)
        )

    def _arcs(self, route: Route) -> list[int]:
        arcs = (
            self._admission.arrays.arc(link.link_id, link.from_router_id) for link in route.links
        )
        return [arc for arc in arcs if arc is not None]

    def _choice(
        self, circuit: Circuit, route: Route, index: dict[str, int], off: frozenset[str]
    ) -> Choice:
        """The present source, and others that the client would take and that do not cost more."""
        sources = self._admission.view.sources
        cost = sources[route.source_id][1].cost_per_mwh
        candidates = {
            each
            for each in circuit.source_ids or sources
            if each in sources and sources[each][1].cost_per_mwh <= cost
        }
        arrays = self._admission.arrays
        return Choice(
            tuple(sorted(index[each] for each in candidates | {route.source_id})),
            frozenset(self._admission.avoided_nodes(circuit.constraints)),
            frozenset(arrays.arcs(off)),
        )

    def _beside_standby(
        self, circuit: Circuit, route: Route, index: dict[str, int], off: frozenset[str]
    ) -> Choice:
        """The same for a circuit that keeps its standby: off what that needs, and where both have one source, at it,
        for leaving it would free nothing there.
        """
        choice = self._choice(circuit, route, index, off)
        standby, against = circuit.standby(), circuit.guard.against
        if standby is None or against is None:
            return choice
        sources, arrays = self._admission.view.sources, self._admission.arrays
        start = standby.route.router_ids[0]
        same_start = route.router_ids[0] == start
        needed = kept_off(self._admission.view, standby.route, against, same_start=same_start)
        if standby.route.source_id == route.source_id:
            left: tuple[int, ...] = (index[route.source_id],)
        else:
            ids = {number: source_id for source_id, number in index.items()}
            here = [each for each in choice.sources if sources[ids[each]][0] == start]
            left = tuple(each for each in choice.sources if (each in here) is same_start)
        return Choice(
            left,
            choice.avoid_nodes | arrays.nodes(needed),
            choice.avoid_arcs | arrays.arcs(needed),
        )

    def _limit_w(self, source_id: str, own_w: float) -> float:
        """What all the circuits in question together may draw from a source, with what they draw now."""
        key = resource.source(source_id)
        free_w = self._admission.view.sources[source_id][1].max_power_w - self._reservations.total(
            key
        )
        return max(0.0, free_w + own_w)

    # The answer

    def look(
        self,
        limits: ReoptimiseLimits,
        question: ReoptimiseQuestion,
        plan: Plan | RoomPlan,
        restored_ids: frozenset[str] = frozenset(),
    ) -> list[Move]:
        """Look at the moves of a plan in their order, each beside those before it, up to the limit.

        Those without a reason against them pay, and are what :meth:`begin` begins. Lines may have come back since it
        was asked for: to them (``restored_ids``) nobody moves either.
        """
        found: list[Move] = []
        held: list[CircuitGeneration] = []
        for proposal in plan.moves:
            circuit = self._book.live.get(question.circuit_ids[proposal.circuit])
            if circuit is None or not self.can_move(circuit):
                continue
            move = self._look_at(circuit, question, proposal, limits, restored_ids)
            if move.new is not None and not move.reason:
                if len(held) == limits.most_moves:
                    break
                # As the mover will: beside the old path, which is let go only once the new one delivers.
                held.append(CircuitGeneration(circuit.circuit_id, circuit.last_generation + 1))
                self._reservations.reserve(held[-1], move.new)
            found.append(move)
        for key in held:
            self._reservations.release(key)
        return found

    def rehearse(
        self, question: ReoptimiseQuestion, plan: RoomPlan, fits: Callable[[], bool]
    ) -> bool:
        """Whether all moves of a plan can be made by now, each in its order and instead of its old path, and what
        ``fits`` asks holds after them. Nothing is changed.
        """
        undo: list[tuple[CircuitGeneration, CircuitGeneration, Route]] = []
        limits = ReoptimiseLimits(most_moves=len(plan.moves), least_gain_fraction=-np.inf)
        possible = True
        for proposal in plan.moves:
            circuit = self._book.live.get(question.circuit_ids[proposal.circuit])
            if circuit is None:
                # What it held is free anyway.
                continue
            newest = circuit.newest()
            move = (
                self._look_at(circuit, question, proposal, limits)
                if self.can_move(circuit)
                else None
            )
            if newest is None or move is None or move.new is None or move.reason:
                possible = False
                break
            key = CircuitGeneration(circuit.circuit_id, circuit.last_generation + 1)
            self._reservations.release(newest.key)
            self._reservations.reserve(key, move.new)
            undo.append((key, newest.key, newest.route))
        possible = possible and fits()
        for key, old_key, old_route in reversed(undo):
            self._reservations.release(key)
            self._reservations.reserve(old_key, old_route)
        return possible

    def begin(self, moves: Iterable[Move], why: str = "") -> list[Move]:
        """Begin those of the moves that nothing speaks against; ``why`` is by default what they save."""
        return [each if each.reason else self._begin(each, why) for each in moves]

    def _look_at(
        self,
        circuit: Circuit,
        question: ReoptimiseQuestion,
        proposal: ProposedMove,
        limits: ReoptimiseLimits,
        restored_ids: frozenset[str] = frozenset(),
    ) -> Move:
        """Both paths as newcomers beside all others: the difference is what the whole network gains."""
        old = _route(circuit)
        hops = [(link.link_id, link.from_router_id) for link in old.links]
        # Admitted anew it would have to bear more of the losses, for which there may be no room where all is taken.
        now = self._along(circuit, old.source_id, hops) or old
        new = self._along(
            circuit,
            question.source_ids[proposal.source],
            [question.hops[arc] for arc in proposal.arcs],
        )
        if new is None:
            return Move(circuit.circuit_id, old, new, reason="does not fit beside what stands now")
        gain_w = now.injected_w - new.injected_w
        constraints = circuit.constraints
        reason = ""
        if new.injected_w > injection_limit_w(circuit.power_w, constraints):
            reason = "would lose more than the client allows"
        elif constraints.max_hops is not None and len(new.links) > constraints.max_hops:
            reason = "would take more hops than the client allows"
        elif restored := sorted(restored_ids & (_link_ids(new) - _link_ids(old))):
            reason = f"it is too soon after {', '.join(restored)} came back"
        elif shared := self._shared_with_standby(circuit, new):
            reason = f"its standby needs {', '.join(shared)} too"
        elif gain_w < limits.least_gain_fraction * (now.injected_w - now.power_w):
            reason = "saves too little to be worth a move"
        return Move(circuit.circuit_id, old, new, gain_w, reason=reason)

    def _shared_with_standby(self, circuit: Circuit, new: Route) -> list[str]:
        """What a path has in common with the circuit's standby, and must not."""
        standby, against = circuit.standby(), circuit.guard.against
        if standby is None or against is None:
            return []
        return in_common(self._admission.view, new, standby.route, against)

    def _along(
        self, circuit: Circuit, source_id: str, hops: Sequence[tuple[str, str]]
    ) -> Route | None:
        return self._admission.route_along(
            circuit.sink_id, circuit.power_w, source_id, hops, circuit_id=circuit.circuit_id
        )

    def _begin(self, move: Move, why: str) -> Move:
        circuit = self._book.live[move.circuit_id]
        if move.new is None:
            raise ValueError(f"circuit {circuit.circuit_id} has no new path to be moved to")
        circuit.apply(
            CircuitEvent.MOVING, why or f"re-optimised, {format_power(move.gain_w)} are saved"
        )
        self._mover.begin(circuit, move.new, seamless=True)
        return Move(move.circuit_id, move.old, move.new, move.gain_w, moving=True)


def _link_ids(route: Route) -> frozenset[str]:
    return frozenset(link.link_id for link in route.links)


def _route(circuit: Circuit) -> Route:
    newest = circuit.newest()
    if newest is None:
        raise ValueError(f"circuit {circuit.circuit_id} has no route")
    return newest.route
