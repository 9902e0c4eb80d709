"""The embedded store: one SQLite file, one writer thread, many changes in one synchronous commit."""

import fcntl
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from controller.core.records import CircuitRecord, Counters, StateChange, StoredState
from controller.store.protocol import StoreError
from digitalgrid.model import ElectionId

_log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
# Enough to share one fdatasync among all that wait, few enough to keep the first of them short.
_MOST_PER_COMMIT = 256
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE circuits (
    circuit_id INTEGER PRIMARY KEY,
    request_id TEXT NOT NULL,
    ended_as TEXT NOT NULL,
    record BLOB NOT NULL
);
"""
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CircuitRecord)


class SqliteStore:
    """A `Store` in one file. A lock beside it keeps a second daemon out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = _lock(path)
        self._queue: queue.SimpleQueue[tuple[int, StateChange] | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._election_id = ElectionId(0, 0)
        try:
            self._connection = self._open()
        except sqlite3.Error as error:
            self._lock.close()
            raise StoreError(f"{path}: cannot be opened as a store: {error}") from error
        except StoreError:
            self._lock.close()
            raise

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not tables:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            # The time of creation orders this store after any that it replaces, so routers obey it.
            _write_meta(connection, schema_version=SCHEMA_VERSION, generation=int(time.time()))
            _write_meta(connection, epoch=0, next_circuit_id=1, next_admission_seq=1)
        connection.execute("COMMIT")
        version = dict(connection.execute("SELECT key, value FROM meta")).get("schema_version")
        if version != SCHEMA_VERSION:
            connection.close()
            raise StoreError(
                f"{self._path}: written by schema version {version}, this program reads"
                f" {SCHEMA_VERSION}; use the program that wrote it, or another store.path"
            )
        return connection

    @property
    def election_id(self) -> ElectionId:
        return self._election_id

    def may_act(self) -> bool:
        """The lock keeps everybody else out."""
        return True

    def load(self) -> StoredState:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'")
            self._connection.execute("COMMIT")
            meta: dict[str, int] = dict(self._connection.execute("SELECT key, value FROM meta"))
            rows = self._connection.execute("SELECT record FROM circuits").fetchall()
            circuits = tuple(_decoder.decode(record) for (record,) in rows)
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise StoreError(
                f"{self._path}: damaged or not writable ({error}); nothing was changed: restore a"
                " backup, or move the file away to start empty"
            ) from error
        self._election_id = ElectionId(meta["generation"], meta["epoch"])
        counters = Counters(meta["next_circuit_id"], meta["next_admission_seq"])
        return StoredState(meta["epoch"], circuits, counters)

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        self._writer = threading.Thread(
            target=self._write, args=(on_durable, on_failure), name="store-writer", daemon=True
        )
        self._writer.start()

    def submit(self, ticket: int, change: StateChange) -> None:
        self._queue.put((ticket, change))

    def close(self) -> None:
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
        self._connection.close()
        self._lock.close()

    def _write(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        """The writer thread: what has come in meanwhile shares the next commit."""
        while True:
            batch, last = self._take()
            if batch:
                try:
                    self._commit([change for _, change in batch])
                except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                    on_failure(StoreError(f"{self._path}: cannot be written: {error!r}"))
                    return
                on_durable(batch[-1][0])
            if last:
                return

    def _take(self) -> tuple[list[tuple[int, StateChange]], bool]:
        batch: list[tuple[int, StateChange]] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == _MOST_PER_COMMIT:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, changes: Sequence[StateChange]) -> None:
        # Of several records of one circuit the last is enough.
        records = {record.circuit_id: record for change in changes for record in change.circuits}
        counters = changes[-1].counters
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(
                "INSERT OR REPLACE INTO circuits VALUES (?, ?, ?, ?)",
                [
                    (each.circuit_id, each.request_id, each.ended_as, _encoder.encode(each))
                    for each in records.values()
                ],
            )
            self._connection.executemany(
                "DELETE FROM circuits WHERE circuit_id = ?",
                [(circuit_id,) for change in changes for circuit_id in change.forgotten_ids],
            )
            _write_meta(
                self._connection,
                next_circuit_id=counters.next_circuit_id,
                next_admission_seq=counters.next_admission_seq,
            )
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _write_meta(connection: sqlite3.Connection, **values: int) -> None:
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))


def _lock(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Path(f"{path}.lock").open("w")  # noqa: SIM115 - held as long as the store
    except OSError as error:
        raise StoreError(f"{path}: cannot be created: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreError(
            f"{path}: another daemon uses this store; stop it, or give this one another store.path"
        ) from error
    return lock
