"""Opening, creating and migrating the file. One that is there is never replaced, whatever it turns out to be."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from controller.store.protocol import StoreError, StoreRoom
from controller.store.sqlite.faults import damaged, explained
from controller.store.sqlite.schema import (
    OLDEST_READABLE,
    SCHEMA_VERSION,
    Meta,
    create,
    migrate,
    missing_names,
    schema_version,
)
from digitalgrid.transactions import transaction


class OtherSchema(StoreError):
    """Nothing is wrong with the file, but it is for another program, or not yet for this one."""


class Identity(NamedTuple):
    """Which file it is that has a name now."""

    device: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Identity | None":
        """None where there is no file."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        return cls(status.st_dev, status.st_ino)


def room_of(path: Path) -> StoreRoom:
    """What the file takes with its log, and what its disk has left for us."""
    try:
        log = Path(f"{path}-wal")
        size_bytes = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
        disk = os.statvfs(path)
    except OSError as error:
        raise StoreError(f"{path}: its size cannot be told: {error.strerror}") from error
    return StoreRoom(size_bytes, disk.f_bavail * disk.f_frsize)


def open_to_write(path: Path) -> sqlite3.Connection:
    """For the holder of the lock: created where it is not there, migrated where it is older."""
    _require_regular(path)
    if not path.exists():
        # The time orders this store after any that it replaces, so routers obey it. That needs a clock that is
        # right: of other stores a new file knows nothing.
        make(path, _create_now)
    with explained(path):
        connection = _connect(path, "rw")
        try:
            require_schema(connection, path, oldest=1)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            with transaction(connection):
                _make_current(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def open_to_read(path: Path, oldest: int = OLDEST_READABLE) -> sqlite3.Connection:
    """Beside a daemon that may be writing, without its lock. ``oldest``: the first schema version that will do."""
    connection = _connect_to_read(path)
    try:
        with explained(path):
            require_schema(connection, path, oldest)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_verify(path: Path) -> sqlite3.Connection:
    """Likewise, and however damaged it is."""
    connection = _connect_to_read(path)
    # Otherwise SQLite reads nothing of a file that was cut off. Nothing can be written by this connection.
    connection.execute("PRAGMA writable_schema=ON")
    return connection


def make(path: Path, write: Callable[[sqlite3.Connection], None]) -> None:
    """Create a file atomically, whole or not at all. StoreError where one is there already."""
    if Path(f"{path}-wal").exists():
        raise StoreError(
            f"{path}-wal: is left of a store of which the file itself is gone; put that back, or"
            " move this away too"
        )
    # A name of its own, for others may be making the same file, and what a killed one left (also the journal, which
    # SQLite would play back) must not be taken for its own.
    unfinished = Path(f"{path}.{token_hex(4)}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with explained(path), closing(_connect(unfinished, "rwc")) as connection:
                write(connection)
            # Unlike a renaming, this never replaces what is there.
            os.link(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        _flush_directory(path.parent)
    except FileExistsError as error:
        raise StoreError(f"{path}: is there already, and is not replaced") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be created: {error.strerror}") from error


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )


def _connect_to_read(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise StoreError(
            f"{path}: there is no store; see that this is the store.path of the daemon"
        )
    _require_regular(path)
    with explained(path):
        return _connect(path, "ro&immutable=1" if _is_at_rest(path) else "ro")


def _require_regular(path: Path) -> None:
    """A pipe would have SQLite wait for whoever writes to it. Of a directory SQLite itself says what it is."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise StoreError(f"{path}: is no regular file; name another")


def _is_at_rest(path: Path) -> bool:
    """A store that was stopped cleanly, where nothing can be written, as on a mounted backup.

    Of others SQLite makes, even to read, the files by which it knows what a daemon writes.
    """
    return not Path(f"{path}-wal").exists() and not os.access(path.parent, os.W_OK)


def require_schema(connection: sqlite3.Connection, path: Path, oldest: int) -> None:
    if path.stat().st_size == 0:
        # SQLite would take it for a new database.
        raise damaged(path, "it is empty")
    version = schema_version(connection)
    if version > SCHEMA_VERSION:
        raise OtherSchema(
            f"{path}: written by schema version {version}, this program reads up to"
            f" {SCHEMA_VERSION}; use the program that wrote it, or another store.path"
        )
    if version < 1:
        raise damaged(path, "meta has no schema_version")
    if version < oldest:
        raise OtherSchema(
            f"{path}: written by schema version {version}; start the daemon with it once, which"
            f" brings it to {SCHEMA_VERSION}"
        )
    missing = missing_names(connection) if version == SCHEMA_VERSION else []
    if missing:
        raise damaged(path, f"{', '.join(missing)} is missing")


def _create_now(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        create(connection, Meta(int(time.time())))


def _make_current(connection: sqlite3.Connection, path: Path) -> None:
    version = schema_version(connection)
    try:
        migrate(connection, version)
    except StoreError as error:
        raise damaged(path, str(error)) from error


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
