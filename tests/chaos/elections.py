"""When etcd says that somebody was elected: the earliest that anybody outside etcd can know."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Self

from controller.store.etcd.client import EtcdClient
from controller.store.etcd.layout import Layout
from controller.store.etcd.v3 import etcd_pb2 as pb
from controller.store.protocol import StoreError
from digitalgrid.model import ElectionId
from tests.chaos.fleet import History

_log = logging.getLogger(__name__)


class Elections:
    """``with Elections(...)``: watches the leader's key from a thread of its own, until the end."""

    def __init__(self, endpoints: Sequence[str], prefix: str) -> None:
        self._client = EtcdClient(endpoints)
        self._key = Layout(prefix).leader
        self._watch = self._client.watch(self._key, self._key + b"\0", 0)
        self._thread = threading.Thread(target=self._follow, name="elections")
        self._lock = threading.Lock()
        # By token, the low half of election ids.
        self._seen_s: dict[int, float] = {}
        self._greeted_s: dict[ElectionId, float] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.cancel()
        self._thread.join()
        self._client.close()

    def elected_at_s(self, history: History) -> dict[ElectionId, float]:
        """Of all leaders until now: when etcd told of it, or it greeted the first router, whichever was sooner."""
        for each in history.greetings:
            self._greeted_s.setdefault(each.election_id, each.at_s)
        with self._lock:
            return {
                election_id: min(at_s, self._seen_s.get(election_id.low, at_s))
                for election_id, at_s in self._greeted_s.items()
            }

    def _follow(self) -> None:
        """An endpoint that fails ends it: greetings are enough, only a little later."""
        try:
            for response in self._watch:
                for event in response.events:
                    if event.type == pb.Event.PUT:
                        with self._lock:
                            self._seen_s.setdefault(event.kv.mod_revision, time.monotonic())
        except StoreError as error:
            _log.info("elections are dated by greetings from now on: %s", error)
