"""Circuit table, a participant of two-phase commits: generations, staged transactions with leases, tombstones, fencing.

Pure: the time is passed in, and what must be durable before an answer may leave is named in the outcome.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from digitalgrid.model import (
    NO_ELECTION_ID,
    CircuitGeneration,
    ElectionId,
    HopSnapshot,
    Operation,
    ResultCode,
    StandbyPool,
)
from router_agent.device.hop_check import MAX_GENERATIONS, HopCheck, Problem, are_sane
from router_agent.device.mutation import (
    Answer,
    Entry,
    Mutation,
    Outcome,
    all_ok,
    all_or_nothing,
    refusal,
)
from router_agent.device.pools import Pools
from router_agent.device.promise import Promise, keep_newest

# Of one circuit at a time: one that works, one that stands by, and the next of either (make-before-break).
GENERATIONS_KEPT = 3
# Finished transactions that are still known, so that a repeat gets the same answer.
FINISHED_KEPT = 1024
# Transactions staged at once, and hops committed and staged together: far more than a controller has under way, or a
# router carries (as many as its controller reads back).
MAX_STAGED = 4096
MAX_HOPS = 200_000


@dataclass(frozen=True, slots=True)
class _Staged:
    """``number`` orders what was staged; see :class:`Pools`."""

    hops: tuple[HopSnapshot, ...]
    pools: tuple[StandbyPool, ...]
    expires_ns: int
    number: int


@dataclass(frozen=True, slots=True)
class _Finished:
    """A transaction that was committed, or whose lease has expired: what it staged, and its answer."""

    hops: tuple[HopSnapshot, ...]
    pools: tuple[StandbyPool, ...]
    answer: Answer


class CircuitTable:
    """What this router runs and has staged; every change carries an election id, which fences older leaders off.

    ``link_up`` maps each link's id to its state, ``sources`` and ``loads`` are the cell's ids.
    """

    def __init__(
        self,
        link_up: Callable[[str], bool | None],
        sources: Sequence[str],
        loads: Sequence[str],
        highest_election_id: ElectionId = NO_ELECTION_ID,
        floors: Mapping[int, int] | None = None,
    ) -> None:
        self._hops = HopCheck(link_up, frozenset(sources), frozenset(loads))
        self.pools = Pools(link_up)
        self._floors = OrderedDict(floors or {})
        self._holder = ""
        self._staged: dict[int, _Staged] = {}
        self._finished: OrderedDict[int, _Finished] = OrderedDict()
        self._committed: dict[CircuitGeneration, HopSnapshot] = {}
        # The same keys, by circuit.
        self._held: dict[int, set[CircuitGeneration]] = {}
        self.highest_election_id = highest_election_id
        self.version = 0

    @property
    def hops(self) -> list[HopSnapshot]:
        return [self._committed[key] for key in sorted(self._committed)]

    @property
    def staged_txn_ids(self) -> list[int]:
        return sorted(self._staged)

    def next_expiry_ns(self) -> int | None:
        return min((staged.expires_ns for staged in self._staged.values()), default=None)

    def expire(self, now_ns: int) -> None:
        """Forget the stages whose lease is over; a Commit that comes later is refused."""
        for txn_id, staged in list(self._staged.items()):
            if now_ns >= staged.expires_ns:
                del self._staged[txn_id]
                message = f"the lease of transaction {txn_id} has expired; stage it again"
                answer = refusal(ResultCode.LEASE_EXPIRED, message, staged.hops)
                self._finish(txn_id, _Finished(staged.hops, staged.pools, answer))

    def greet(self, controller: str, election_id: ElectionId) -> None:
        """A controller says that it leads: where no election id was as high, what had led before is refused from now on
        (a fencing token).
        """
        if election_id > self.highest_election_id:
            self._obey(controller, election_id)

    def _obey(self, controller: str, election_id: ElectionId) -> None:
        if election_id > self.highest_election_id:
            # Ids of transactions are one leader's own: another may use the same for something else.
            self._staged.clear()
            self._finished.clear()
        self.highest_election_id = election_id
        self._holder = controller

    def apply(self, mutation: Mutation, now_ns: int) -> Outcome:
        """Do what is asked, once :meth:`promised_by` is durable."""
        self.expire(now_ns)
        promise = self.promised_by(mutation)
        answer = self._election_refusal(mutation)
        if answer is None:
            self._obey(mutation.controller, mutation.election_id)
            answer = self._perform(mutation, now_ns)
        self.version += bool(
            answer.added or answer.removed or answer.promoted or answer.pools_changed
        )
        return self._outcome(mutation, answer, promise)

    def promised_by(self, mutation: Mutation) -> Promise:
        """What must be durable before :meth:`apply` (write-ahead); nothing where the mutation will be refused."""
        if self._election_refusal(mutation):
            return Promise()
        higher = mutation.election_id > self.highest_election_id
        withdraws = mutation.operation is Operation.WITHDRAW and are_sane(mutation.circuits)
        return Promise(
            mutation.election_id if higher else None,
            self._new_floors(mutation.circuits) if withdraws else {},
        )

    def not_durable(self, mutation: Mutation, message: str) -> Outcome:
        """The answer where the promise could not be made: nothing was done, and it may be asked again."""
        keys = [hop.key for hop in mutation.hops] or mutation.circuits
        entries = tuple(Entry(key, ResultCode.NOT_DURABLE) for key in keys)
        return self._outcome(mutation, Answer(ResultCode.NOT_DURABLE, message, entries), Promise())

    def _outcome(self, mutation: Mutation, answer: Answer, promise: Promise) -> Outcome:
        return Outcome(
            operation=mutation.operation,
            txn_id=mutation.txn_id,
            code=answer.code,
            message=answer.message,
            entries=answer.entries,
            table_version=self.version,
            highest_election_id=self.highest_election_id,
            new_election_id=promise.election_id is not None,
            new_floors=promise.floors,
            added=answer.added,
            removed=answer.removed,
            promoted=answer.promoted,
            pools_changed=answer.pools_changed,
        )

    def _election_refusal(self, mutation: Mutation) -> Answer | None:
        mine, given = self.highest_election_id, mutation.election_id
        if given == NO_ELECTION_ID:
            return Answer(ResultCode.STALE_ELECTION_ID, "an election id of zero is never valid")
        if given < mine:
            return Answer(
                ResultCode.STALE_ELECTION_ID, f"election id {_show(given)} is below {_show(mine)}"
            )
        if given == mine and self._holder not in ("", mutation.controller):
            return Answer(
                ResultCode.STALE_ELECTION_ID,
                f"election id {_show(given)} is that of the controller at {self._holder}",
            )
        return None

    def _perform(self, mutation: Mutation, now_ns: int) -> Answer:
        if not are_sane(mutation.circuits):
            message = f"a generation must lie between 1 and {MAX_GENERATIONS}"
            entries = tuple(
                Entry(key, ResultCode.INVALID_HOP, message) for key in mutation.circuits
            )
            return Answer(ResultCode.INVALID_HOP, message, entries)
        match mutation.operation:
            case Operation.STAGE:
                return self._stage(mutation, now_ns)
            case Operation.COMMIT:
                return self._commit(mutation.txn_id)
            case Operation.ABORT:
                return self._abort(mutation.txn_id)
            case Operation.DRAIN:
                return self._drain(mutation.circuits)
            case Operation.WITHDRAW:
                return self._withdraw(mutation.circuits)
            case Operation.PROMOTE:
                return self._promote(mutation.circuits)

    def _stage(self, mutation: Mutation, now_ns: int) -> Answer:
        txn_id, hops = mutation.txn_id, mutation.hops
        finished = self._finished.get(txn_id)
        committed = finished and finished.answer.code is ResultCode.OK
        staged = self._staged.get(txn_id)
        known = finished if finished and committed else staged
        if known is not None and (known.hops, known.pools) != (hops, mutation.pools):
            word = "committed" if committed else "staged"
            message = f"transaction {txn_id} is {word} with other hops or pools; use a new id"
            return refusal(ResultCode.INVALID_HOP, message, hops)
        if committed:
            return Answer(entries=all_ok(hops))
        if problem := self.pools.problem(mutation.pools):
            return refusal(ResultCode.INVALID_HOP, problem, hops)
        room = self._room_problems(hops)
        problems = [
            self._hops.problem(hop) or self._floor_problem(hop) or room.get(hop.key) for hop in hops
        ]
        if any(problems):
            return all_or_nothing([hop.key for hop in hops], problems)
        if problem := self._size_problem(txn_id, len(hops)):
            return refusal(ResultCode.NOT_ATTEMPTED, problem, hops)
        # Of a lease that had expired nothing is left.
        self._finished.pop(txn_id, None)
        number = staged.number if staged else self.pools.number()
        expires_ns = now_ns + mutation.lease_ns
        self._staged[txn_id] = _Staged(hops, mutation.pools, expires_ns, number)
        return Answer(entries=all_ok(hops))

    def _size_problem(self, txn_id: int, hops: int) -> str:
        others = [staged for each, staged in self._staged.items() if each != txn_id]
        if len(others) >= MAX_STAGED:
            return f"{MAX_STAGED} transactions are staged already; commit or abort some first"
        if len(self._committed) + sum(len(each.hops) for each in others) + hops > MAX_HOPS:
            return f"a router holds at most {MAX_HOPS} hops; withdraw some first"
        return ""

    def _commit(self, txn_id: int) -> Answer:
        finished = self._finished.get(txn_id)
        if finished:
            return replace(finished.answer, added=(), pools_changed=False)
        staged = self._staged.get(txn_id)
        if staged is None:
            message = f"transaction {txn_id} was never staged here; stage it first"
            return Answer(ResultCode.UNKNOWN_TRANSACTION, message)
        room = self._room_problems(staged.hops)
        problems = [self._floor_problem(hop) or room.get(hop.key) for hop in staged.hops]
        if any(problems):
            return all_or_nothing([hop.key for hop in staged.hops], problems)
        del self._staged[txn_id]
        added = tuple(hop for hop in staged.hops if hop.key not in self._committed)
        for hop in added:
            self._committed[hop.key] = hop
            self._held.setdefault(hop.circuit_id, set()).add(hop.key)
        changed = self.pools.commit(staged.pools, staged.number)
        answer = Answer(entries=all_ok(staged.hops), added=added, pools_changed=changed)
        self._finish(txn_id, _Finished(staged.hops, staged.pools, answer))
        return answer

    def _abort(self, txn_id: int) -> Answer:
        finished = self._finished.get(txn_id)
        if finished and finished.answer.code is ResultCode.OK:
            message = f"transaction {txn_id} is committed; withdraw its circuits instead"
            return Answer(ResultCode.UNKNOWN_TRANSACTION, message)
        staged = self._staged.pop(txn_id, None)
        return Answer(entries=all_ok(staged.hops) if staged else ())

    def _drain(self, circuits: Sequence[CircuitGeneration]) -> Answer:
        """Nothing changes in the table; what is not here has nothing to drain."""
        hops = [self._committed.get(key) for key in circuits]
        problems = [
            (ResultCode.INVALID_HOP, "this router is not the circuit's sink")
            if hop is not None and not hop.load_id
            else None
            for hop in hops
        ]
        if any(problems):
            return all_or_nothing(circuits, problems)
        return Answer(entries=tuple(Entry(key, ResultCode.OK) for key in circuits))

    def _withdraw(self, circuits: Sequence[CircuitGeneration]) -> Answer:
        keep_newest(self._floors, self._new_floors(circuits))
        # An older generation may carry the power that a newer one, given up, was to take over.
        removed = tuple(sorted(self._committed.keys() & set(circuits)))
        for key in removed:
            self._lose(key)
        entries = tuple(Entry(key, ResultCode.OK) for key in circuits)
        return Answer(entries=entries, removed=removed)

    def _promote(self, circuits: Sequence[CircuitGeneration]) -> Answer:
        """Standbys become working generations; what is one already stays it."""
        hops = [self._committed.get(key) for key in circuits]
        problems = [
            (ResultCode.INVALID_HOP, "this router holds no such generation; stage it first")
            if hop is None
            else None
            for hop in hops
        ]
        if any(problems):
            return all_or_nothing(circuits, problems)
        standbys = {hop.key: hop for hop in hops if hop is not None and hop.standby}
        promoted = tuple(hop.promoted() for hop in standbys.values())
        self._committed.update((hop.key, hop) for hop in promoted)
        entries = tuple(Entry(key, ResultCode.OK) for key in circuits)
        return Answer(entries=entries, promoted=promoted)

    def _lose(self, key: CircuitGeneration) -> None:
        del self._committed[key]
        held = self._held[key.circuit_id]
        held.discard(key)
        if not held:
            del self._held[key.circuit_id]

    def _new_floors(self, circuits: Sequence[CircuitGeneration]) -> dict[int, int]:
        floors: dict[int, int] = {}
        for circuit_id, generation in circuits:
            floor = max(floors.get(circuit_id, 0), generation + 1)
            if floor > self._floors.get(circuit_id, 0):
                floors[circuit_id] = floor
        return floors

    def _finish(self, txn_id: int, finished: _Finished) -> None:
        self._finished[txn_id] = finished
        self._finished.move_to_end(txn_id)
        if len(self._finished) > FINISHED_KEPT:
            self._finished.popitem(last=False)

    def _floor_problem(self, hop: HopSnapshot) -> Problem | None:
        floor = self._floors.get(hop.circuit_id, 0)
        if hop.generation < floor:
            return (
                ResultCode.STALE_GENERATION,
                f"withdrawn; the next generation is {floor} or higher",
            )
        if self._committed.get(hop.key, hop) != hop:
            return ResultCode.STALE_GENERATION, "runs with other values; use a higher generation"
        return None

    def _room_problems(self, hops: Sequence[HopSnapshot]) -> dict[CircuitGeneration, Problem]:
        """Generations that stand there twice, or for which their circuit has no room here."""
        times = Counter(hop.key for hop in hops)
        together: dict[int, set[CircuitGeneration]] = {}
        for key in times:
            circuit_id = key.circuit_id
            together.setdefault(circuit_id, set(self._held.get(circuit_id, ()))).add(key)
        problems = {}
        for key, count in times.items():
            if count > 1:
                problems[key] = (ResultCode.INVALID_HOP, "stands there twice")
            elif len(together[key.circuit_id]) > GENERATIONS_KEPT:
                kept = ", ".join(
                    str(each.generation) for each in sorted(self._held.get(key.circuit_id, ()))
                )
                message = f"holds generations {kept} already; withdraw one first"
                problems[key] = (ResultCode.INVALID_HOP, message)
        return problems


def _show(election_id: ElectionId) -> str:
    return f"{election_id.high}:{election_id.low}"
