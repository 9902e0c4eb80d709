"""One thread that writes: what has come in meanwhile shares the next commit, and the wait for the disk."""

import queue
import threading
from collections.abc import Callable, Sequence

from controller.core.records import StateChange
from controller.store.protocol import StoreError

# Enough to share one wait among all, few enough to keep the first of them short.
MOST_PER_COMMIT = 256


class GroupCommit:
    """``commit`` makes changes durable, in order, all or nothing; what it raises ends the writing for good."""

    def __init__(
        self,
        commit: Callable[[Sequence[StateChange]], None],
        most_per_commit: int = MOST_PER_COMMIT,
    ) -> None:
        self._commit = commit
        self._most_per_commit = most_per_commit
        self._queue: queue.SimpleQueue[tuple[int, StateChange] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        """Begin to write. Both are called from the writer's thread."""
        self._writer = threading.Thread(
            target=self._run, args=(on_durable, on_failure), name="store-writer", daemon=True
        )
        self._writer.start()

    def submit(self, ticket: int, change: StateChange) -> None:
        """Returns at once; after a failure nothing becomes of it."""
        self._queue.put((ticket, change))

    def close(self) -> None:
        """Write what was submitted, and end; again does nothing."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._queue.put(None)
            writer.join()

    def _run(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        last = False
        while not last:
            batch, last = self._take()
            if not batch:
                continue
            try:
                self._commit([change for _, change in batch])
            except StoreError as error:
                on_failure(error)
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                on_failure(StoreError(f"the store cannot be written: {error!r}"))
                return
            on_durable(batch[-1][0])

    def _take(self) -> tuple[list[tuple[int, StateChange]], bool]:
        """What is there, once anything is; and whether nothing comes after it."""
        batch: list[tuple[int, StateChange]] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == self._most_per_commit:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True
