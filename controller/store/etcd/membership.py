"""Membership of a controller in a cluster: it follows the leader by a watch, and leads once it is elected."""

import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from itertools import groupby

from controller.store.etcd.campaign import Campaign
from controller.store.etcd.client import EtcdClient, EtcdUnavailable
from controller.store.etcd.compaction import COMPACT_EVERY_S, Compaction
from controller.store.etcd.layout import Layout, LeaderValue
from controller.store.etcd.mirror import KeyEvent, Mirror
from controller.store.etcd.parts import DEFAULT_LIMITS, Limits
from controller.store.etcd.reading import read_mirror, require_same_etcd
from controller.store.etcd.store import EtcdStore
from controller.store.etcd.term import Term
from controller.store.etcd.troubles import Troubles
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.etcd.watch import WatchStream
from controller.store.protocol import Follower, Leader, StoreError
from digitalgrid.model import NO_ELECTION_ID
from digitalgrid.supervision import start_thread

# How long (s) a member that leaves waits for answers that are under way.
_LEAVE_WITHIN_S = 1.0


class EtcdMembership:
    """A `Membership`. One thread follows, calls the follower and waits for the end of terms; another stands for
    election. Both go on for ever, whatever becomes of etcd, until :meth:`leave`.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        prefix: str,
        name: str,
        northbound: str,
        lease_ttl_s: int,
        limits: Limits = DEFAULT_LIMITS,
        compact_every_s: float = COMPACT_EVERY_S,
    ) -> None:
        self._layout = Layout(prefix)
        self._client = EtcdClient(endpoints)
        self._own = LeaderValue(name, northbound)
        self._campaign = Campaign(self._client, self._layout, self._own, lease_ttl_s)
        self._limits = limits
        self._compact_every_s = compact_every_s
        self._troubles = Troubles(f"following the leader at etcd {prefix}")
        self._leaving = threading.Event()
        # Guards what leave() ends.
        self._lock = threading.Lock()
        self._watch: WatchStream | None = None
        self._store: EtcdStore | None = None
        self._threads: list[threading.Thread] = []
        self._follower: Follower | None = None
        self._told_leader: Leader | None = None
        # The highest of all terms that were followed or led here; it stays where etcd is set back.
        self._seen_id = NO_ELECTION_ID

    def join(self, follower: Follower) -> None:
        self._follower = follower
        self._threads = [
            start_thread("etcd-follow", partial(self._run, follower)),
            start_thread(
                "etcd-campaign",
                partial(self._campaign.run, follower.is_responsive, follower.on_standbys),
            ),
        ]

    def leave(self) -> None:
        with self._lock:
            self._leaving.set()
            watch, store = self._watch, self._store
        self._campaign.end()
        if store is not None:
            self._end_term(store)
        if watch is not None:
            watch.cancel()
        for thread in self._threads:
            thread.join(_LEAVE_WITHIN_S)
        self._client.close()
        for thread in self._threads:
            thread.join()

    def _end_term(self, store: EtcdStore) -> None:
        successor = store.hand_over()
        store.close()
        if successor is not None and self._follower is not None:
            self._follower.on_leader(successor)

    def _run(self, follower: Follower) -> None:
        while not self._leaving.is_set():
            try:
                self._follow(follower)
                pause_s = 0.0
            except StoreError as error:
                pause_s = self._troubles.note(error)
            except Exception as error:  # noqa: BLE001 - the thread must go on, whatever it is
                pause_s = self._troubles.note_unexpected(error)
            # Who does not know the state does not stand for election.
            self._campaign.tell(0, vacant=False)
            self._leaving.wait(pause_s)

    def _follow(self, follower: Follower) -> None:
        """From reading everything until a term of one's own has ended, or changes were missed."""
        if not follower.is_responsive():
            raise StoreError("this controller hangs, so it does not stand for election")
        mirror, etcd = read_mirror(self._client, self._layout)
        if mirror.meta is None and self._seen_id != NO_ELECTION_ID:
            # Who leads an empty store withdraws every circuit that routers run.
            raise StoreError(
                f"etcd {self._layout.prefix}: is empty, but was not before, so this controller does"
                " not lead there; circuits run on. Restore etcd's snapshot, or fill the prefix by"
                " `dgc store import`. To begin anew, and end all circuits, restart all controllers"
            )
        self._troubles.over()
        follower.on_state(mirror.state())
        if self._lead_if_elected(follower, mirror, etcd):
            return
        self._tell_leader(follower, mirror.leader(), again=True)
        self._campaign.tell(etcd.revision, mirror.leader_key is None, mirror.transactions)
        with closing(self._revisions(etcd)) as revisions:
            for revision, events in revisions:
                change = mirror.take(events)
                if change is not None:
                    follower.on_change(change)
                if self._lead_if_elected(follower, mirror, etcd):
                    return
                self._tell_leader(follower, mirror.leader())
                self._campaign.tell(revision, mirror.leader_key is None, mirror.transactions)

    def _revisions(
        self, etcd: pb.ResponseHeader
    ) -> Generator[tuple[int, list[KeyEvent]], None, None]:
        """Everything after a revision, also where endpoints fail; Compacted where it is gone."""
        revision = etcd.revision + 1
        while (watch := self._open_watch(revision)) is not None:
            try:
                # A watch waits patiently for a future that another etcd may never have. One that is open already ends
                # with the etcd that it is at.
                require_same_etcd(self._client, self._layout, etcd, revision - 1)
                for response in watch:
                    self._troubles.over()
                    for changed_at, events in groupby(response.events, _changed_at):
                        yield changed_at, [(each.type == pb.Event.PUT, each.kv) for each in events]
                        revision = changed_at + 1
                    if not response.events:
                        # Nothing has changed up to there, though other keys have.
                        revision = response.header.revision + 1
            except EtcdUnavailable as error:
                self._leaving.wait(self._troubles.note(error))
            finally:
                watch.cancel()

    def _open_watch(self, revision: int) -> WatchStream | None:
        with self._lock:
            if self._leaving.is_set():
                return None
            self._watch = self._client.watch(self._layout.start, self._layout.end, revision)
            return self._watch

    def _tell_leader(self, follower: Follower, leader: Leader | None, again: bool = False) -> None:
        if again or leader != self._told_leader:
            self._told_leader = leader
            follower.on_leader(leader)

    def _lead_if_elected(self, follower: Follower, mirror: Mirror, etcd: pb.ResponseHeader) -> bool:
        """Serve the term, if this member was elected: the leader's key hangs on its lease. Whether it was."""
        key = mirror.leader_key
        lead = self._campaign.take(key.lease_id) if key is not None else None
        if key is None or lead is None:
            self._note_seen(mirror)
            return False
        # Its clients wait for the moment that it takes, instead of looking for the leader before.
        follower.on_leader(None)
        term = Term(self._client, self._layout, lead.lease, key.token, self._limits)
        term.on_standbys = follower.on_standbys
        store = EtcdStore(
            self._layout, term, self._limits, follower.is_responsive, given=lead.given
        )
        try:
            self._serve(follower, mirror, etcd, store)
        finally:
            self._campaign.give_way()
            store.close()
            if not store.lead_is_free:
                self._campaign.give_back(lead.lease)
        return True

    def _note_seen(self, mirror: Mirror) -> None:
        """What others lead or have led under, and have told routers."""
        if mirror.meta is not None:
            self._seen_id = max(self._seen_id, mirror.meta.election_id)
        leader = mirror.leader()
        if leader is not None:
            self._seen_id = max(self._seen_id, leader.election_id)

    def _serve(
        self, follower: Follower, mirror: Mirror, etcd: pb.ResponseHeader, store: EtcdStore
    ) -> None:
        """Until the term has ended. Everything before it has been told, for nobody can write since its key is there."""
        with self._lock:
            if self._leaving.is_set():
                return
            self._store = store
            if self._watch is not None:
                # What it would tell is this member's own doing, and would pile up unread for as long as the term.
                self._watch.cancel()
        try:
            store.take_over(mirror, etcd, self._seen_id)
            self._seen_id = store.election_id
            follower.on_elected(store)
            compaction = Compaction(self._client, self._layout, store.election_id.low)
            while not store.ended.wait(self._compact_every_s):
                compaction.next_round()
        finally:
            with self._lock:
                self._store = None


def _changed_at(event: pb.Event) -> int:
    revision: int = event.kv.mod_revision
    return revision
