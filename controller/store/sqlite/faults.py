"""What SQLite's errors mean to whoever runs the daemon."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.store.protocol import StoreError

_RESTORE = "move it away, and restore a backup, or start without it, which starts empty"
# By how SQLite's name of the error begins; the first that fits.
_MEANINGS = {
    "SQLITE_FULL": "no space is left; make room and start again: all that was acknowledged is kept",
    "SQLITE_READONLY": "must be writable, with its directory, by the user of this program",
    "SQLITE_CANTOPEN": "cannot be opened; see that it and its directory may be read and written",
    "SQLITE_BUSY": "is in use by another program; stop that one and try again",
    "SQLITE_IOERR": "its disk fails or is full; see the system's log, then start again",
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
    for begins, meaning in _MEANINGS.items():
        if name.startswith(begins):
            return StoreError(f"{path}: {meaning} ({error})")
    return damaged(path, str(error))
