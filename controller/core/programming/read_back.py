"""Reads routers' tables back, on every connect, periodically and when asked, and repairs what differs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.differences import Comparison, Differences
from controller.core.effects import Effect, TableRead
from controller.core.messages import CircuitTable
from controller.core.programming.agenda import Agenda
from controller.core.programming.programming import Programmer


@dataclass(frozen=True, slots=True)
class Seen:
    """What a router held when it was last read in its session, by the links that its hops use."""

    sent_ns: int
    hops: int
    link_ids: frozenset[str]


# A new leader hears first from those whom the change has kept waiting.
_SOON_NS = 50_000_000
_EVERY_NS = 5_000_000


@dataclass(frozen=True, slots=True)
class _Read:
    """One question under way; ``asked``: somebody waits for the answer. ``dry_run``: nothing is repaired."""

    router_id: str
    sent_ns: int
    asked: bool = False
    dry_run: bool = False


class ReadBack:
    """Asks each router that is in step for its table, and hands what it finds to the programmer."""

    def __init__(
        self,
        *,
        live: Mapping[int, Circuit],
        programmer: Programmer,
        emit: Callable[[Effect], None],
        interval_ns: int,
        first_read_id: int,
    ) -> None:
        self._live = live
        self._programmer = programmer
        self._emit = emit
        self._interval_ns = interval_ns
        self._read_ids = count(first_read_id)
        self._under_way: dict[int, _Read] = {}
        # Of each router that is in step: the newest read that nobody asked for, and when the next is due.
        self._periodic: dict[str, int] = {}
        self._next: Agenda[str] = Agenda()
        self._seen: dict[str, Seen] = {}
        # By read: tables that are being compared.
        self._comparing: dict[int, Comparison] = {}
        # Counts the tables that were taken.
        self.tables = 0

    def next_deadline_ns(self) -> int | None:
        return self._next.next_ns()

    def on_timer(self, now_ns: int) -> None:
        for router_id in self._next.due(now_ns):
            self.read(router_id, now_ns)

    def read(self, router_id: str, now_ns: int) -> None:
        """Ask now. An answer to an earlier question that nobody waits for no longer counts, unless it is being
        compared: whoever reads again and again would never come to an end.
        """
        earlier = self._periodic.get(router_id, 0)
        if earlier not in self._comparing:
            self._drop(earlier)
        self._periodic[router_id] = self._send(_Read(router_id, now_ns))
        self._next.set(router_id, now_ns + self._interval_ns)

    def read_soon(self, router_ids: Iterable[str], now_ns: int) -> None:
        """Ask one after another, in this order: tables that all come at once would keep from being answered whoever
        asks for power meanwhile.
        """
        for number, router_id in enumerate(router_ids):
            self._next.set(router_id, now_ns + _SOON_NS + number * _EVERY_NS)

    def ask(self, router_id: str, now_ns: int, *, dry_run: bool) -> int:
        """Read a router for somebody, who gets a TableRead with this id, or gives up by :meth:`abandon`.

        One that was not read since its session or the term began is read for good first: what it runs otherwise is
        about to be found and repaired, and then it is under way.
        """
        if router_id not in self._seen and self._periodic.get(router_id) not in self._under_way:
            self.read(router_id, now_ns)
        return self._send(_Read(router_id, now_ns, asked=True, dry_run=dry_run))

    def abandon(self, read_ids: Iterable[int]) -> None:
        """Nobody waits for these any more."""
        for read_id in read_ids:
            self._drop(read_id)

    def _drop(self, read_id: int) -> _Read | None:
        read = self._under_way.pop(read_id, None)
        self._comparing.pop(read_id, None)
        if read is not None:
            self._programmer.orders.answered(read.router_id, read_id)
            self._programmer.pools.not_reading(read.router_id, read_id)
        return read

    def _send(self, read: _Read) -> int:
        read_id = next(self._read_ids)
        self._under_way[read_id] = read
        self._programmer.pools.reading(read.router_id, read_id)
        self._programmer.orders.ask(read.router_id, read_id)
        return read_id

    def read_route(self, circuit: Circuit, now_ns: int) -> None:
        """Power is missing and no line is known to be down: perhaps a router has lost its hop."""
        newest = circuit.newest()
        for router_id in newest.route.router_ids if newest else ():
            if router_id in self._next:
                self.read(router_id, now_ns)

    def forget(self, router_id: str) -> None:
        """The router is away; it is read when it is back."""
        self._periodic.pop(router_id, None)
        self._next.drop(router_id)
        self._seen.pop(router_id, None)
        for read_id in [
            key for key, each in self._under_way.items() if each.router_id == router_id
        ]:
            read = self._drop(read_id)
            if read is not None and read.asked:
                self._emit(TableRead(router_id, read_id, None))

    def seen(self, router_id: str) -> Seen | None:
        """None for a router that was not read since its session began."""
        return self._seen.get(router_id)

    def awaits(self, router_id: str, read_id: int) -> bool:
        read = self._under_way.get(read_id)
        return read is not None and read.router_id == router_id

    def on_table_slice(
        self, router_id: str, table: CircuitTable, now_ns: int
    ) -> Differences | None:
        """Compare one more slice with what the router should run, and repair what differs there if that is wanted.

        What was found until now: to be called again with the same table until that is ``whole``. None for an answer
        that nobody waits for (any more).
        """
        if not self.awaits(router_id, table.read_id):
            return None
        read = self._under_way[table.read_id]
        comparison = self._comparing.get(table.read_id)
        if comparison is None:
            comparison = self._comparing[table.read_id] = self._begin(router_id, table)
        fresh = comparison.advance()
        if not read.dry_run:
            self._repair(router_id, fresh, now_ns)
        if fresh.whole:
            self._end(read, table, comparison)
        return comparison.found

    def _begin(self, router_id: str, table: CircuitTable) -> Comparison:
        programmer = self._programmer
        told = programmer.orders.told_since(router_id, table.read_id)
        comparison = Comparison(
            router_id,
            table,
            sorted(programmer.circuit_ids_at(router_id)),
            self._live,
            lambda key: key in told or programmer.is_to_be_withdrawn(key),
        )
        # Before repairs bring other pools.
        found = comparison.found
        found.pools, found.pools_under_way = programmer.pools.compare(router_id, table)
        return comparison

    def _end(self, read: _Read, table: CircuitTable, comparison: Comparison) -> None:
        router_id = read.router_id
        link_ids = frozenset(comparison.link_ids - {""})
        self._seen[router_id] = Seen(read.sent_ns, len(table.hops), link_ids)
        self.tables += 1
        if read.asked:
            self._emit(TableRead(router_id, table.read_id, comparison.found))
        if not read.dry_run:
            self._programmer.repairs.abort_unknown(router_id, table.staged_txn_ids)
            self._programmer.pools.on_table(router_id, table)
        self._drop(table.read_id)

    def _repair(self, router_id: str, found: Differences, now_ns: int) -> None:
        for generation in found.confirmed:
            self._programmer.confirm(router_id, generation, now_ns)
        for generation in found.other_role:
            # It is there, whatever its role.
            self._programmer.confirm(router_id, generation, now_ns)
            self._programmer.align_role(router_id, generation)
        for generation in found.absent:
            self._programmer.absent(router_id, generation, now_ns)
        self._programmer.repairs.program(router_id, found.missing, now_ns)
        for generation in found.different:
            reason = f"router {router_id} runs another route for it"
            self._programmer.fail(generation, now_ns, reason)
        for generation in found.lingering:
            self._programmer.withdraw(generation, now_ns)
        if found.excess:
            self._programmer.repairs.remove(router_id, tuple(found.excess))
