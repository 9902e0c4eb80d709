"""What must survive the daemon: written before a client or a router acts on it.

Records are stored as arrays: a new field goes to the end, with a default that is right for older ones.
"""

from dataclasses import dataclass

import msgspec

from controller.core.circuits.circuit import Circuit, CircuitState, Constraints, RefusedLoad
from controller.core.circuits.curtailed import Curtailed
from controller.core.circuits.failures import Failure
from controller.core.circuits.generation import RETIRING_PHASES, Generation, Phase, Role
from controller.core.circuits.hold import HELD_REASON, Hold, HoldWord
from controller.core.circuits.protection import Against, Guard, Protection, ProtectionEvent
from controller.core.circuits.route import Route
from controller.core.circuits.shortfall import Shortfall
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from digitalgrid.model import CircuitGeneration, MissingEnergy


class GenerationRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A decision: this route is, or was, to carry the circuit, or to be its ``standby``. Kept until no router can hold
    it any more.

    What the routers in ``freed_ids`` held may have been promised to others since.
    """

    generation: int
    admission_seq: int
    route: Route
    retiring: bool
    freed_ids: tuple[str, ...] = ()
    standby: bool = False
    priority: int = 0
    floor_w: float = 0.0
    asked_w: float = 0.0
    # Of a standby that shares its room: the failures that it covers. None: it has its own.
    covers: tuple[Failure, ...] | None = None
    # Of one that is retiring: what its ends' routers had metered, as far as they have said so.
    injected_mj: int | None = None
    delivered_mj: int | None = None
    began_unix_ns: int = 0
    # By router: put on its line, and of that lost there; None: it has not counted that.
    sent_mj: tuple[tuple[str, int | None, int | None], ...] = ()


class CircuitRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A promise to a client, and the decisions made to keep it. ``ended_as`` is empty while it stands."""

    circuit_id: int
    request_id: str
    request_fingerprint: str
    sink_id: str
    source_ids: tuple[str, ...]
    constraints: Constraints
    power_w: float
    priority: int
    admin_up: bool
    last_generation: int
    ended_as: str
    generations: tuple[GenerationRecord, ...]
    refused_loads: tuple[RefusedLoad, ...] = ()
    # None: as its hold priority, as in records that are older than this field.
    setup_priority: int | None = None
    floor_w: float = 0.0
    curtailed: Curtailed | None = None
    # What its load lacked, as far as it was known when this was written.
    missing: tuple[tuple[str, MissingEnergy], ...] = ()
    # Against what it is protected, if it is to be; and why there was no way for a standby, if there was none.
    protect: str = ""
    unprotected_because: str = ""
    # Whether its standby has room of its own, as all had before this field.
    dedicated: bool = True
    # 0: not known, as in records that are older than these fields.
    created_unix_ns: int = 0
    changed_unix_ns: int = 0
    owner: str = ""
    hold: Hold | None = None
    shortfalls: tuple[Shortfall, ...] = ()
    # Books that are among the "former" of `missing`.
    merged_books: tuple[str, ...] = ()
    until_unix_ns: int | None = None


