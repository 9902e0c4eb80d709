"""Draining: a link or router is taken out of service without a loss of power, and is free to work on once no router
holds a hop there.

New work is kept out by the grid view at once and exactly. What is there moves, made before it is broken, the least
urgent first and a few at a time; whoever lost its path to a fault goes before. What cannot move stays and is named, and
a drain that does not come to its end in time is given up, unless it is to be kept.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from controller.core.admission.admission import Admission
from controller.core.book.audit import AuditTrail
from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.curtailed import by_drain
from controller.core.circuits.generation import RETIRING_PHASES, Generation, Phase, Role
from controller.core.circuits.reservations import Reservations
from controller.core.effects import Effect, TopologyChanged
from controller.core.errors import Refusal
from controller.core.network.admin import (
    AdminEvent,
    AdminState,
    AdminWords,
    Block,
    DrainOrder,
    DrainRecord,
    Hindrance,
)
from controller.core.network.network import Network
from controller.core.programming.read_back import ReadBack
from controller.core.promises.hindrances import Hindrances
from controller.core.promises.mover import Mover
from controller.core.promises.pacing import MAX_AT_ONCE, MAX_EXPLAINED, urgency
from controller.core.promises.protector import Protector
from controller.core.promises.vacancy import Vacancy
from controller.core.promises.ways_out import WaysOut
from digitalgrid.model import CircuitGeneration
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS, NS_PER_S

# From one try to move a circuit to the next (ns), where anything has changed since.
_TRY_AGAIN_NS = NS_PER_S
# What was left for another event is gone on with after this (ns); others have their turn between.
_GO_ON_NS = NS_PER_MS
# Circuits that a refusal names in words; its metadata name more.
_MAX_NAMED = 5
_MAX_IN_METADATA = 100


@dataclass(slots=True)
class _Tried:
    """A circuit that found no other way, when, and as what stood."""

    at_ns: int
    stands: int
    block: Block
    # Whether it is worked out what binds, which takes many searches.
    explained: bool = True


class Drainer:
    """Decides what moves when, and when nothing is left. ``calendar_ns`` says what calendar time an event has."""

    def __init__(
        self,
        *,
        circuits: dict[int, Circuit],
        network: Network,
        reservations: Reservations,
        admission: Admission,
        mover: Mover,
        protector: Protector,
        read_back: ReadBack,
        audit: AuditTrail,
        persist: Callable[[str, DrainRecord | None], None],
        calendar_ns: Callable[[int], int],
        emit: Callable[[Effect], None],
    ) -> None:
        self._circuits = circuits
        self._network = network
        self._reservations = reservations
        self._mover = mover
        self._protector = protector
        self._read_back = read_back
        self._ways_out = WaysOut(admission, mover, network.admin)
        self._vacancy = Vacancy(network, reservations, read_back)
        self._audit = audit
        self._persist = persist
        self._calendar_ns = calendar_ns
        self._emit = emit
        # Circuits that were begun to be moved, and those that found no way.
        self._moving: set[int] = set()
        self._tried: dict[int, _Tried] = {}
        self._looked_at = -1
        self._due_ns: int | None = None

    @property
    def _words(self) -> AdminWords:
        return self._network.admin

    def next_deadline_ns(self) -> int | None:
        return self._due_ns

    # Operators

    def begin(self, order: DrainOrder, now_ns: int) -> None:
        """Close it for new work. Raises Refusal where circuits can never leave, unless it is to be kept so."""
        if order.give_up_after_ns:
            self._require_an_end(order.id)
        at_unix_ns = self._calendar_ns(now_ns)
        give_up_unix_ns = at_unix_ns + order.give_up_after_ns if order.give_up_after_ns else 0
        word = DrainRecord(
            *(order.id, AdminState.DRAINING, at_unix_ns, give_up_unix_ns),
            emergency_use=order.emergency_use,
            curtail=order.curtail,
        )
        self._words.drain(word)
        self._persist(order.id, word)
        self._look_at(now_ns)

    def undo(self, id_: str, now_ns: int) -> None:
        """Back into service. Nothing moves back."""
        self._apply(id_, AdminEvent.UNDRAIN)
        self._look_at(now_ns)

    def forget_unknown(self) -> None:
        """Drop words on what nobody has any more."""
        for id_ in [each for each in self._words.all if not self._network.knows_element(each)]:
            self._apply(id_, AdminEvent.UNDRAIN)
            self._audit.note(
                "undrain", id_, "forgotten", "no link and no router has this id any more"
            )

    def _require_an_end(self, id_: str) -> None:
        view = self._network.last_view.with_admin({id_}, AdminState.DRAINING)
        hindrances = Hindrances(view)
        blocks = []
        held = self._vacancy.held(id_)
        for circuit in sorted(self._over(held), key=urgency):
            newest = circuit.newest()
            if newest is not None and newest.key in held:
                block = hindrances.lasting(circuit, newest.route)
                blocks += [block] if block is not None else []
        if blocks:
            raise _without_end(id_, blocks)

    # What goes on by itself

    def look(self, now_ns: int) -> bool:
        """Go on as far as it goes now; whether anything was decided, which others may have to follow."""
        if not self._words:
            self._due_ns = None
            return False
        decided = self._notice_what_was_taken(now_ns)
        due = self._due_ns is not None and now_ns >= self._due_ns
        stands = self._mover.stands + self._read_back.tables
        if not due and stands == self._looked_at:
            return decided
        if not due and len(self._moving) > MAX_AT_ONCE // 2 and self._still_moving():
            return decided
        self._looked_at = stands
        self._due_ns = None
        return self._go_on(now_ns) or decided

    def _go_on(self, now_ns: int) -> bool:
        decided = False
        self._still_moving()
        leaving: dict[int, Circuit] = {}
        at: dict[int, list[str]] = {}
        draining = [w for w in self._words.all.values() if w.state is AdminState.DRAINING]
        for word in draining:
            if 0 < word.give_up_unix_ns <= self._calendar_ns(now_ns):
                self._give_up(word)
                decided = True
                continue
            held = self._vacancy.held(word.id)
            if not held:
                decided |= self._confirm(word.id, now_ns)
                continue
            self._vacancy.forget(word.id)
            if self._free_of_standbys(word.id, held, now_ns):
                continue
            for circuit in self._over(held):
                newest = circuit.newest()
                if newest is not None and newest.key in held:
                    leaving[circuit.circuit_id] = circuit
                    at.setdefault(circuit.circuit_id, []).append(word.id)
        self._tried = {key: each for key, each in self._tried.items() if key in leaving}
        decided |= self._move(leaving, at, now_ns)
        self._explain_some(at, now_ns)
        for word in draining:
            if self._words.state(word.id) is AdminState.DRAINING:
                self._tell_blocks(word.id)
                self._look_at(now_ns + _TRY_AGAIN_NS)
        return decided

    def _confirm(self, id_: str, now_ns: int) -> bool:
        """Nothing is reserved there; it is drained once the routers say so as well."""
        if not self._vacancy.confirmed(id_, now_ns, _TRY_AGAIN_NS):
            return False
        self._apply(id_, AdminEvent.EMPTIED)
        self._audit.note("drain", id_, "drained", "no router holds a hop there")
        return True

    def _still_moving(self) -> set[int]:
        """Those of the moves that have not come to their end, one way or the other."""
        self._moving = {key for key in self._moving if _is_moving(self._circuits.get(key))}
        return self._moving

    def _notice_what_was_taken(self, now_ns: int) -> bool:
        """What is drained and is held again is draining again: in an emergency, or as a router has brought it along."""
        taken = [
            word.id
            for word in self._words.all.values()
            if word.state is AdminState.DRAINED
            and (self._vacancy.held(word.id) or self._vacancy.routers_with_hops(word.id))
        ]
        for id_ in taken:
            self._apply(id_, AdminEvent.TAKEN)
            self._audit.note("drain", id_, "draining again", "a router holds a hop there")
            self._look_at(now_ns)
        return bool(taken)

    def _give_up(self, word: DrainRecord) -> None:
        left = [each.circuit_id for each in self._over(self._vacancy.held(word.id))]
        why = (
            f"circuits are still there: {' '.join(map(str, left))}" if left else "a router is away"
        )
        self._apply(word.id, AdminEvent.UNDRAIN)
        self._audit.note("drain", word.id, "given up, and back in service", why)

    # Moves

    def _move(self, leaving: dict[int, Circuit], at: dict[int, list[str]], now_ns: int) -> bool:
        """Let those leave that can, the most urgent last. A fault elsewhere comes first."""
        if self._mover.has_to_move:
            self._look_at(now_ns + _GO_ON_NS)
            return False
        hindrances = Hindrances(self._network.last_view)
        free = MAX_AT_ONCE - len(self._moving)
        searches = MAX_AT_ONCE
        begun = False
        for circuit in sorted(leaving.values(), key=urgency, reverse=True):
            may_leave = circuit.is_held or _can_leave(circuit)
            if not free or not may_leave or not self._is_to_try(circuit, now_ns):
                continue
            if not searches:
                self._look_at(now_ns + _GO_ON_NS)
                break
            searches -= 1
            if self._leave(circuit, at[circuit.circuit_id], now_ns):
                self._tried.pop(circuit.circuit_id, None)
                free -= 1
                begun = True
            else:
                self._stay(circuit, hindrances, now_ns)
        return begun

    def _free_of_standbys(self, id_: str, held: set[CircuitGeneration], now_ns: int) -> bool:
        """Have standbys replaced by others elsewhere; whether there were any. Working paths move after them."""
        reason = f"its standby uses {id_}, which is being drained"
        any_there = False
        for circuit in sorted(self._over(held), key=urgency, reverse=True):
            for standby in circuit.standbys():
                if standby.key in held:
                    any_there = True
                    self._protector.replace(circuit, standby, reason, now_ns)
        return any_there

    def _is_to_try(self, circuit: Circuit, now_ns: int) -> bool:
        tried = self._tried.get(circuit.circuit_id)
        if tried is None:
            return True
        return tried.stands != self._mover.stands and now_ns >= tried.at_ns + _TRY_AGAIN_NS

    def _leave(self, circuit: Circuit, ids: Iterable[str], now_ns: int) -> bool:
        """Whether there is another way, which is then taken beside the old one; with less power, if it must be."""
        route = self._ways_out.route(circuit, ids)
        if route is None:
            return False
        drained = " and ".join(ids)
        by = by_drain(drained) if circuit.curtailed is None else ""
        if circuit.is_held:
            self._mover.reserve_elsewhere(circuit, route, by, now_ns)
            return True
        circuit.apply(CircuitEvent.MOVING, f"{drained} is being drained")
        self._mover.begin(circuit, route, seamless=True, displaced_by=by)
        self._moving.add(circuit.circuit_id)
        return True

    def _stay(self, circuit: Circuit, hindrances: Hindrances, now_ns: int) -> None:
        newest = circuit.newest()
        block = hindrances.lasting(circuit, newest.route) if newest is not None else None
        lasting = block is not None
        if block is None:
            before = self._tried.get(circuit.circuit_id)
            no_room = Block(circuit.circuit_id, Hindrance.NO_ROOM, "no other path has room now")
            block = before.block if before is not None else no_room
        self._tried[circuit.circuit_id] = _Tried(now_ns, self._mover.stands, block, lasting)

    def _explain_some(self, at: Mapping[int, list[str]], now_ns: int) -> None:
        """Work out what binds those that stay; others have their turn between."""
        unexplained = [key for key, each in self._tried.items() if not each.explained]
        for circuit_id in unexplained[:MAX_EXPLAINED]:
            tried = self._tried[circuit_id]
            ids = at[circuit_id]
            tried.block = self._ways_out.why_not(self._circuits[circuit_id], ids)
            tried.explained = True
        if len(unexplained) > MAX_EXPLAINED:
            self._look_at(now_ns + _GO_ON_NS)

    def _over(self, keys: Iterable[CircuitGeneration]) -> list[Circuit]:
        ids = {key.circuit_id for key in keys}
        return [self._circuits[each] for each in sorted(ids) if each in self._circuits]

    # What is told

    def _tell_blocks(self, id_: str) -> None:
        blocks = tuple(self._blocks(id_))
        if blocks != self._words.blocks.get(id_, ()):
            self._words.blocks[id_] = blocks
            self._emit(TopologyChanged())

    def _blocks(self, id_: str) -> Iterable[Block]:
        held = self._vacancy.held(id_)
        for circuit in self._over(held):
            tried = self._tried.get(circuit.circuit_id)
            if tried is not None:
                yield tried.block
                continue
            away = sorted(
                router_id
                for key in held
                if key.circuit_id == circuit.circuit_id and _is_retiring(circuit, key)
                for router_id in self._reservations.routers_holding(key)
                if not self._network.is_connected(router_id)
            )
            if away:
                text = f"it has left, but {', '.join(away)}, which may hold on, is away"
                yield Block(circuit.circuit_id, Hindrance.ROUTER_AWAY, text)
            else:
                yield Block(circuit.circuit_id, Hindrance.UNDER_WAY, "it is about to leave")
        if not held:
            for router_id in sorted(self._network.routers_of(id_)):
                if not self._network.is_connected(router_id):
                    text = f"router {router_id} is away: what it holds is not known"
                    yield Block(0, Hindrance.ROUTER_AWAY, text)

    # Inside

    def _apply(self, id_: str, event: AdminEvent) -> None:
        self._persist(id_, self._words.apply(id_, event))
        self._vacancy.forget(id_)

    def _look_at(self, at_ns: int) -> None:
        self._due_ns = at_ns if self._due_ns is None else min(self._due_ns, at_ns)


def _can_leave(circuit: Circuit) -> bool:
    """Whether one generation delivers, and no other is being made."""
    newest = circuit.newest()
    return (
        circuit.state in (CircuitState.ACTIVE, CircuitState.DEGRADED)
        and newest is not None
        and newest.phase is Phase.CARRYING
    )


def _is_moving(circuit: Circuit | None) -> bool:
    """Whether a move still keeps routers busy: until the old generation has gone, or the new one was given up."""
    if circuit is None or circuit.state is CircuitState.WAITING:
        return False
    return sum(each.role is Role.WORKING for each in circuit.generations.values()) > 1


def _is_retiring(circuit: Circuit, key: CircuitGeneration) -> bool:
    generation: Generation | None = circuit.generations.get(key.generation)
    return generation is not None and generation.phase in RETIRING_PHASES


def _without_end(id_: str, blocks: list[Block]) -> Refusal:
    named = "; ".join(f"circuit {each.circuit_id}: {each.text}" for each in blocks[:_MAX_NAMED])
    more = f"; and {len(blocks) - _MAX_NAMED} more" if len(blocks) > _MAX_NAMED else ""
    return Refusal(
        Reason.DRAIN_WITHOUT_END,
        f"draining {id_!r} would not come to its end: {named}{more}. Release them, or drain it with"
        " --keep, which closes it for new work meanwhile",
        field="id",
        metadata={
            "id": id_,
            "circuit_ids": ",".join(str(each.circuit_id) for each in blocks[:_MAX_IN_METADATA]),
        },
    )
