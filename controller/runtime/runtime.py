"""Runtime: owns the core, is its only caller and only writer in one asyncio loop, and carries its effects out.

Whether it leads or stands by, routers are heard. Clients' changes are for the leader.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from controller.core.access import Call
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.records import StateChange, StoredState
from controller.core.circuits.request import PowerRequest
from controller.core.controller import Controller
from controller.core.effects import Effect, Persist, Send
from controller.core.errors import Refusal
from controller.core.messages import ToRouter
from controller.core.replica import Replica
from controller.core.role import Core
from controller.core.settings import CoreSettings
from controller.runtime.core_timer import CoreTimer
from controller.runtime.durability import Decided, Durability, StoreFailed
from controller.runtime.feeds import Feeds
from controller.runtime.leadership import Leadership
from controller.runtime.reads import Reads
from controller.runtime.stored_reads import StoredReads
from controller.store.protocol import Leader, LeadershipLost, Standby, Store, StoreError
from controller.store.records_codec import garbage_collection_paused
from controller.tallies import LeadEvent, Part, SessionEvent, Tallies
from digitalgrid.capabilities import UNSAID, Capability
from digitalgrid.garbage_collector import freeze_term
from digitalgrid.model import NO_ELECTION_ID, ElectionId
from digitalgrid.reasons import Reason

if TYPE_CHECKING:
    from controller.tracing.tracing import Tracing

_log = logging.getLogger(__name__)
T = TypeVar("T")
C = TypeVar("C", bound=Core)

# Backpressure: changes that wait for the store; then it is slower than those who ask, and they are told.
MAX_UNWRITTEN = 4096
# Where a call is turned away so, nothing was decided of it, and writing it down would only add to the load.
_UNDECIDED = frozenset({Reason.OVERLOADED, Reason.NO_LEADER, Reason.NOT_LEADER, Reason.LEAVING})
# Effects that wait for the end of a turn: who must move at once does not wait for all else that a cut line brings.
MAX_PENDING = 64
_NOT_TRACED = nullcontext()


class Runtime(Reads):
    """Events go in through :meth:`handle` and :meth:`tell`, from the loop's own thread; reads are :attr:`questions`.

    A failure of the store, or an exception of the core that is no Refusal, ends the daemon by way of
    :attr:`failure`: the routers run on, and a restarted daemon knows exactly what is durable. Who loses the lead to
    another goes on as a standby.
    """

    def __init__(
        self,
        settings: CoreSettings,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        calendar_ns: Callable[[], int] = time.time_ns,
        tracing: "Tracing | None" = None,
    ) -> None:
        super().__init__(Replica.new(settings, clock_ns()), clock_ns)
        settings = replace(settings, stopwatch_ns=time.perf_counter_ns)
        self.tracing = tracing
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._calendar_ns = calendar_ns
        self.tallies = Tallies()
        self._durability = Durability(self.tallies.commits_s)
        self._leadership = Leadership()
        self.stored = StoredReads(self._durability, self._store_to_read)
        # Of a cluster, as was last heard; None where there is none, or nobody has said.
        self.standbys: tuple[Standby, ...] | None = None
        self._timer = CoreTimer(clock_ns, lambda: self._core.next_deadline_ns(), self._on_timer)
        self._routers: dict[str, Callable[[ToRouter], None]] = {}
        self._in_turn = self._closed = False
        self.feeds = Feeds()
        self.failure: asyncio.Future[Exception] = self._loop.create_future()
        self.failure.add_done_callback(lambda _: self._timer.close())

    # Roles

    @property
    def leads(self) -> bool:
        return isinstance(self._core, Controller)

    @property
    def leader(self) -> Leader | None:
        """Who leads, where another does."""
        return self._leadership.leader

    @property
    def election_id(self) -> ElectionId:
        """That of the term, zero for a standby."""
        store = self._durability.store
        return store.election_id if store is not None and self.leads else NO_ELECTION_ID

    def lead(self, store: Store) -> None:
        """Take the store over for a term, and the network as it is known."""
        with garbage_collection_paused():
            stored = store.load()
            self.set_leader(None)
            self._durability.begin_term(store)
            self._core = Controller.succeeding(
                self._core,
                stored,
                self._settings,
                self._clock_ns(),
                began_unix_ns=self._calendar_ns(),
                followed=self._warm,
            )
            freeze_term()
        self._warm = True
        store.start(
            partial(self._from_thread, self._on_durable, store),
            partial(self._from_thread, self._on_store_failure, store),
        )
        vitals = self.stored.vitals
        given = vitals is not None and vitals.given
        self.tallies.lead_events[LeadEvent.GIVEN if given else LeadEvent.ELECTED] += 1
        self._role_changed()
        self._pump()
        known = self._core.questions
        _log.info(
            "leading, election id %d.%d: %d circuits stand, %d that have ended are remembered",
            *store.election_id,
            len(known.standing),
            len(known.circuits) - len(known.standing),
        )

    def follow(self, stored: StoredState) -> None:
        """Another leads, or nobody: this is what is durable."""
        if not isinstance(self._core, Replica):
            raise RuntimeError("who leads decides what is durable, and does not follow")
        self._core.on_state(stored)
        self._warm = True
        self._role_changed()
        self._pump()

    def apply(self, change: StateChange) -> None:
        """The leader has made this durable."""
        if isinstance(self._core, Replica):
            self._core.on_change(change)
            self._pump()

    def set_leader(self, leader: Leader | None) -> None:
        """Another leads, or nobody."""
        self._leadership.set_leader(leader)

    def set_standbys(self, standbys: tuple[Standby, ...]) -> None:
        """Who stands by, whoever would lead next first."""
        self.standbys = standbys

    async def somebody_leads(self, within_s: float) -> None:
        """Return once it is known who leads, or will not be known here any more, or when it takes too long."""
        await self._leadership.wait(within_s)

    async def resign(self, let_go: Callable[[], None]) -> None:
        """Decide nothing more; ``let_go`` makes durable what was decided, and lets go of the store and the lead.

        Who asks meanwhile waits to be told who leads next.
        """
        store = self._durability.store
        if store is not None:
            self._pump()
            self._stand_by(LeadEvent.HANDED_OVER)
        await self._loop.run_in_executor(None, let_go)
        if store is not None:
            # The last tickets were reported before the store was closed, and are in the loop's queue.
            self._loop.call_soon(self._end_term, store, "the lead was handed over")
        self._leadership.leave()

    def _stand_by(self, how: LeadEvent) -> None:
        self.tallies.lead_events[how] += 1
        self._core = Replica.succeeding(self._core, self._clock_ns())
        self._warm = False
        self._role_changed()

    def _end_term(self, store: Store, reason: str) -> None:
        """Who waits for something to become durable will not hear of it any more."""
        if store is self._durability.store:
            self._durability.end_term(reason)

    def _role_changed(self) -> None:
        self._leadership.set_here(self.leads)
        self.feeds.roles.publish()

    def may_act(self) -> bool:
        """Whether this controller leads, and nobody else can yet: asked before each word to a router."""
        store = self._durability.store
        return store is not None and self.leads and store.may_act()

    # Events

    def handle(self, call: Call, event: Callable[[Controller, int], T]) -> T:
        """Let the leading core take a client's event, at the present time, and carry out what follows.

        Of an event that failed half-way nothing is carried out: what is durable is whole. A Refusal is noted.
        """
        at_unix_ns = self._calendar_ns()
        with self._traced((call,)):
            return self._ask(lambda core, now_ns: core.answer(call, at_unix_ns, event, now_ns))

    def handle_requests(
        self, asked: Sequence[tuple[Call, PowerRequest]]
    ) -> list[list[Circuit] | Refusal]:
        """Likewise with several clients' requests at once: the circuits of each, or why it was refused."""
        at_unix_ns = self._calendar_ns()
        self.tallies.batch_sizes.observe(len(asked))
        with self._traced([call for call, _ in asked]):
            return self._ask(lambda core, now_ns: core.answer_requests(asked, at_unix_ns, now_ns))

    def _traced(self, calls: Sequence[Call]) -> AbstractContextManager[None]:
        return (
            _NOT_TRACED
            if self.tracing is None
            else self.tracing.deciding(calls, self._core.questions)
        )

    @contextmanager
    def noting(self, call: Call) -> Iterator[None]:
        """A refusal that leaves is noted, whoever raised it; once, however many steps the call has."""
        try:
            yield
        except Refusal as refusal:
            self.note(call, refusal)
            raise

    def note(self, call: Call, refusal: Refusal) -> None:
        """A call was refused on its way to the core, or between its steps."""
        if isinstance(self._core, Controller) and refusal.reason not in _UNDECIDED:
            self._core.note_refusal(call, refusal, self._calendar_ns())
            self._pump()

    def _ask(self, event: Callable[[Controller, int], T]) -> T:
        if not isinstance(self._core, Controller):
            raise self._leadership.refusal()
        if self._durability.unwritten > MAX_UNWRITTEN:
            self.tallies.rejected["store"] += 1
            raise Refusal(
                Reason.OVERLOADED,
                "the store has not caught up with what was decided; try again in a moment",
            )
        try:
            return self._let(event, self._core, Part.CLIENTS)
        finally:
            self._pump()

    def tell(self, event: Callable[[Core, int], T], part: Part = Part.ROUTERS) -> T:
        """What a router says, to whoever leads or stands by.

        Routers say much at a time: what follows from all of it is carried out at the end of this turn of the loop,
        or as soon as it is much.
        """
        self._begin_turn()
        result = self._let(event, self._core, part)
        if self._core.pending_effects > MAX_PENDING:
            self._pump()
        return result

    def _begin_turn(self) -> None:
        if not self._in_turn:
            self._in_turn = True
            self._core.begin(self._calendar_ns(), self._clock_ns())
            self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._in_turn = False
        if not self._closed:
            self._pump()

    def _let(self, event: Callable[[C, int], T], core: C, part: Part) -> T:
        begun_s = perf_counter()
        try:
            return event(core, self._clock_ns())
        except Refusal:
            raise
        except Exception as error:
            core.drop_effects()
            _log.critical("the core failed; stopping", exc_info=True)
            self._fail(error)
            raise
        finally:
            self.tallies.busy_s[part] += perf_counter() - begun_s

    def attach(
        self,
        router_id: str,
        send: Callable[[ToRouter], None],
        instance_id: bytes = b"",
        capabilities: Collection[Capability] = UNSAID,
    ) -> None:
        """A router's session begins; what the core has for it goes to ``send``."""
        self._routers[router_id] = send
        self.tallies.sessions[SessionEvent.OPENED] += 1
        self.tell(
            lambda core, now_ns: core.on_connected(router_id, now_ns, instance_id, capabilities)
        )

    def detach(self, router_id: str) -> None:
        self._routers.pop(router_id, None)
        self.tallies.sessions[SessionEvent.CLOSED] += 1
        self.tell(lambda core, now_ns: core.on_disconnected(router_id, now_ns))

    def close(self) -> None:
        self._closed = True
        self._timer.close()
        if self._durability.store is not None:
            self._durability.store.close()

    def _on_timer(self) -> None:
        self.tell(lambda core, now_ns: core.on_timer(now_ns), Part.TIMER)

    # Effects

    def _pump(self) -> None:
        begun_s = perf_counter()
        while effects := self._core.take_effects():
            for effect in effects:
                self._carry_out(effect)
        self._timer.arm()
        self.tallies.busy_s[Part.EFFECTS] += perf_counter() - begun_s

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send(router_id, message):
                send = self._routers.get(router_id)
                if send is not None and self.may_act():
                    send(message)
            case Persist(ticket, change):
                self._durability.submit(ticket, change, self._clock_ns)
            case _:
                self.feeds.publish(effect)

    # Durability

    @property
    def unwritten(self) -> int:
        """How many changes are on their way to the store."""
        return self._durability.unwritten

    def decided(self) -> Decided:
        """Everything that was decided until now."""
        return self._durability.decided()

    async def durable(self, decided: Decided | None = None) -> None:
        """Return once it is durable, by default all until now; StoreFailed if it cannot be."""
        if self.failure.done():
            raise StoreFailed(str(self.failure.result()))
        with _NOT_TRACED if self.tracing is None else self.tracing.step("store.commit"):
            await self._durability.wait_for(decided or self.decided())

    async def _store_to_read(self) -> Store:
        """Once it has all that was decided by now: whoever has seen that a circuit has ended finds its end there.

        Refusal by others than who leads, as only its store can be read; StoreFailed where it never will have it.
        """
        store = self._durability.store
        if store is None or not self.leads:
            raise self._leadership.refusal()
        await self.durable()
        return store

    def _on_durable(self, store: Store, ticket: int) -> None:
        if store is not self._durability.store:
            return
        self._durability.made_durable(ticket, self._clock_ns)
        # Who resigns waits for the last tickets, and decides nothing more.
        if isinstance(self._core, Controller):
            self._begin_turn()
            self._let(lambda core, now_ns: core.on_durable(ticket, now_ns), self._core, Part.STORE)

    def _on_store_failure(self, store: Store, error: StoreError) -> None:
        if store is not self._durability.store:
            return
        if isinstance(error, LeadershipLost):
            _log.warning("%s; standing by", error)
            self._stand_by(LeadEvent.LOST)
            self._end_term(store, str(error))
        else:
            _log.critical("%s; stopping, nothing that was promised is lost", error)
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.failure.done():
            self.failure.set_result(error)
        self._durability.give_up(str(error))

    def _from_thread(self, callback: Callable[..., None], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)
