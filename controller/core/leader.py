"""Leadership: what the leader does at events of routers, of the store and of time.

Clients' and operators' events are :class:`controller.core.controller.Controller`'s.
"""

from collections.abc import Collection
from typing import Self

from controller.core.book.book import CircuitBook
from controller.core.circuits.differences import Differences
from controller.core.circuits.records import StoredState
from controller.core.circuits.reservations import Reservations
from controller.core.effects import Effect, Send, TopologyChanged
from controller.core.messages import (
    Abort,
    CircuitStatus,
    CircuitTable,
    Commit,
    Drain,
    ReadTable,
    Stage,
    TransactionResult,
    Withdraw,
)
from controller.core.network.network import Network
from controller.core.network.owners import RefusedClaim
from controller.core.network.view import change_of
from controller.core.role import Core
from controller.core.settings import CoreSettings
from controller.core.wiring import Parts
from digitalgrid.capabilities import UNSAID, Capability
from digitalgrid.model import Operation, ResultCode, RouterLsa
from digitalgrid.units import NS_PER_S

# Bits of an id below the epoch: ids of transactions and reads in one term.
_ID_BITS = 32
# What routers answer with a result.
_OPERATIONS: dict[type, Operation] = {
    Stage: Operation.STAGE,
    Commit: Operation.COMMIT,
    Abort: Operation.ABORT,
    Drain: Operation.DRAIN,
    Withdraw: Operation.WITHDRAW,
}
_NS_PER_DAY = 86_400 * NS_PER_S


