"""Staging, the first phase of the two-phase commit: a queue of generations, and the groups that are staged together.

A group is one transaction: each router gets one Stage with all hops of the group that are its own, and later one
Commit, so that many circuits cost little more than one. A router does all of a stage or nothing. So where one refuses,
the group is taken back, and its generations are staged one by one: whoever cannot be staged keeps nobody else waiting.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from controller.core.circuits.circuit import (
    Circuit,
    CircuitEvent,
    CircuitState,
    Generation,
    Phase,
    PhaseEvent,
)
from controller.core.messages import Abort, Stage, TransactionResult
from controller.core.programming.agenda import Agenda
from controller.core.programming.transactions import Transactions
from controller.core.settings import Timeouts
from digitalgrid.model import CircuitGeneration, HopSnapshot, ResultCode
from digitalgrid.units import NS_PER_MS

# Backpressure: generations that are staged or committed at the same time; others queue, and news get through between.
MAX_IN_FLIGHT = 256
# Generations in one group: a router takes their hops in a few milliseconds, in which it hears nobody else.
MAX_GROUP = 64


class Programming(Protocol):
    """What staging leaves to the programmer."""

    def send(self, router_id: str, message: Stage | Abort) -> None: ...

    def make_room(self, circuit: Circuit, now_ns: int) -> None:
        """Routers are about to be told of one more generation of it."""

    def commit(self, txn_id: int, generations: Iterable[Generation], now_ns: int) -> None:
        """All hops are staged, and the decisions durable."""

    def give_up(
        self,
        generation: Generation,
        now_ns: int,
        reason: str,
        router_id: str = "",
        permanent: bool = False,
    ) -> None: ...


@dataclass(slots=True, eq=False)
class _Group:
    txn_id: int
    generations: list[Generation]
    router_ids: tuple[str, ...]
    # Routers that have not answered, and how many decisions the store has not written.
    waiting_for: set[str]
    undurable: int
    lease_ends_ns: int


class Staging:
    """Generations until they are committed. ``in_flight`` are those that are staged or committed just now."""

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        timeouts: Timeouts,
        transactions: Transactions,
        in_flight: set[CircuitGeneration],
        programming: Programming,
    ) -> None:
        self._circuits = circuits
        self._timeouts = timeouts
        self._transactions = transactions
        self._in_flight = in_flight
        self._programming = programming
        # Circuits without power go first, then who came first.
        self._queue: list[tuple[bool, int, Generation]] = []
        self._order = count()
        self._groups: dict[int, _Group] = {}
        self._deadlines: Agenda[int] = Agenda()

    def next_deadline_ns(self) -> int | None:
        return self._deadlines.next_ns()

    def enqueue(self, generation: Generation) -> None:
        circuit = self._circuits[generation.key.circuit_id]
        has_power = generation.seamless or circuit.state is not CircuitState.REROUTING
        heappush(self._queue, (has_power, next(self._order), generation))

    def go_ahead(self, now_ns: int) -> None:
        """Stage those for which there is room, as many as can be in one group."""
        group: dict[int, Generation] = {}
        while self._queue and len(self._in_flight) + len(group) < MAX_IN_FLIGHT:
            generation = heappop(self._queue)[2]
            circuit_id = generation.key.circuit_id
            if generation.phase is not Phase.QUEUED or not self._stands(generation):
                continue
            # Of one that runs already the sink comes last, after all other hops have committed.
            if generation.seamless or generation.alone or circuit_id in group:
                self._stage([generation], now_ns)
                continue
            group[circuit_id] = generation
            if len(group) == MAX_GROUP:
                self._stage(list(group.values()), now_ns)
                group = {}
        if group:
            self._stage(list(group.values()), now_ns)

    def _stands(self, generation: Generation) -> bool:
        circuit = self._circuits.get(generation.key.circuit_id)
        return circuit is not None and generation.key.generation in circuit.generations

    def _stage(self, generations: list[Generation], now_ns: int) -> None:
        at: dict[str, list[Generation]] = {}
        hops: dict[str, list[HopSnapshot]] = {}
        for each in generations:
            self._programming.make_room(self._circuits[each.key.circuit_id], now_ns)
            for router_id, hop in each.hops().items():
                if router_id not in at:
                    at[router_id], hops[router_id] = [], []
                at[router_id].append(each)
                hops[router_id].append(hop)
        txn_id = self._transactions.open(generations, at).txn_id
        deadline_ns = now_ns + self._timeouts.stage_ms * NS_PER_MS
        undurable = 0
        for each in generations:
            circuit = self._circuits[each.key.circuit_id]
            if circuit.state is CircuitState.RESERVED:
                circuit.apply(CircuitEvent.STAGE_SENT)
            each.apply(PhaseEvent.STAGE_SENT)
            each.txn_id, each.touched_ns, each.deadline_ns = txn_id, now_ns, deadline_ns
            self._in_flight.add(each.key)
            undurable += not each.durable
        lease_ends_ns = now_ns + self._timeouts.safe_lease_ns
        self._groups[txn_id] = _Group(
            txn_id, generations, tuple(at), set(at), undurable, lease_ends_ns
        )
        self._deadlines.set(txn_id, deadline_ns)
        for router_id, some in hops.items():
            stage = Stage(txn_id, self._timeouts.lease_ms, tuple(some))
            self._programming.send(router_id, stage)

    def note_durable(self, generation: Generation, now_ns: int) -> None:
        group = self._groups.get(generation.txn_id)
        if group is not None and generation.phase is Phase.STAGING:
            group.undurable -= 1
            self._advance(group, now_ns)

    def on_staged(self, router_id: str, txn_id: int, now_ns: int) -> None:
        group = self._groups.get(txn_id)
        if group is not None:
            group.waiting_for.discard(router_id)
            self._advance(group, now_ns)

    def _advance(self, group: _Group, now_ns: int) -> None:
        """Commit once everybody has answered, and everything is durable."""
        if group.waiting_for or group.undurable:
            return
        if now_ns > group.lease_ends_ns:
            self._take_back(group)
            return
        self._close(group)
        self._programming.commit(group.txn_id, group.generations, now_ns)

    # Where it does not go well

    def on_refused(self, router_id: str, result: TransactionResult, now_ns: int) -> bool:
        """Whether it was the stage of a group that stood in line to be committed."""
        group = self._groups.get(result.txn_id)
        if group is None or router_id not in group.router_ids:
            return False
        alone = len(group.generations) == 1
        self._take_back(group, to_be_alone=True)
        if alone:
            reason = f"router {router_id} refused {result.operation.name.lower()}: {result.message}"
            permanent = result.code is ResultCode.INVALID_HOP
            self._programming.give_up(group.generations[0], now_ns, reason, router_id, permanent)
        return True

    def leave(self, generation: Generation) -> None:
        """One is given up; those that it was staged with begin anew."""
        group = self._groups.get(generation.txn_id)
        if group is not None and generation.phase is Phase.STAGING:
            self._take_back(group)

    def on_disconnected(self, router_id: str, now_ns: int) -> None:
        """What waits for this router's answer, and what would, is given up."""
        reason = f"router {router_id} disconnected while staging"
        for group in list(self._groups.values()):
            if router_id in group.waiting_for:
                self._give_up_at({router_id}, group, reason, now_ns)
        for _, _, generation in list(self._queue):
            concerned = router_id in generation.route.router_ids
            if concerned and generation.phase is Phase.QUEUED and self._stands(generation):
                self._programming.give_up(generation, now_ns, reason, router_id)

    def on_timer(self, now_ns: int) -> None:
        for txn_id in self._deadlines.due(now_ns):
            group = self._groups[txn_id]
            late = min(group.waiting_for, default="")
            if late:
                reason = f"{Phase.STAGING.value} took too long at {late}"
                self._give_up_at(set(group.waiting_for), group, reason, now_ns)
            else:
                # The store is late, which is nothing to the routers.
                self._take_back(group)

    def _give_up_at(self, router_ids: set[str], group: _Group, reason: str, now_ns: int) -> None:
        """Give up those of a group that have a hop at any of these; the others begin anew."""
        self._take_back(group)
        for generation in group.generations:
            at = router_ids.intersection(generation.route.router_ids)
            if at:
                self._programming.give_up(generation, now_ns, reason, min(at))

    def _take_back(self, group: _Group, *, to_be_alone: bool = False) -> None:
        """Nothing of it stays staged anywhere, and its generations queue again."""
        self._close(group)
        self._transactions.close(group.txn_id)
        for router_id in group.router_ids:
            self._programming.send(router_id, Abort(group.txn_id))
        for generation in group.generations:
            generation.apply(PhaseEvent.PUT_BACK)
            generation.alone = generation.alone or to_be_alone
            self._in_flight.discard(generation.key)
            self.enqueue(generation)

    def _close(self, group: _Group) -> None:
        del self._groups[group.txn_id]
        self._deadlines.drop(group.txn_id)
