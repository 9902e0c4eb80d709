"""Compaction of etcd's history, which keeps every revision until it is told to forget it, and fills its quota."""

import logging

from controller.store.etcd.client import EtcdClient
from controller.store.etcd.layout import Layout
from controller.store.etcd.reading import present
from controller.store.etcd.troubles import Troubles
from controller.store.protocol import StoreError

_log = logging.getLogger(__name__)

# Between two rounds (s). Followers are seconds behind at most, and read everything anew where they are not.
COMPACT_EVERY_S = 60.0
# Deadline (s) of one round: a deposed leader should notice soon, and the next round makes up for this one.
_WITHIN_S = 1.0


class Compaction:
    """Of one term, by the leader. Each round forgets what was past already in the round before, so every revision
    stays for at least the time between two of them.
    """

    def __init__(self, client: EtcdClient, layout: Layout, revision: int) -> None:
        """``revision`` is a past one, such as that at which the term began."""
        self._client = client
        self._layout = layout
        self._past = revision
        self._troubles = Troubles("compacting etcd")

    def next_round(self) -> None:
        """Compact once. Nothing depends on it, so a failure is logged, and left to the next round."""
        try:
            revision = present(self._client, self._layout, _WITHIN_S).revision
            if revision > self._past:
                self._client.compact(self._past, _WITHIN_S)
                _log.debug("etcd has compacted all before revision %d", self._past)
                self._past = revision
            self._troubles.over()
        except StoreError as error:
            self._troubles.note(error)
