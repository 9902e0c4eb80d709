"""Staging, the first phase of the two-phase commit: a queue of generations, and the groups that are staged together.

A group is one transaction: each router gets one Stage with all hops of the group that are its own, and later one
Commit, so that many circuits cost little more than one. A router does all of a stage or nothing. So where one refuses,
the group is taken back, and its generations are staged one by one: whoever cannot be staged keeps nobody else waiting.
Nor does a router that is late: what runs over it waits by itself, and goes in small groups.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from controller.core.circuits.circuit import Circuit, CircuitEvent, CircuitState
from controller.core.circuits.generation import Generation, Phase, PhaseEvent, Role
from controller.core.messages import Abort, Stage, TransactionResult
from controller.core.network.lateness import Lateness
from controller.core.programming.agenda import Agenda
from controller.core.programming.transactions import Transactions
from controller.core.programming.window import Window
from controller.core.settings import Timeouts
from digitalgrid.model import HopSnapshot, Operation, ResultCode
from digitalgrid.units import NS_PER_MS

# Generations in one group: a router takes their hops in a few milliseconds, in which it hears nobody else.
MAX_GROUP = 64
# How often it is looked again for a late router that has become free by itself.
_LOOK_AGAIN_NS = 100 * NS_PER_MS


class Programming(Protocol):
    """What staging leaves to the programmer."""

    def send(self, router_id: str, message: Stage | Abort) -> None: ...

    def make_room(self, generation: Generation, now_ns: int) -> None:
        """Routers are about to be told of it."""

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


# Whether its circuit has power, its place in line, itself.
_Queued = tuple[bool, int, Generation]


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
    """Generations until they are committed."""

    def __init__(
        self,
        *,
        circuits: Mapping[int, Circuit],
        timeouts: Timeouts,
        transactions: Transactions,
        window: Window,
        lateness: Lateness,
        programming: Programming,
    ) -> None:
        self._circuits = circuits
        self._timeouts = timeouts
        self._transactions = transactions
        self._window = window
        self._lateness = lateness
        self._programming = programming
        # Circuits without power go first, then who came first.
        self._queue: list[_Queued] = []
        self._order = count()
        # Those that wait until a late router has done what it was told, or one without a session has one again, by it.
        self._held_up: dict[str, list[_Queued]] = {}
        self._look_ns = 0
        self._groups: dict[int, _Group] = {}
        self._deadlines: Agenda[int] = Agenda()

    def next_deadline_ns(self) -> int | None:
        next_ns = self._deadlines.next_ns()
        if not self._held_up:
            return next_ns
        return self._look_ns if next_ns is None else min(next_ns, self._look_ns)

    @property
    def queued(self) -> int:
        """How many wait for their turn; perhaps also some that were given up."""
        return len(self._queue) + sum(map(len, self._held_up.values()))

    def enqueue(self, generation: Generation) -> None:
        circuit = self._circuits[generation.key.circuit_id]
        moving = circuit.state is CircuitState.REROUTING and generation.role is Role.WORKING
        has_power = generation.seamless or not moving
        heappush(self._queue, (has_power, next(self._order), generation))

    def go_ahead(self, now_ns: int) -> None:
        """Stage those for which there is room, as many as can be in one group."""
        self._let_go_on(now_ns)
        left_at: dict[str, int] = {}
        late_ids: set[str] = set()
        # By circuit; of one that runs over a late router those beside it wait for that.
        prompt: dict[int, Generation] = {}
        late: dict[int, Generation] = {}
        left = self._window.room
        while self._queue and left:
            queued = heappop(self._queue)
            generation = queued[2]
            if generation.phase is not Phase.QUEUED or not self._stands(generation):
                continue
            full = self._take_room(generation, left_at, late_ids, now_ns)
            if full:
                heappush(self._held_up.setdefault(full, []), queued)
                self._look_ns = now_ns + _LOOK_AGAIN_NS
                continue
            left -= 1
            over_late = bool(late_ids) and not late_ids.isdisjoint(generation.route.router_ids)
            group, circuit_id = late if over_late else prompt, generation.key.circuit_id
            # Of one that runs already the sink comes last, after all other hops have committed.
            if generation.seamless or generation.alone or circuit_id in group:
                self._stage([generation], now_ns)
                continue
            group[circuit_id] = generation
            if len(group) == MAX_GROUP:
                self._stage(list(group.values()), now_ns)
                group.clear()
        for group in (prompt, late):
            if group:
                self._stage(list(group.values()), now_ns)

    def _take_room(
        self, generation: Generation, left_at: dict[str, int], late_ids: set[str], now_ns: int
    ) -> str:
        """A router on the way that must not be told of any more now; where there is none, the room is taken."""
        router_ids = generation.route.router_ids
        for router_id in router_ids:
            if router_id not in left_at:
                left_at[router_id] = self._window.room_at(router_id, now_ns)
                if self._lateness.is_late(router_id, now_ns):
                    late_ids.add(router_id)
            if not left_at[router_id]:
                return router_id
        for router_id in router_ids:
            left_at[router_id] -= 1
        return ""

    def _let_go_on(self, now_ns: int) -> None:
        """As many as there is room for by now queue again for routers that were late, or still are."""
        for router_id, waiting in list(self._held_up.items()):
            for _ in range(min(self._window.room_at(router_id, now_ns), len(waiting))):
                heappush(self._queue, heappop(waiting))
            if not waiting:
                del self._held_up[router_id]
        self._look_ns = now_ns + _LOOK_AGAIN_NS

    def _stands(self, generation: Generation) -> bool:
        circuit = self._circuits.get(generation.key.circuit_id)
        return circuit is not None and generation.key.generation in circuit.generations

    def _stage(self, generations: list[Generation], now_ns: int) -> None:
        at: dict[str, list[Generation]] = {}
        hops: dict[str, list[HopSnapshot]] = {}
        for each in generations:
            self._programming.make_room(each, now_ns)
            for router_id, hop in each.hops().items():
                if router_id not in at:
                    at[router_id], hops[router_id] = [], []
                at[router_id].append(each)
                hops[router_id].append(hop)
        txn_id = self._transactions.open(generations, at).txn_id
        patience_ns = self._lateness.patience_ns(at, now_ns)
        deadline_ns = now_ns + self._timeouts.stage_ms * NS_PER_MS + patience_ns
        undurable = 0
        for each in generations:
            circuit = self._circuits[each.key.circuit_id]
            if circuit.state is CircuitState.RESERVED:
                circuit.apply(CircuitEvent.STAGE_SENT)
            each.apply(PhaseEvent.STAGE_SENT)
            each.txn_id, each.touched_ns, each.deadline_ns = txn_id, now_ns, deadline_ns
            self._window.add(each)
            undurable += not each.durable
        lease_ends_ns = now_ns + self._timeouts.safe_lease_ns + patience_ns
        lease_ms = self._timeouts.lease_ms + patience_ns // NS_PER_MS
        self._groups[txn_id] = _Group(
            txn_id, generations, tuple(at), set(at), undurable, lease_ends_ns
        )
        self._deadlines.set(txn_id, deadline_ns)
        for router_id, some in hops.items():
            self._programming.send(router_id, Stage(txn_id, lease_ms, tuple(some)))

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
        """What waits for this router's answer waits for the router, as long as it may return."""
        for group in list(self._groups.values()):
            if router_id in group.waiting_for:
                self._take_back(group)
        if not self._may_return(router_id, now_ns):
            self._give_up_over(router_id, now_ns)

    def _may_return(self, router_id: str, now_ns: int) -> bool:
        usual_ns = self._timeouts.stage_ms * NS_PER_MS
        return self._lateness.may_return(router_id, usual_ns, now_ns)

    def _give_up_over(self, router_id: str, now_ns: int) -> None:
        """Those that would be told to it go another way."""
        reason = f"router {router_id} disconnected while staging"
        queued = [*self._queue, *(each for some in self._held_up.values() for each in some)]
        for _, _, generation in queued:
            concerned = router_id in generation.route.router_ids
            if concerned and generation.phase is Phase.QUEUED and self._stands(generation):
                self._programming.give_up(generation, now_ns, reason, router_id)

    def on_timer(self, now_ns: int) -> None:
        for router_id in list(self._held_up):
            if self._lateness.is_gone(router_id) and not self._may_return(router_id, now_ns):
                self._give_up_over(router_id, now_ns)
                self._held_up.pop(router_id, None)
        for txn_id in self._deadlines.due(now_ns):
            group = self._groups[txn_id]
            stopped = {
                each for each in group.waiting_for if not self._is_behind(each, group, now_ns)
            }
            if stopped:
                reason = f"{Phase.STAGING.value} took too long at {min(stopped)}"
                self._give_up_at(stopped, group, reason, now_ns)
            else:
                # Routers are late, or the store is, which is no reason to go another way.
                self._take_back(group)

    def _is_behind(self, router_id: str, group: _Group, now_ns: int) -> bool:
        usual_ns = self._timeouts.stage_ms * NS_PER_MS
        asked = (group.txn_id, Operation.STAGE)
        return self._lateness.is_behind(router_id, asked, usual_ns, now_ns)

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
            self._window.discard(generation.key)
            self.enqueue(generation)

    def _close(self, group: _Group) -> None:
        del self._groups[group.txn_id]
        self._deadlines.drop(group.txn_id)
