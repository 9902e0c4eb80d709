"""SQLite's errors, translated: what each means to the operator, and what to do."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.store.protocol import StoreError

_RESTORE = "move it away, and restore a backup, or start without it, which starts empty"
_FULL = (
    "no space is left on its disk; make room and start again, or move it to a larger disk, with all files whose names"
    " begin with its own, and change store.path: all that was acknowledged is kept"
)
# Free bytes below which a disk counts as full: with less SQLite can fail to open or write without saying why.
_MIN_FREE_BYTES = 128 * 1024
# By how SQLite's name of the error begins; the first that fits.
_MEANINGS = {
    "SQLITE_FULL": _FULL,
    "SQLITE_READONLY": "must be writable, with its directory, by the user of this program",
    "SQLITE_CANTOPEN": "cannot be opened; see that it and its directory may be read and written",
    "SQLITE_BUSY": "is in use by another program; stop that one and try again",
    "SQLITE_IOERR": "its disk fails; see the system's log, then start again",
    "SQLITE_CONSTRAINT": "does not take what contradicts it, nothing was written; see `dgc store verify`",
    "SQLITE_NOMEM": "does not fit into memory; make room and start again",
}


def damaged(path: Path, what: str) -> StoreError:
    return StoreError(f"{path}: is damaged ({what}); it was left as it is: {_RESTORE}")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into those that name the file and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explanation(path, error) from error


def _explanation(path: Path, error: sqlite3.Error) -> StoreError:
    # What is left means pages, tables or texts that are not as they were written.
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_IOERR") and _is_full(path):
        name = "SQLITE_FULL"
    for begins, meaning in _MEANINGS.items():
        if name.startswith(begins):
            return StoreError(f"{path}: {meaning} ({error})")
    return damaged(path, str(error))


def _is_full(path: Path) -> bool:
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize < _MIN_FREE_BYTES
