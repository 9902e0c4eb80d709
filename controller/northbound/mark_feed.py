"""The feed of marks: notes them as they happen, whoever watches, and wakes those who wait for more."""

import asyncio
import time
from collections.abc import Mapping

from controller.core.circuits.circuit import Circuit
from controller.core.errors import Refusal
from controller.core.network.view import GridView
from controller.runtime.runtime import Runtime
from controller.watching.mark_log import MarkLog
from controller.watching.marks import CircuitWatch, Mark, Marks, ViewWatch, note_role

# Seconds of pause for each second that a look at the network took: comparing takes a millisecond with a thousand
# routers, and a storm of advertisements must not make it a part of the loop's time that anybody notices.
_PAUSES = 50.0


class MarkFeed:
    """One for a daemon, from its start to its end."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._marks = Marks()
        self._circuits = CircuitWatch(self._marks)
        self._views = ViewWatch(self._marks, runtime.tallies.line_downs)
        # Of the state that is true, while any is known.
        self._known: Mapping[int, Circuit] = {}
        self._view: GridView | None = None
        self._next_look: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._log = MarkLog(self._about)
        # Whether it led when that was last told; a daemon that begins has told nothing.
        self._led: bool | None = None
        runtime.feeds.roles.subscribe(self._note_role)
        runtime.feeds.circuits.subscribe(self._note_circuit)
        runtime.feeds.topology.subscribe(self._note_topology)
        self._note_role()
        self._note_topology()

    def close(self) -> None:
        self._runtime.feeds.roles.unsubscribe(self._note_role)
        self._runtime.feeds.circuits.unsubscribe(self._note_circuit)
        self._runtime.feeds.topology.unsubscribe(self._note_topology)
        if self._next_look is not None:
            self._next_look.cancel()

    @property
    def newest(self) -> int:
        return self._marks.newest

    def has_alarm(self, n: int) -> bool:
        """Whether any with a higher number is one that somebody must know of at once."""
        return self._marks.newest_alarm > n

    def after(self, n: int) -> list[Mark]:
        """All that are kept and have a higher number, oldest first."""
        return self._marks.after(n)

    def since(self, at_unix_ms: int) -> int:
        """The number behind which all is that was noted since then."""
        return self._marks.since(at_unix_ms)

    async def news_after(self, n: int) -> None:
        """Returns once there is a mark with a higher number."""
        while self._marks.newest <= n:
            await self._news.wait()

    def _note_role(self) -> None:
        try:
            questions = self._runtime.questions
        except Refusal:
            self._known = {}
        else:
            self._known = questions.circuits
            self._circuits.begin(questions.standing)
        leads = self._runtime.leads
        if leads is not self._led:
            self._led = leads
            election_id = self._runtime.election_id
            note_role(self._marks, _now(), leads=leads, election_id=election_id)
            self._wake()

    def _note_circuit(self, circuit_id: int) -> None:
        circuit = self._known.get(circuit_id)
        if circuit is not None and self._circuits.look(circuit, self._causes_noted):
            self._wake()

    def _causes_noted(self) -> int:
        """The time; what became of lines and routers stands before what that did to circuits."""
        if self._runtime.view is not self._view:
            if self._next_look is not None:
                self._next_look.cancel()
            self._look()
        return _now()

    def _note_topology(self) -> None:
        """At once, unless that was a moment ago."""
        if self._next_look is None and self._runtime.view is not self._view:
            self._look()

    def _look(self) -> None:
        self._next_look = None
        view = self._runtime.view
        if view is self._view:
            return
        self._view, newest = view, self._marks.newest
        begun_s = time.thread_time()
        self._views.look(view, _now())
        pause_s = _PAUSES * (time.thread_time() - begun_s)
        self._next_look = asyncio.get_running_loop().call_later(pause_s, self._look)
        if self._marks.newest > newest:
            self._wake()

    def _about(self, circuit_id: int) -> dict[str, str]:
        circuit, tracing = self._known.get(circuit_id), self._runtime.tracing
        fields = {"request_id": circuit.request_id} if circuit is not None else {}
        trace_id = tracing.orders.trace_of(circuit_id) if tracing is not None else ""
        return fields | ({"trace_id": trace_id} if trace_id else {})

    def _wake(self) -> None:
        """There are more marks."""
        self._log.note(self._marks.after(self._log.newest), time.monotonic_ns())
        self._news.set()
        self._news = asyncio.Event()


def _now() -> int:
    return time.time_ns() // 1_000_000