class Counters(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Numbers that are never given twice, over restarts too."""

    next_circuit_id: int = 1
    next_admission_seq: int = 1
    next_audit_seq: int = 1


class AuditEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who asked for what, when, what was decided, and why; never changed once written.

    ``seq`` ascends and is never given twice. ``who`` is a client as it names itself, with its address, or
    ``controller`` for what is decided without being asked. ``subject`` is the id of a request, circuit or router.
    ``roles`` are those that he asked with; ``proven``: something but his own word said that it was he.
    """

    seq: int
    at_unix_ns: int
    who: str
    action: str
    subject: str
    asked: str
    decided: str
    why: str = ""
    roles: tuple[str, ...] = ()
    proven: bool = False


class LinkRegister(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a generation had put on one link of its path, line loss included, as the router that sent it metered it."""

    link_id: str
    from_router_id: str
    sent_mj: int | None
    line_loss_mj: int | None


class RegisterRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Final registers of a circuit generation, as its source's and its sink's router metered them to its end. Never
    changed once written, and kept for ever.

    None: that end was never heard, be it that its router was given up, has forgotten it, is older than this, or never
    held it. A circuit's energy is the sum over its generations: what one has in a buffer another may deliver.
    """

    circuit_id: int
    generation: int
    request_id: str
    source_id: str
    sink_id: str
    source_router_id: str
    sink_router_id: str
    injected_mj: int | None
    delivered_mj: int | None
    # When it was decided (0: not known), and when the last of its routers had let go of it.
    began_unix_ns: int
    ended_unix_ns: int
    # It never took over, so what it was injected filled its buffers only.
    standby: bool = False
    # From the source to the sink.
    links: tuple[LinkRegister, ...] = ()

    @property
    def key(self) -> CircuitGeneration:
        return CircuitGeneration(self.circuit_id, self.generation)


@dataclass(frozen=True, slots=True)
class StateChange:
    """One durable transaction: circuits with what they reserve, the entries that say why, what routers own, what
    operators take out of service, and the final registers of generations that are no more.
    """

    circuits: tuple[CircuitRecord, ...]
    counters: Counters
    forgotten_ids: tuple[int, ...] = ()
    audit: tuple[AuditEntry, ...] = ()
    routers: tuple[RouterRecord, ...] = ()
    forgotten_router_ids: tuple[str, ...] = ()
    drains: tuple[DrainRecord, ...] = ()
    undrained_ids: tuple[str, ...] = ()
    registers: tuple[RegisterRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredState:
    """All that a new daemon finds. ``epoch`` is higher than any before: it becomes the election id."""

    epoch: int
    circuits: tuple[CircuitRecord, ...]
    counters: Counters
    routers: tuple[RouterRecord, ...] = ()
    drains: tuple[DrainRecord, ...] = ()


def to_record(circuit: Circuit, request_fingerprint: str) -> CircuitRecord:
    return CircuitRecord(
        circuit_id=circuit.circuit_id,
        request_id=circuit.request_id,
        request_fingerprint=request_fingerprint,
        sink_id=circuit.sink_id,
        source_ids=circuit.source_ids,
        constraints=circuit.constraints,
        power_w=circuit.power_w,
        priority=circuit.priority,
        admin_up=circuit.admin_up,
        last_generation=circuit.last_generation,
        ended_as=circuit.state.value if circuit.state.ended else "",
        generations=tuple(
            GenerationRecord(
                each.key.generation,
                each.admission_seq,
                each.route,
                each.phase in RETIRING_PHASES,
                tuple(sorted(each.freed)),
                each.role is Role.STANDBY,
                each.priority,
                each.floor_w,
                each.asked_w,
                tuple(sorted(each.covers)) if each.covers is not None else None,
                each.injected_mj,
                each.delivered_mj,
                each.began_unix_ns,
                tuple((router_id, *sent) for router_id, sent in sorted(each.sent_mj.items())),
            )
            for each in circuit.generations.values()
        ),
        refused_loads=circuit.refused_loads,
        setup_priority=circuit.setup_priority,
        floor_w=circuit.floor_w,
        curtailed=circuit.curtailed,
        # In the order in which they were heard.
        missing=tuple(circuit.missing.items()),
        protect=circuit.guard.against or "",
        unprotected_because=circuit.guard.reason if circuit.guard.word is Protection.LOST else "",
        dedicated=circuit.guard.dedicated,
        created_unix_ns=circuit.created_unix_ns,
        changed_unix_ns=circuit.changed_unix_ns,
        owner=circuit.owner,
        hold=circuit.hold,
        shortfalls=circuit.shortfalls,
        merged_books=circuit.merged_books,
        until_unix_ns=circuit.until_unix_ns,
    )


def from_record(record: CircuitRecord) -> Circuit:
    """The circuit as far as it is known before its routers are read back: nothing is taken for delivered."""
    state, reason = _restored_state(record)
    circuit = Circuit(
        circuit_id=record.circuit_id,
        request_id=record.request_id,
        sink_id=record.sink_id,
        source_ids=record.source_ids,
        constraints=record.constraints,
        power_w=record.power_w,
        priority=record.priority,
        setup_priority=(
            record.priority if record.setup_priority is None else record.setup_priority
        ),
        floor_w=record.floor_w,
        curtailed=record.curtailed if record.admin_up else None,
        missing=dict(record.missing),
        admin_up=record.admin_up,
        last_generation=record.last_generation,
        refused_loads=record.refused_loads,
        guard=_restored_guard(record),
        state=state,
        reason=reason,
        created_unix_ns=record.created_unix_ns,
        changed_unix_ns=record.changed_unix_ns,
        owner=record.owner,
        hold=record.hold,
        shortfalls=record.shortfalls,
        merged_books=record.merged_books,
        until_unix_ns=record.until_unix_ns,
    )
    for each in record.generations:
        key = CircuitGeneration(record.circuit_id, each.generation)
        phase = Phase.QUEUED if circuit.is_held else Phase.COMMITTING
        if each.retiring:
            phase = Phase.WITHDRAWING
        circuit.generations[each.generation] = Generation(
            key,
            each.admission_seq,
            each.route,
            phase,
            freed=frozenset(each.freed_ids),
            durable=True,
            role=Role.STANDBY if each.standby else Role.WORKING,
            priority=each.priority,
            floor_w=each.floor_w,
            asked_w=each.asked_w,
            covers=None if each.covers is None else frozenset(each.covers),
            injected_mj=each.injected_mj,
            delivered_mj=each.delivered_mj,
            began_unix_ns=each.began_unix_ns,
            sent_mj={router_id: (sent, lost) for router_id, sent, lost in each.sent_mj},
        )
    return circuit


def to_register(circuit: Circuit, generation: Generation, ended_unix_ns: int) -> RegisterRecord:
    route = generation.route
    return RegisterRecord(
        circuit_id=circuit.circuit_id,
        generation=generation.key.generation,
        request_id=circuit.request_id,
        source_id=route.source_id,
        sink_id=route.sink_id,
        source_router_id=route.router_ids[0],
        sink_router_id=route.sink_router_id,
        injected_mj=generation.injected_mj,
        delivered_mj=generation.delivered_mj,
        began_unix_ns=generation.began_unix_ns,
        ended_unix_ns=ended_unix_ns,
        standby=generation.role is Role.STANDBY,
        links=tuple(
            LinkRegister(
                *(link.link_id, link.from_router_id),
                *generation.sent_mj.get(link.from_router_id, (None, None)),
            )
            for link in route.links
        ),
    )


def _restored_guard(record: CircuitRecord) -> Guard:
    """What is known of a protection before the sink is heard."""
    # A newer program may have stored a kind that this one does not know.
    if record.protect not in list(Against):
        return Guard()
    guard = Guard(Against(record.protect), record.dedicated)
    if record.admin_up and not record.ended_as:
        guard.apply(ProtectionEvent.WANTED, "restored from the store; its sink was not heard yet")
        if record.unprotected_because:
            guard.apply(ProtectionEvent.NO_WAY, record.unprotected_because)
    return guard


def _restored_state(record: CircuitRecord) -> tuple[CircuitState, str]:
    """What is known of a circuit before its sink is heard, and why it is so."""
    if record.ended_as:
        return CircuitState(record.ended_as), "as the store has it"
    if not record.admin_up:
        return CircuitState.WITHDRAWING, "released, as the store has it"
    if any(not (each.retiring or each.standby) for each in record.generations):
        if record.hold is not None and record.hold.word is HoldWord.HELD:
            return CircuitState.RESERVED, HELD_REASON
        return CircuitState.COMMITTING, "restored from the store; its sink was not heard yet"
    return (
        CircuitState.WAITING,
        "had no path when it was stored; what binds now was not looked for yet",
    )
