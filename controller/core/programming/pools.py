"""Pools: what senders of lines let their active shared standbys put on each, as routers know it and as it should be.

A pool is raised by the very stage that brings a standby which needs it, and lowered once that is gone. What a sender
may still allow stays reserved until it says that it knows of less: nobody else is given that room before.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from controller.core.circuits.account import QUANTA, quanta_of
from controller.core.circuits.differences import PoolContrast
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import Resource, link_direction
from controller.core.circuits.route import Route
from controller.core.messages import Abort, CircuitTable, Commit, Drain, Stage, Withdraw
from controller.core.programming.transactions import Transactions
from digitalgrid.model import CircuitGeneration, StandbyPool

# Sums of floats are not told again.
_ROUNDING = 1e-9
# What generations' routers are told.
Told = Stage | Commit | Abort | Drain | Withdraw


@dataclass(slots=True)
class _Told:
    """Of one direction of a line, in quanta of ampere: what its sender was told last, by which transaction (None: that
    came to nothing), and the most that it may allow.
    """

    txn_id: int
    last: int | None
    most: int


class Pools:
    """``holds_pools`` says of a router whether it is told any."""

    def __init__(
        self,
        reservations: Reservations,
        transactions: Transactions,
        send: Callable[[str, Stage | Commit], None],
        lease_ms: int,
        holds_pools: Callable[[str], bool],
    ) -> None:
        self._reservations = reservations
        self._transactions = transactions
        self._send = send
        self._lease_ms = lease_ms
        self._holds_pools = holds_pools
        self._told: dict[Resource, _Told] = {}
        # By router: which directions a transaction is about that was not answered yet; and of each reading of its table
        # the transactions before it, whose answers come before it too.
        self._under_way: defaultdict[str, dict[int, tuple[Resource, ...]]] = defaultdict(dict)
        self._before: defaultdict[str, dict[int, tuple[int, ...]]] = defaultdict(dict)
        # Of these transactions those that are staged and no more, by router: no table shows them yet.
        self._only_staged: defaultdict[str, set[int]] = defaultdict(set)
        # Directions whose senders may have to be told.
        self._stale: set[Resource] = set()
        # Routers that were read in their session: what is told to others may not arrive.
        self._read: set[str] = set()
        # What promoted standbys hold that their routers still take for shared ones, and all together.
        self._unpromoted: dict[CircuitGeneration, Mapping[Resource, int]] = {}
        self._unpromoted_on: defaultdict[Resource, int] = defaultdict(int)

    # Telling

    def accompanying(self, router_id: str, message: Told) -> Told:
        """The message as its router is to get it: a stage brings the pools that its shared standbys need there."""
        match message:
            case Stage():
                return self._with_pools(router_id, message)
            case Commit(txn_id):
                self._only_staged[router_id].discard(txn_id)
            case Abort(txn_id):
                self.came_to_nothing(router_id, txn_id)
        return message

    def _with_pools(self, router_id: str, stage: Stage) -> Stage:
        """A stage with what its shared standbys need there."""
        ways = dict.fromkeys(
            link_direction(hop.egress_link_id, router_id)
            for hop in stage.hops
            if hop.shared_standby
        )
        if not ways:
            return stage
        self._only_staged[router_id].add(stage.txn_id)
        return replace(stage, pools=self._tell(router_id, stage.txn_id, ways))

    def tell(self) -> None:
        """Lower what fewer standbys need by now. Whoever needs more brings it along."""
        self._stale |= self._reservations.take_changed_pools()
        waiting = {way for way in self._stale if self._unpromoted_on.get(way)}
        lower = []
        for way in sorted(self._stale - waiting) if self._stale else ():
            if way.from_router_id in self._read and self._is_to_be_lowered(way):
                lower.append(way)
        self._stale = waiting
        self._tell_alone(lower)

    def _is_to_be_lowered(self, way: Resource) -> bool:
        last = self._last(way)
        return last is None or self._needed(way) < last

    def _last(self, way: Resource) -> int | None:
        """What its sender was told last; None where that came to nothing."""
        told = self._told.get(way)
        return told.last if told is not None else 0

    def _tell_alone(self, ways: Iterable[Resource]) -> None:
        at: defaultdict[str, list[Resource]] = defaultdict(list)
        for way in ways:
            at[way.from_router_id].append(way)
        for router_id, some in at.items():
            txn_id = self._transactions.new_id()
            pools = self._tell(router_id, txn_id, some)
            self._send(router_id, Stage(txn_id, self._lease_ms, (), pools))
            self._send(router_id, Commit(txn_id))

    def _tell(
        self, router_id: str, txn_id: int, ways: Iterable[Resource]
    ) -> tuple[StandbyPool, ...]:
        pools = []
        for way in ways:
            needed, before = self._needed(way), self._told.get(way)
            most = max(needed, before.most) if before is not None else needed
            self._told[way] = _Told(txn_id, needed, most)
            self._keep(way)
            pools.append(StandbyPool(way.id, self._received_w(way, needed)))
        self._under_way[router_id][txn_id] = tuple(ways)
        return tuple(pools)

    def _received_w(self, way: Resource, quanta: int) -> float:
        return quanta / QUANTA * self._reservations.voltage_v(way)

    def _needed(self, way: Resource) -> int:
        """Until its router knows that a standby is promoted, the pool has room for it as before."""
        return self._reservations.needed_pool(way) + self._unpromoted_on.get(way, 0)

    def _keep(self, way: Resource) -> None:
        """Reserve what the sender may allow; what it allows to those that were promoted they hold firmly already."""
        told = self._told.get(way)
        most = max(0, told.most - self._unpromoted_on.get(way, 0)) if told is not None else 0
        self._reservations.keep_pool(way, most)

    # What becomes of it

    def on_committed(self, router_id: str, txn_id: int) -> None:
        """The router knows of these pools, and of none from before."""
        for way in self._under_way[router_id].pop(txn_id, ()):
            told = self._told.get(way)
            if told is not None and told.txn_id == txn_id and told.last is not None:
                told.most = told.last
                if not told.most:
                    del self._told[way]
                self._keep(way)

    def came_to_nothing(self, router_id: str, txn_id: int) -> None:
        """The transaction was refused, or aborted: the router knows of other pools."""
        self._only_staged[router_id].discard(txn_id)
        for way in self._under_way[router_id].pop(txn_id, ()):
            told = self._told.get(way)
            if told is not None and told.txn_id == txn_id:
                told.last = None
                self._stale.add(way)

    def promoting(self, key: CircuitGeneration, route: Route) -> None:
        """A shared standby is the working generation by now. Its routers hear so once that is durable."""
        self._unpromoted[key] = held = {
            link_direction(link.link_id, link.from_router_id): quanta_of(link.current_a)
            for link in route.links
        }
        for way, quanta in held.items():
            self._unpromoted_on[way] += quanta
            self._keep(way)

    def promoted(self, key: CircuitGeneration) -> None:
        """Its routers are told."""
        for way, quanta in self._unpromoted.pop(key, {}).items():
            self._unpromoted_on[way] -= quanta
            if not self._unpromoted_on[way]:
                del self._unpromoted_on[way]
            if (told := self._told.get(way)) is not None:
                # The rest of the pool is what they allow to others, until they know of less.
                told.most = max(0, told.most - quanta)
                self._stale.add(way)

    def on_disconnected(self, router_id: str) -> None:
        """What was under way may have arrived, or not; it is read when the router is back."""
        for txn_id in list(self._under_way[router_id]):
            self.came_to_nothing(router_id, txn_id)
        self._before.pop(router_id, None)
        self._read.discard(router_id)

    def reading(self, router_id: str, read_id: int) -> None:
        """A router is asked for its table."""
        only_staged = self._only_staged[router_id]
        self._before[router_id][read_id] = tuple(
            txn_id for txn_id in self._under_way[router_id] if txn_id not in only_staged
        )

    def not_reading(self, router_id: str, read_id: int) -> None:
        """Its answer was taken, or nobody waits for it any more."""
        self._before.get(router_id, {}).pop(read_id, None)

    def on_table(self, router_id: str, table: CircuitTable) -> None:
        """What a router has, and whether it should. What it was told since is under way, and left for the next time."""
        if not self._holds_pools(router_id):
            self.forget(router_id)
            return
        self._read.add(router_id)
        before = self._before[router_id]
        for txn_id in before.get(table.read_id, ()):
            self._under_way[router_id].pop(txn_id, None)
        wrong = []
        for way, power_w, needed in list(self._said(router_id, table)):
            if self._is_as_needed(way, power_w, needed):
                self._told[way] = _Told(0, needed, needed)
                if not needed:
                    del self._told[way]
            else:
                voltage_v = self._reservations.voltage_v(way)
                allowed = quanta_of(power_w / voltage_v) if voltage_v else 0
                self._told[way] = _Told(0, None, allowed)
                wrong.append(way)
            self._keep(way)
        self._tell_alone(wrong)

    def _said(self, router_id: str, table: CircuitTable) -> Iterator[tuple[Resource, float, int]]:
        """Of each direction that a router may have a pool for: what it has (W), and what is needed. What it was told of
        since its table was asked for is left out.
        """
        has_w = {
            link_direction(each.link_id, router_id): each.received_power_w for each in table.pools
        }
        ways = {each for each in self._told if each.from_router_id == router_id}
        ways |= has_w.keys() | set(self._reservations.pools_from(router_id))
        for way in sorted(ways - self._told_since(router_id, table)):
            yield way, has_w.get(way, 0.0), self._needed(way)

    def _told_since(self, router_id: str, table: CircuitTable) -> set[Resource]:
        before = self._before[router_id].get(table.read_id, ())
        told = self._under_way[router_id].items()
        return {way for txn_id, some in told if txn_id not in before for way in some}

    def _is_as_needed(self, way: Resource, power_w: float, needed: int) -> bool:
        needed_w = self._received_w(way, needed)
        return abs(power_w - needed_w) <= _ROUNDING * needed_w

    def compare(self, router_id: str, table: CircuitTable) -> tuple[list[PoolContrast], list[str]]:
        """Pools that a router has otherwise than they are needed, and links of which it is being told, or about to be;
        nothing is changed by this.
        """
        if not self._holds_pools(router_id):
            return [], []
        different: list[PoolContrast] = []
        under_way = [way.id for way in sorted(self._told_since(router_id, table))]
        for way, power_w, needed in self._said(router_id, table):
            if self._is_as_needed(way, power_w, needed):
                continue
            if self._is_to_be_told(way, needed):
                under_way.append(way.id)
            else:
                contrast = PoolContrast(way.id, power_w, self._received_w(way, needed))
                different.append(contrast)
        return different, under_way

    def _is_to_be_told(self, way: Resource, needed: int) -> bool:
        """Whether what is needed has changed since its sender was told: that comes with a stage, or by :meth:`tell`."""
        return needed != self._last(way)

    def forget(self, router_id: str) -> None:
        """The router never returns, or has come back as one that knows of no pools."""
        self._under_way.pop(router_id, None)
        self._only_staged.pop(router_id, None)
        for way in [each for each in self._told if each.from_router_id == router_id]:
            del self._told[way]
            self._keep(way)
