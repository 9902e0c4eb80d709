"""The store in the hands of the leader, for one term, at etcd."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from controller.core.circuits.records import AuditEntry, StateChange, StoredState
from controller.store.etcd.client import EtcdRefused, EtcdUnavailable
from controller.store.etcd.layout import Layout
from controller.store.etcd.mirror import Mirror
from controller.store.etcd.operations import fits, transactions
from controller.store.etcd.parts import Limits
from controller.store.etcd.registers import page_of
from controller.store.etcd.term import Term
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.group_commit import GroupCommit
from controller.store.protocol import (
    AuditQuestion,
    Leader,
    LeadershipLost,
    RegisterPage,
    RegisterQuestion,
    StoreError,
    StoreRoom,
    StoreVitals,
)
from digitalgrid.model import ElectionId

_log = logging.getLogger(__name__)

# Long enough for etcd to elect another leader of its own; the lease ends by itself afterwards.
_RELEASE_WITHIN_S = 1.0


class EtcdStore:
    """A `Store`, for one term. It ends by itself with the lease, or with what cannot be written."""

    def __init__(
        self,
        layout: Layout,
        term: Term,
        limits: Limits,
        is_responsive: Callable[[], bool],
        *,
        given: bool = False,
    ) -> None:
        """``given``: by whoever led before, without an election."""
        self._layout = layout
        self._term = term
        self._state: StoredState | None = None
        self._limits = limits
        self._given = given
        self._writer = GroupCommit(self._commit)
        self._lock = threading.Lock()
        self._closing = threading.Lock()
        self._on_durable: Callable[[int], None] | None = None
        self._on_failure: Callable[[StoreError], None] | None = None
        self._failure: StoreError | None = None
        # Set once the term is over, and its last word said.
        self.ended = threading.Event()
        self._closed = False
        # Nothing of this term keeps others from leading.
        self.lead_is_free = False
        term.lease.keep(term.still_leads, self._on_lease_lost, is_responsive)

    def take_over(self, mirror: Mirror, etcd: pb.ResponseHeader, seen: ElectionId) -> None:
        """Begin the term with what was followed until then at an etcd, above the highest election id that was."""
        if not self._term.succeed(mirror, etcd, seen):
            self._term.claim(mirror.progress, seen)
        self._state = replace(mirror.state(), epoch=self.election_id.low)

    def load(self) -> StoredState:
        """As it was followed until this term: nothing is read again, so that taking over is quick."""
        if self._state is None:
            raise StoreError(f"etcd {self._layout.prefix}: load() comes before start()")
        return self._state

    @property
    def election_id(self) -> ElectionId:
        return self._term.election_id

    def may_act(self) -> bool:
        return self._failure is None and not self._closed and self._term.lease.left_s() > 0

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        self._state = None
        with self._lock:
            self._on_durable, self._on_failure = on_durable, on_failure
            failure = self._failure
        if failure is not None:
            self._tell_failure(on_failure, failure)
        self._writer.start(self._durable, self._fail)

    def submit(self, ticket: int, change: StateChange) -> None:
        self._writer.submit(ticket, change)

    def audit(self, question: AuditQuestion) -> list[AuditEntry]:
        # Never more than etcd keeps.
        entries = deque(filter(question.wants, self._term.audit()), maxlen=question.newest)
        return list(entries)

    def registers(self, question: RegisterQuestion) -> RegisterPage:
        return page_of(question, self._term.registers(question))

    def vitals(self) -> StoreVitals:
        return StoreVitals(
            self._writer.sizes,
            self._term.lease.least_left_s(),
            self._term.standby_count,
            self._given,
        )

    def room(self) -> StoreRoom:
        return self._term.room()

    def close(self) -> None:
        """Also where the term has failed, and any number of times."""
        with self._closing:
            if self._closed:
                return
            self._writer.close()
            try:
                # The key of the leader hangs on the lease: others see it go in this very transaction.
                self._term.lease.release(_RELEASE_WITHIN_S)
                self.lead_is_free = True
            except (EtcdUnavailable, EtcdRefused) as error:
                _log.warning("the lead was not given back, it ends with its lease: %s", error)
            self._end()

    def hand_over(self) -> Leader | None:
        """Close, and give the lead to a member that stands by, without an election. Who has it now, if anybody."""
        with self._closing:
            if self._closed or self._failure is not None:
                return None
            self._writer.close()
            try:
                successor = self._term.hand_over(_RELEASE_WITHIN_S)
            except (EtcdUnavailable, EtcdRefused) as error:
                _log.warning("whether anybody was given the lead is not known: %s", error)
                return None
            if successor is not None:
                # Nothing hangs on it any more. Ending it would be one transaction more just when others have to wait
                # for those of the successor.
                self._term.lease.stop()
                self.lead_is_free = True
                self._end()
            return successor

    def _end(self) -> None:
        self._closed = True
        self.ended.set()

    def _commit(self, changes: Sequence[StateChange]) -> None:
        for ops, counters in transactions(self._layout, changes, self._limits):
            if self._failure is not None:
                raise self._failure
            if fits(ops, self._limits):
                self._term.write(ops, counters)
            else:
                self._term.write_large(ops, counters)

    def _durable(self, ticket: int) -> None:
        with self._lock:
            if self._failure is None and self._on_durable is not None:
                self._on_durable(ticket)

    def _on_lease_lost(self, reason: str) -> None:
        self._fail(LeadershipLost(f"etcd {self._layout.prefix}: the lead is lost: {reason}"))

    def _fail(self, error: StoreError) -> None:
        """End the term, once, from the writer's thread or the lease's."""
        with self._lock:
            if self._failure is not None:
                return
            self._failure = error
            on_failure = self._on_failure
        # Whoever has not begun to write learns it when it does.
        if on_failure is not None:
            self._tell_failure(on_failure, error)

    def _tell_failure(self, on_failure: Callable[[StoreError], None], error: StoreError) -> None:
        """In this order: what comes after the term must not be told before its end."""
        try:
            on_failure(error)
        finally:
            self.ended.set()
