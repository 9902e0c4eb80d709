"""Reads routers' tables back, on every connect and periodically, and repairs what differs."""

from collections.abc import Callable, Mapping
from itertools import count

from controller.core.circuit import Circuit
from controller.core.effects import Effect, Send
from controller.core.messages import CircuitTable, ReadTable
from controller.core.programming import Programmer
from controller.core.reconcile import Differences, compare


class ReadBack:
    """Asks each router that is in step for its table, and hands what it finds to the programmer."""

    def __init__(
        self,
        live: Mapping[int, Circuit],
        programmer: Programmer,
        emit: Callable[[Effect], None],
        interval_ns: int,
    ) -> None:
        self._live = live
        self._programmer = programmer
        self._emit = emit
        self._interval_ns = interval_ns
        self._read_ids = count(1)
        # Of each router that is in step: the read under way, when it was sent, and when the next is due.
        self._sent: dict[str, tuple[int, int]] = {}
        self._next_ns: dict[str, int] = {}

    def next_deadline_ns(self) -> int | None:
        return min(self._next_ns.values(), default=None)

    def on_timer(self, now_ns: int) -> None:
        for router_id in [key for key, due_ns in self._next_ns.items() if due_ns <= now_ns]:
            self.read(router_id, now_ns)

    def read(self, router_id: str, now_ns: int) -> None:
        """Ask now; an answer to an earlier question no longer counts."""
        read_id = next(self._read_ids)
        self._sent[router_id] = (read_id, now_ns)
        self._next_ns[router_id] = now_ns + self._interval_ns
        self._emit(Send(router_id, ReadTable(read_id)))

    def read_route(self, circuit: Circuit, now_ns: int) -> None:
        """Power is missing and no line is known to be down: perhaps a router has lost its hop."""
        newest = circuit.newest()
        for router_id in newest.route.router_ids if newest else ():
            if router_id in self._next_ns:
                self.read(router_id, now_ns)

    def forget(self, router_id: str) -> None:
        """The router is away; it is read when it is back."""
        self._sent.pop(router_id, None)
        self._next_ns.pop(router_id, None)

    def on_table(self, router_id: str, table: CircuitTable, now_ns: int) -> Differences | None:
        """Repair what differs from what the router should run; None for an answer that nobody waits for."""
        read_id, sent_ns = self._sent.get(router_id, (0, 0))
        if read_id != table.read_id:
            return None
        del self._sent[router_id]
        found = compare(router_id, self._live.values(), table, sent_ns)
        for generation in found.confirmed:
            self._programmer.confirm(router_id, generation, now_ns)
        for generation in found.absent:
            self._programmer.absent(router_id, generation, now_ns)
        for generation in found.missing:
            self._programmer.repair(router_id, generation)
        for generation in found.different:
            reason = f"router {router_id} runs another route for it"
            self._programmer.fail(generation, now_ns, reason)
        for generation in found.lingering:
            self._programmer.withdraw(generation, now_ns)
        if found.excess:
            self._programmer.remove(router_id, tuple(found.excess))
        return found
