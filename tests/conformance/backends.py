"""What the suite needs of a kind of store. A backend lives for one test, and holds one store, empty at first."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from controller.store.protocol import Store, StoreAccess
from controller.store.sqlite import SqliteAccess, SqliteStore


class Backend(Protocol):
    """Made with an empty directory of its own."""

    def open(self) -> Store:
        """Begin the next term. The one before has been closed or killed."""

    def access(self) -> StoreAccess: ...

    def kill(self, store: Store) -> None:
        """End its term as kill -9 would, with whatever is durable by now."""

    def break_writing(self, store: Store) -> None:
        """Of what is submitted from now on nothing can be written."""

    def mend_writing(self) -> None:
        """The next term can write again."""

    def discard(self) -> None:
        """Let go of everything, whatever the test has left open."""


class SqliteBackend:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lives = 0
        self._path = self._path_of_life(0)
        self._opened: list[SqliteStore] = []
        self._blocker: sqlite3.Connection | None = None

    def open(self) -> SqliteStore:
        store = SqliteStore(self._path)
        self._opened.append(store)
        return store

    def access(self) -> SqliteAccess:
        return SqliteAccess(self._path)

    def kill(self, store: Store) -> None:
        """What is on the disk now is what a process killed now leaves; its own file goes on apart from that."""
        self._lives += 1
        before, self._path = self._path, self._path_of_life(self._lives)
        with closing(sqlite3.connect(before, isolation_level=None)) as writer:
            # While nobody else can write, the two files belong together.
            writer.execute("BEGIN IMMEDIATE")
            for suffix in ("", "-wal"):
                shutil.copy(f"{before}{suffix}", f"{self._path}{suffix}")

    def break_writing(self, store: Store) -> None:
        self._blocker = sqlite3.connect(self._path)
        self._blocker.executescript(
            "CREATE TRIGGER broken BEFORE INSERT ON circuits BEGIN SELECT RAISE(ABORT, 'broken'); END"
        )

    def mend_writing(self) -> None:
        assert self._blocker is not None
        self._blocker.executescript("DROP TRIGGER broken")

    def discard(self) -> None:
        if self._blocker is not None:
            self._blocker.close()
        for store in self._opened:
            store.close()

    def _path_of_life(self, number: int) -> Path:
        return self._directory / f"store-{number}.sqlite"