class Leader(Core):
    """One digital grid in the hands of its leader: its link state, its circuits and its reservations.

    ``network`` is what was known of routers before this term; nothing if not given. ``began_unix_ns`` is when the
    term begins, for the audit trail. ``followed``: see :class:`CircuitBook`.
    """

    def __init__(
        self,
        stored: StoredState,
        settings: CoreSettings,
        now_ns: int,
        network: Network | None = None,
        began_unix_ns: int = 0,
        followed: CircuitBook | None = None,
    ) -> None:
        effects: list[Effect] = []
        super().__init__(
            network or Network(settings.lsa_max_age_ns),
            CircuitBook(stored, effects.append, began_unix_ns, followed),
            Reservations(),
            effects,
        )
        self._network.adopt_owners(stored.routers)
        self._network.lateness.begin_term()
        self._network.admin.adopt(stored.drains)
        self._forget_after_ns = settings.forget_routers_after_ns
        self._look_for_absent_ns = now_ns + self._forget_after_ns
        # By how much the calendar is ahead of the clock of events.
        self._ahead_ns = began_unix_ns - now_ns
        self._parts = Parts(
            network=self._network,
            book=self._book,
            reservations=self._reservations,
            settings=settings,
            emit=effects.append,
            # No answer to a question of an earlier term is taken for one to a question of this.
            first_id=(stored.epoch << _ID_BITS) + 1,
            now_ns=now_ns,
            calendar_ns=lambda at_ns: at_ns + self._ahead_ns,
        )
        self._questions.led_by(self._parts.programmer, self._parts.searches)
        # Of the last event.
        self._now_ns = now_ns
        self._parts.keeper.restore(now_ns)
        self._store_owners()
        self._adopt_view(now_ns)
        self._parts.keeper.take_over(now_ns)
        self._settle(now_ns)

    @classmethod
    def succeeding(
        cls,
        before: Core,
        stored: StoredState,
        settings: CoreSettings,
        now_ns: int,
        *,
        began_unix_ns: int,
        followed: bool,
    ) -> Self:
        """A new term on the network as ``before`` knew it, and on its circuits if it has followed all of them."""
        return cls(
            stored,
            settings,
            now_ns,
            before._network,
            began_unix_ns,
            before._book if followed else None,
        )

    # Effects and time

    def begin(self, at_unix_ns: int, now_ns: int) -> None:
        """Likewise; what is due by the calendar follows a clock that was set anew."""
        super().begin(at_unix_ns, now_ns)
        self._ahead_ns = at_unix_ns - now_ns

    def take_effects(self) -> list[Effect]:
        """Of all events since they were last taken: what these decided reaches routers together, in few messages."""
        self._parts.keeper.go_ahead(self._now_ns)
        self._book.write_audit()
        effects = super().take_effects()
        for each in effects:
            if isinstance(each, Send) and not isinstance(each.message, ReadTable):
                operation = _OPERATIONS.get(type(each.message))
                if operation is not None:
                    asked = (each.message.txn_id, operation)
                    self._network.lateness.note_asked(each.router_id, asked, self._now_ns)
        return effects

    def next_deadline_ns(self) -> int | None:
        parts = self._parts
        deadlines = [
            each.next_deadline_ns()
            for each in (
                parts.programmer,
                parts.mover,
                parts.regainer,
                parts.preempter,
                parts.protector,
                parts.provisioner,
                parts.pairer,
                parts.read_back,
                parts.room_maker,
                parts.drainer,
            )
        ]
        if self._forget_after_ns:
            deadlines.append(self._look_for_absent_ns)
        return min((each for each in deadlines if each is not None), default=None)

    def on_timer(self, now_ns: int) -> None:
        self._parts.programmer.on_timer(now_ns)
        self._parts.mover.on_timer(now_ns)
        self._parts.regainer.on_timer(now_ns)
        self._parts.preempter.on_timer(now_ns)
        self._parts.keeper.on_timer(now_ns)
        self._parts.provisioner.on_timer(now_ns)
        self._parts.pairer.on_timer(now_ns)
        self._parts.read_back.on_timer(now_ns)
        self._forget_long_absent(now_ns)
        self._parts.room_maker.look(now_ns)
        self._adopt_view(now_ns)
        self._settle(now_ns)

    def _forget_long_absent(self, now_ns: int) -> None:
        """A router that never came again and holds nothing does not fill the memory for ever, nor keep ids from others.

        Absence counts from when it was last heard of, and at the earliest from the beginning of the term.
        """
        if not self._forget_after_ns or now_ns < self._look_for_absent_ns:
            return
        self._look_for_absent_ns = now_ns + _absence_interval_ns(self._forget_after_ns)
        with self._book.together():
            for router_id in self._parts.forgetter.long_absent(now_ns - self._forget_after_ns):
                self._network.remove(router_id)
                days = self._forget_after_ns / _NS_PER_DAY
                self._book.audit.note(
                    "forget-router", router_id, "forgotten", f"was not heard of for {days:.3g} days"
                )
            self._store_owners()
            self._parts.drainer.forget_unknown()

    def on_durable(self, ticket: int, now_ns: int) -> None:
        """The store has written this and every earlier ticket."""
        self._parts.programmer.made_durable(self._book.made_durable(ticket), now_ns)
        self._settle(now_ns)

    # Routers

    def on_connected(
        self,
        router_id: str,
        now_ns: int,
        instance_id: bytes = b"",
        capabilities: Collection[Capability] = UNSAID,
    ) -> None:
        if self._network.has_session(router_id):
            self.on_disconnected(router_id, now_ns)
        self._network.connect(router_id, instance_id, capabilities)

    def on_disconnected(self, router_id: str, now_ns: int) -> None:
        """No news of its lines: circuits run on, but nothing new is admitted over it."""
        self._network.disconnect(router_id)
        if self._network.knows(router_id):
            self._network.lateness.note_gone(router_id, now_ns)
        self._parts.read_back.forget(router_id)
        self._parts.programmer.on_disconnected(router_id, now_ns)
        self._adopt_view(now_ns)
        self._settle(now_ns)

    def on_lsa(self, lsa: RouterLsa, now_ns: int) -> tuple[RefusedClaim, ...] | None:
        self._network.lateness.note_heard(lsa.router_id, now_ns)
        if self._network.install(lsa, now_ns):
            self._store_owners()
            self._adopt_view(now_ns)
            self._settle(now_ns)
        refused = self._network.changed_refusals(lsa.router_id)
        if refused is not None:
            self._effects.append(TopologyChanged())
        return refused

    def _store_owners(self) -> None:
        """Whatever routers have registered or let go of since."""
        self._book.persist_owners(*self._network.lsdb.owners.take_changes())

    def on_sync_done(self, router_id: str, now_ns: int) -> None:
        """Use the router, and read back what it runs."""
        if not self._network.has_session(router_id):
            return
        self._network.set_in_step(router_id)
        self._adopt_view(now_ns)
        self._parts.read_back.read(router_id, now_ns)
        self._settle(now_ns)

    def on_result(self, router_id: str, result: TransactionResult, now_ns: int) -> None:
        asked = (result.txn_id, result.operation)
        took_ns = self._network.lateness.note_answer(router_id, asked, now_ns)
        self._network.answers.note(result.operation, result.code, took_ns)
        self._network.lateness.note_heard(router_id, now_ns, result.late_ns)
        self._parts.programmer.answers.on_result(router_id, result, now_ns)
        if result.operation is Operation.STAGE and result.code is ResultCode.OK:
            # The commonest answer of all decides nothing that others would follow: at most a group is committed.
            self._now_ns = now_ns
        else:
            self._settle(now_ns)

    def on_status(self, router_id: str, status: CircuitStatus, now_ns: int) -> None:
        self._network.lateness.note_heard(router_id, now_ns, status.late_ns)
        # Who was deposed hears of what others have decided before it hears that, and is not told again.
        self._network.measure(router_id, status, self._parts.programmer.sink_of)
        self._parts.keeper.hear(router_id, status, now_ns)
        self._settle(now_ns)

    def awaits_table(self, router_id: str, read_id: int) -> bool:
        return self._parts.read_back.awaits(router_id, read_id)

    def on_table_slice(
        self, router_id: str, table: CircuitTable, now_ns: int
    ) -> Differences | None:
        if not self._network.has_session(router_id):
            return None
        self._network.lateness.note_heard(router_id, now_ns)
        self._network.set_table_version(router_id, table.table_version)
        found = self._parts.read_back.on_table_slice(router_id, table, now_ns)
        self._settle(now_ns)
        return found

    # Consequences

    def _adopt_view(self, now_ns: int) -> None:
        """Look at the network again; where it differs, move what must move."""
        before = self._parts.admission.view
        view = self._network.view(now_ns)
        if view == before:
            return
        self._parts.admission.adopt(view)
        self._effects.append(TopologyChanged())
        self._parts.curtailer.on_view(change_of(before, view).sources)
        self._parts.mover.on_view(before, now_ns)

    def _settle(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._parts.keeper.settle(now_ns)
        self._parts.curtailer.look()
        self._parts.regainer.look(now_ns)
        self._parts.preempter.look(now_ns)
        self._parts.protector.look(now_ns)
        self._parts.pairer.look(now_ns)
        if self._parts.drainer.look(now_ns):
            self._adopt_view(now_ns)
            self._parts.keeper.settle(now_ns)


def _absence_interval_ns(forget_after_ns: int) -> int:
    """How often to look: often enough for the time to be kept, and seldom, for it looks at all that is held."""
    return max(NS_PER_S, forget_after_ns // 16)
