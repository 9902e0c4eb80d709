"""All circuits that are promised or remembered, the requests that made them, and what of them is durable."""

from collections.abc import Callable, Collection, Iterable, Iterator, Set
from contextlib import contextmanager
from itertools import islice, takewhile

from controller.core.book.audit import AuditTrail
from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.generation import Generation, Phase
from controller.core.circuits.records import (
    CircuitRecord,
    Counters,
    RegisterRecord,
    StateChange,
    StoredState,
    from_record,
    to_record,
    to_register,
)
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.shortfall import Shortfall
from controller.core.effects import CircuitChanged, Effect, Persist
from controller.core.errors import Refusal
from controller.core.network.admin import DrainRecord
from controller.core.network.owners import RouterRecord
from digitalgrid.model import CircuitGeneration
from digitalgrid.reasons import Reason

# Ended circuits that are remembered, so that a late retry is still idempotent: seconds of the greatest rate.
MAX_ENDED = 10_000


class CircuitBook:
    """Numbers, remembers and writes circuits. Every change is an effect with a ticket, in order.

    ``followed`` is a book in which all of ``stored`` was followed: it is used up, which spares looking again at what
    has ended, of which there may be far more than of what goes on.
    """

    def __init__(
        self,
        stored: StoredState,
        emit: Callable[[Effect], None],
        began_unix_ns: int = 0,
        followed: "CircuitBook | None" = None,
    ) -> None:
        self._emit = emit
        self._next_circuit_id = stored.counters.next_circuit_id
        self._next_admission_seq = stored.counters.next_admission_seq
        self._ticket = 0
        self._undurable: dict[int, tuple[CircuitGeneration, ...]] = {}
        self._requests: dict[str, tuple[str, list[int]]] = followed._requests if followed else {}
        self._ended: dict[int, None] = followed._ended if followed else {}
        # Those of them of which no router holds anything, in the order in which they may be forgotten.
        self._settled: dict[int, None] = followed._settled if followed else {}
        self._gathered: dict[int, Circuit] | None = None
        # What routers own, as it is to be written with the next change.
        self._owners: dict[str, RouterRecord | None] = {}
        # Likewise what is taken out of service; None for what is in service again.
        self._drains: dict[str, DrainRecord | None] = {}
        # Likewise the final registers of generations that are gone.
        self._registers: list[RegisterRecord] = []
        self.audit = AuditTrail(stored.counters.next_audit_seq, began_unix_ns)
        self.circuits: dict[int, Circuit] = followed.circuits if followed else {}
        # Those that have not ended, or of which a router may still hold something.
        self.live: dict[int, Circuit] = followed.live if followed else {}
        for record in sorted(stored.circuits, key=lambda each: each.circuit_id):
            circuit_id = record.circuit_id
            if followed is None:
                self._remember(from_record(record), record.request_fingerprint)
            elif circuit_id in self.live:
                # As it was decided, without what was measured of it.
                self.circuits[circuit_id] = self.live[circuit_id] = from_record(record)
        # Of each of them, what its audit entries tell already.
        self._noted = {key: _decision(each) for key, each in self.live.items()}

    def next_circuit_id(self) -> int:
        self._next_circuit_id += 1
        return self._next_circuit_id - 1

    def next_admission_seq(self) -> int:
        self._next_admission_seq += 1
        return self._next_admission_seq - 1

    @property
    def last_ticket(self) -> int:
        """What must be durable before a client is told of anything decided until now."""
        return self._ticket

    def add(self, circuit: Circuit, request: PowerRequest) -> None:
        circuit.created_unix_ns = self.audit.at_unix_ns
        self._remember(circuit, request.fingerprint())

    def _remember(self, circuit: Circuit, fingerprint: str) -> None:
        self.circuits[circuit.circuit_id] = self.live[circuit.circuit_id] = circuit
        _, ids = self._requests.setdefault(circuit.request_id, (fingerprint, []))
        ids.append(circuit.circuit_id)
        if circuit.state.ended:
            self._note_ended(circuit)

    def of_request(self, request: PowerRequest) -> list[Circuit] | None:
        """The circuits that this very request made before; Refusal where its id was used for another."""
        if request.request_id not in self._requests:
            return None
        fingerprint, _ = self._requests[request.request_id]
        if fingerprint != request.fingerprint():
            raise Refusal(
                Reason.REQUEST_ID_REUSED,
                f"request id {request.request_id!r} was used before for another request;"
                " use a new id, or repeat the request unchanged",
                field="request_id",
                metadata={"request_id": request.request_id},
            )
        return self.of_request_id(request.request_id)

    def of_request_id(self, request_id: str) -> list[Circuit]:
        """The circuits that a request made, as far as they are remembered."""
        _, ids = self._requests.get(request_id, ("", []))
        return [self.circuits[circuit_id] for circuit_id in ids if circuit_id in self.circuits]

    def requests_under(self, prefix: str) -> list[tuple[str, str]]:
        """Ids, less the prefix, and fingerprints of the requests whose ids begin so."""
        return [
            (request_id.removeprefix(prefix), fingerprint)
            for request_id, (fingerprint, _) in self._requests.items()
            if request_id.startswith(prefix)
        ]

    def get(self, circuit_id: int) -> Circuit:
        circuit = self.circuits.get(circuit_id)
        if circuit is None:
            raise Refusal(
                Reason.UNKNOWN_CIRCUIT,
                f"no circuit {circuit_id} is known; `dgctl list` shows those that are",
                field="circuit_id",
                metadata={"circuit_id": str(circuit_id)},
            )
        return circuit

    def get_live(self, circuit_id: int) -> Circuit:
        circuit = self.get(circuit_id)
        if not circuit.admin_up or circuit.state.ended:
            raise Refusal(
                Reason.CIRCUIT_ENDED,
                f"circuit {circuit_id} is {circuit.state.value}; request power anew",
                field="circuit_id",
                metadata={"circuit_id": str(circuit_id)},
            )
        return circuit

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is persisted within becomes durable at once, all of it or nothing."""
        if self._gathered is not None:
            yield
            return
        self._gathered = {}
        try:
            yield
        finally:
            gathered, self._gathered = self._gathered, None
            if gathered or self._owners or self._drains:
                self._write(gathered.values())

    def persist(self, circuit: Circuit) -> None:
        """Write the circuit as it stands, and tell watchers; its generations become durable with it."""
        self._note(circuit)
        if self._gathered is not None:
            self._gathered[circuit.circuit_id] = circuit
        else:
            self._write([circuit])

    def persist_gone(self, circuit: Circuit, generation: Generation) -> None:
        """Write the circuit without a generation that routers held, and with it what that had metered."""
        self._registers.append(to_register(circuit, generation, self.audit.at_unix_ns))
        self.persist(circuit)

    def persist_owners(self, records: Iterable[RouterRecord], forgotten_ids: Iterable[str]) -> None:
        """Write what routers have registered, and who is forgotten with all that it had."""
        self._owners.update((each.router_id, each) for each in records)
        self._owners.update(dict.fromkeys(forgotten_ids))
        if self._owners and self._gathered is None:
            self._write([])

    def persist_drain(self, id_: str, word: DrainRecord | None) -> None:
        """Write what an operator has taken out of service, or None for what is in service again."""
        self._drains[id_] = word
        if self._gathered is None:
            self._write([])

    def write_audit(self) -> None:
        """Write the entries that no circuit's record took along."""
        if self._gathered is None and self.audit.pending:
            self._write([])

    def _write(self, circuits: Collection[Circuit]) -> None:
        self._ticket += 1
        undurable = [
            each
            for circuit in circuits
            for each in circuit.generations.values()
            if not each.durable
        ]
        for each in undurable:
            if each.phase is Phase.QUEUED and not each.began_unix_ns:
                each.began_unix_ns = self.audit.at_unix_ns
        if undurable:
            self._undurable[self._ticket] = tuple(each.key for each in undurable)
        for circuit in circuits:
            if circuit.state.ended:
                self._note_ended(circuit)
        forgotten = self._forget_oldest({each.circuit_id for each in circuits})
        owners, self._owners = self._owners, {}
        drains, self._drains = self._drains, {}
        registers, self._registers = self._registers, []
        change = StateChange(
            tuple(to_record(each, self._requests[each.request_id][0]) for each in circuits),
            self.counters,
            forgotten,
            self.audit.take(),
            tuple(each for each in owners.values() if each is not None),
            tuple(router_id for router_id, each in owners.items() if each is None),
            tuple(each for each in drains.values() if each is not None),
            tuple(id_ for id_, each in drains.items() if each is None),
            tuple(registers),
        )
        self._emit(Persist(self._ticket, change))
        for circuit in circuits:
            self._emit(CircuitChanged(circuit.circuit_id))

    def _note(self, circuit: Circuit) -> None:
        """When something new was decided of a circuit; and an audit entry, where the controller did so by itself."""
        decision = _decision(circuit)
        if self._noted.get(circuit.circuit_id) == decision:
            return
        self._noted[circuit.circuit_id] = decision
        circuit.changed_unix_ns = self.audit.at_unix_ns
        if not self.audit.answering:
            newest = circuit.newest()
            over = f" over {' '.join(newest.route.router_ids)}" if newest else ""
            self.audit.note(
                "circuit",
                str(circuit.circuit_id),
                f"{circuit.state.value}, generation {circuit.last_generation}{over}",
                circuit.reason,
            )

    @property
    def counters(self) -> Counters:
        """Numbers that are given next."""
        return Counters(self._next_circuit_id, self._next_admission_seq, self.audit.next_seq)

    def live_records(self) -> tuple[CircuitRecord, ...]:
        """What would be stored of the circuits that stand."""
        return tuple(
            to_record(each, self._requests[each.request_id][0]) for each in self.live.values()
        )

    def made_durable(self, ticket: int) -> list[CircuitGeneration]:
        """Generations whose decision is safe now that all tickets up to this one are written."""
        # Tickets ascend.
        written = list(takewhile(lambda each: each <= ticket, self._undurable))
        return [key for each in written for key in self._undurable.pop(each)]

    def _note_ended(self, circuit: Circuit) -> None:
        self._ended[circuit.circuit_id] = None
        if not circuit.generations:
            self.live.pop(circuit.circuit_id, None)
            self._settled[circuit.circuit_id] = None

    def _forget_oldest(self, told: Set[int]) -> tuple[int, ...]:
        """Those of the ended that are too many by now, but none of which something is about to be ``told``."""
        settled = (each for each in self._settled if each not in told)
        forgotten = tuple(islice(settled, max(0, len(self._ended) - MAX_ENDED)))
        for circuit_id in forgotten:
            self._forget(circuit_id)
        return forgotten

    def replace(self, record: CircuitRecord) -> Circuit:
        """Take the circuit as somebody else has written it, with what was measured of it here."""
        circuit = from_record(record)
        known = self.circuits.get(record.circuit_id)
        if known is None:
            self._remember(circuit, record.request_fingerprint)
            return circuit
        circuit.interruptions = known.interruptions
        circuit.last_interruption_ns = known.last_interruption_ns
        circuit.power_since_ns = known.power_since_ns
        circuit.adopt_missing(known)
        # What was heard here since it was written is among them.
        circuit.shortfalls = max(known.shortfalls, circuit.shortfalls, key=_told_mj)
        circuit.told_unix_ns, circuit.lost = known.told_unix_ns, known.lost
        circuit.withheld = known.withheld
        circuit.note_withheld(known.curtailed)
        self.circuits[circuit.circuit_id] = self.live[circuit.circuit_id] = circuit
        if circuit.state.ended:
            self._note_ended(circuit)
        return circuit

    def drop(self, circuit_id: int) -> None:
        """Somebody else has forgotten the circuit."""
        if circuit_id in self._ended:
            self._forget(circuit_id)

    def _forget(self, circuit_id: int) -> None:
        del self._ended[circuit_id]
        self._settled.pop(circuit_id, None)
        self._noted.pop(circuit_id, None)
        request_id = self.circuits.pop(circuit_id).request_id
        _, ids = self._requests[request_id]
        ids.remove(circuit_id)
        if not ids:
            del self._requests[request_id]


def _told_mj(shortfalls: tuple[Shortfall, ...]) -> int:
    return sum(each.missing_mj for each in shortfalls)


def _decision(circuit: Circuit) -> tuple[int, CircuitState | None]:
    """What of a circuit is worth an audit entry: another path, or none any more."""
    lasting = circuit.state is CircuitState.WAITING or not circuit.admin_up
    return circuit.last_generation, circuit.state if lasting else None
