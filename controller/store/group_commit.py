"""Group commit: a store's writer thread, where all changes that came in during one commit share the next."""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial

from controller.core.circuits.records import StateChange
from controller.store.protocol import StoreError
from digitalgrid.metrics.histogram import Histogram
from digitalgrid.supervision import start_thread_once

_log = logging.getLogger(__name__)

# Changes in one commit: enough that all who wait share one flush, few enough that the first does not wait long.
MAX_CHANGES_PER_COMMIT = 256
# Upper bounds of how many there are in one.
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class GroupCommit:
    """Calls ``commit`` with changes in the order of their tickets, from one thread of its own.

    Whatever exception that thread meets ends it: it is told once, as a StoreError, and nothing is written after it.
    """

    def __init__(self, commit: Callable[[Sequence[StateChange]], None]) -> None:
        self._commit = commit
        self._queue: queue.SimpleQueue[tuple[int, StateChange] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._over = False
        # Changes in each commit; by the writer thread, for whoever reads it.
        self.sizes = Histogram(_SIZES)

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        """Begin to write; both are called from the writer thread."""
        self._thread = start_thread_once("store-writer", partial(self._run, on_durable, on_failure))

    def submit(self, ticket: int, change: StateChange) -> None:
        """Write this soon. After a failure or :meth:`close` it is dropped, and never reported durable."""
        if not self._over:
            self._queue.put((ticket, change))

    def close(self) -> None:
        """Write what was submitted, unless a failure has ended that. May be called again."""
        self._over = True
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        try:
            self._write_all(on_durable)
        except StoreError as error:
            failure = error
        except BaseException as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            _log.exception("the store's writer met what it does not know")
            failure = StoreError(f"the store cannot be written: {error!r}; see the log, restart")
        else:
            return
        self._over = True
        on_failure(failure)

    def _write_all(self, on_durable: Callable[[int], None]) -> None:
        last = False
        while not last:
            batch, last = self._take()
            if batch:
                self.sizes.observe(len(batch))
                self._commit([change for _, change in batch])
                on_durable(batch[-1][0])

    def _take(self) -> tuple[list[tuple[int, StateChange]], bool]:
        """What there is to write, at least one change, and whether it is the last."""
        batch: list[tuple[int, StateChange]] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == MAX_CHANGES_PER_COMMIT or self._queue.empty():
                return batch, False
            # This thread is the only one that takes.
            item = self._queue.get()
        return batch, True
