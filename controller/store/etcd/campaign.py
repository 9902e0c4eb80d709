"""Leader election: a member's candidacy whenever there is no leader, and its standby lease while there is one."""

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from controller.store.etcd.client import EtcdClient
from controller.store.etcd.layout import ABSENT, Layout, LeaderValue, StandbyValue, put_at
from controller.store.etcd.lease import Lease
from controller.store.etcd.standby import announce, look
from controller.store.etcd.term import stand
from controller.store.etcd.troubles import Troubles
from controller.store.protocol import Standby, StoreError
from digitalgrid.units import NS_PER_MS

_log = logging.getLogger(__name__)

# How long (s) a member whose term has ended leaves the election to others: several times what they need to hear that
# there is no leader.
_GIVE_WAY_S = 0.5
# Keepalives of a standby's lease in one TTL: three answers may be lost.
_RENEWALS_PER_TTL = 4
# How long (s) what a standby says of itself stands at least: each word is a write for all of etcd.
_SAID_AGAIN_S = 1.0


class Lead(NamedTuple):
    """``lease`` has the leader's key; ``given``: put there by whoever led before, without an election."""

    lease: Lease
    given: bool


class Campaign:
    """Of one member; :meth:`run` is the body of its thread. Whether the election was won is for the watch to tell: it
    sees the leader's key, and takes the lease that the key hangs on.
    """

    def __init__(
        self, client: EtcdClient, layout: Layout, value: LeaderValue, lease_ttl_s: int
    ) -> None:
        self._client = client
        self._layout = layout
        self._value = value
        self._lease_ttl_s = lease_ttl_s
        self._troubles = Troubles("standing for election")
        # Guards all below, and tells of its changes.
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._told_revision = self._told_transactions = 0
        self._vacant = False
        self._stands_from_s = 0.0
        # While this member follows: for the next election, and announced to leaders who hand over.
        self._ready: Lease | None = None
        # What is said of it there, and when that was.
        self._said, self._said_at_s = StandbyValue(value.name, value.northbound), 0.0
        # The one that the member stands with now.
        self._candidate: Lease | None = None
        # The leader's key may still hang on one of them, and would keep everybody waiting.
        self._left_over: list[Lease] = []

    def tell(self, revision: int, vacant: bool, transactions: int = 0) -> None:
        """All up to a revision has been followed, which had so many transactions; ``vacant`` says that nobody led by
        then.
        """
        with self._changed:
            self._told_revision, self._vacant = revision, vacant
            self._told_transactions = transactions
            self._changed.notify_all()

    def take(self, lease_id: int) -> Lead | None:
        """The lead, if the leader's key is on the lease that this member stood or stands by with. Whoever takes it must
        end that.
        """
        with self._changed:
            if self._candidate is not None and self._candidate.id == lease_id:
                lead, self._candidate = Lead(self._candidate, given=False), None
            elif self._ready is not None and self._ready.id == lease_id:
                lead, self._ready = Lead(self._ready, given=True), None
            else:
                return None
            # It leads now, and does not stand again before its term is over.
            self._told_revision, self._vacant = 0, False
            self._changed.notify_all()
            return lead

    def give_back(self, lease: Lease) -> None:
        """A lease that is to end, as soon as etcd can be reached."""
        with self._changed:
            self._left_over.append(lease)
            self._changed.notify_all()

    def give_way(self) -> None:
        """A term has ended: others are to stand before this member does so again."""
        self._stands_from_s = time.monotonic() + _GIVE_WAY_S

    def end(self) -> None:
        with self._changed:
            self._ended.set()
            self._changed.notify_all()

    def run(
        self,
        is_responsive: Callable[[], bool],
        on_standbys: Callable[[tuple[Standby, ...]], None] = lambda _standbys: None,
    ) -> None:
        while self._await_work():
            try:
                self._release_left_over()
                if not is_responsive():
                    self._withdraw_ready()
                elif self._vacant:
                    self._stand()
                elif self._told_revision:
                    self._keep_ready()
                    self._look_around(on_standbys)
                self._troubles.over()
            except StoreError as error:
                self._ended.wait(self._troubles.note(error))
            except Exception as error:  # noqa: BLE001 - the thread must go on, whatever it is
                self._ended.wait(self._troubles.note_unexpected(error))
        self._leave()

    def _leave(self) -> None:
        """Nobody is to hand over to a member that is gone."""
        self._withdraw_ready()
        try:
            self._release_left_over()
        except StoreError as error:
            _log.info("the lease to lead with was not given back, it runs out: %s", error)

    def _await_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(
                lambda: self._vacant or self._left_over or self._ended.is_set(),
                self._lease_ttl_s / _RENEWALS_PER_TTL,
            )
            return not self._ended.is_set()

    def _keep_ready(self) -> None:
        ready = self._ready
        if ready is not None and ready.renew(self._lease_ttl_s / _RENEWALS_PER_TTL):
            return
        lease = Lease(self._client, self._lease_ttl_s)
        with self._changed:
            if self._ready is not ready:
                # The lead was handed to this member just now.
                self._left_over.append(lease)
                return
            self._ready = lease
        try:
            since_unix_ms = time.time_ns() // NS_PER_MS
            self._announce(
                lease, structs.replace(self._said, since_unix_ms=since_unix_ms, behind=None)
            )
        except StoreError:
            self._withdraw_ready()
            raise

    def _look_around(self, on_standbys: Callable[[tuple[Standby, ...]], None]) -> None:
        """Who stands by, and by how much this member is behind; said again where that is not as it was said."""
        seen = look(self._client, self._layout, self._lease_ttl_s / _RENEWALS_PER_TTL)
        with self._changed:
            ready, behind = self._ready, max(0, seen.transactions - self._told_transactions)
        if ready is None:
            return
        on_standbys(seen.standbys)
        waited_s = time.monotonic() - self._said_at_s
        if behind != self._said.behind and waited_s >= _SAID_AGAIN_S:
            self._announce(ready, structs.replace(self._said, behind=behind))

    def _announce(self, lease: Lease, value: StandbyValue) -> None:
        announce(self._client, self._layout, value, lease.id)
        self._said, self._said_at_s = value, time.monotonic()

    def _withdraw_ready(self) -> None:
        with self._changed:
            if self._ready is not None:
                self._left_over.append(self._ready)
                self._ready = None

    def _take_ready(self) -> Lease:
        with self._changed:
            lease = self._ready
            if lease is not None and lease.left_s() > self._lease_ttl_s / 2:
                self._ready = None
                return lease
        self._withdraw_ready()
        return Lease(self._client, self._lease_ttl_s)

    def _stand(self) -> None:
        self._ended.wait(max(0.0, self._stands_from_s - time.monotonic()))
        if not self._vacant:
            return
        lease = self._take_ready()
        with self._changed:
            # Before the key is there: the watch may be quicker than the answer.
            self._candidate = lease
        try:
            nobody_leads = put_at(self._layout.leader, ABSENT)
            leader = stand(self._client, self._layout, self._value, lease.id, nobody_leads)
            self._await_told(leader.mod_revision if leader else 0, lease)
        finally:
            self._withdraw(lease)
        self._release_left_over()

    def _await_told(self, leader_revision: int, lease: Lease) -> None:
        """Return when the watch has told who was elected, or has not for as long as the lease lasts."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._candidate is not lease
                    or self._told_revision >= leader_revision
                    or self._ended.is_set()
                ),
                lease.left_s(),
            )

    def _withdraw(self, lease: Lease) -> None:
        with self._changed:
            if self._candidate is lease:
                self._candidate = None
                self._left_over.append(lease)

    def _release_left_over(self) -> None:
        while self._left_over:
            self._left_over[0].release()
            self._left_over.pop(0)
