"""SQLite as a store that is chosen by its name."""

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from controller.store.plugin import INTERFACE_VERSION, StoreSetting
from controller.store.protocol import StoreError
from controller.store.sqlite.access import SqliteAccess
from controller.store.sqlite.file import open_to_read
from controller.store.sqlite.lock import resolved
from controller.store.sqlite.store import SqliteStore
from digitalgrid.writing import writing_trouble

_log = logging.getLogger(__name__)


class SqlitePlugin:
    """A file of one controller."""

    interface_version = INTERFACE_VERSION

    def open(self, setting: StoreSetting) -> SqliteStore:
        path = Path(setting.path)
        _log.info("store %s: %s", path, "opening it" if path.exists() else "is new, and empty")
        return SqliteStore(path)

    def access(self, setting: StoreSetting) -> SqliteAccess:
        return SqliteAccess(Path(setting.path))

    def problems(self, setting: StoreSetting) -> Iterator[tuple[str, str]]:
        trouble = _trouble(resolved(Path(setting.path)))
        if trouble:
            yield "path", f"is {setting.path!r}: {trouble}"

    def described(self, setting: StoreSetting) -> str:
        return setting.path


def _trouble(path: Path) -> str:
    """Why the store cannot be led with; empty where it can."""
    try:
        present = path.stat()
    except FileNotFoundError:
        return writing_trouble(path)
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    if stat.S_ISDIR(present.st_mode):
        return ""  # Which loading the file says.
    if not stat.S_ISREG(present.st_mode):
        return "is no regular file; name another"
    if not os.access(path, os.R_OK | os.W_OK):
        return "cannot be read and written by this user; give it that right"
    return writing_trouble(path) or _lock_trouble(path) or _contents_trouble(path)


def _lock_trouble(path: Path) -> str:
    lock = Path(f"{path}.lock")
    try:
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except BlockingIOError:
        return "another daemon uses this store; stop it, or give this one another"
    except OSError as error:
        return f"{lock} cannot be opened: {error.strerror}"
    return ""


def _contents_trouble(path: Path) -> str:
    try:
        # Older ones are migrated by whoever leads with them.
        open_to_read(path, oldest=1).close()
    except StoreError as error:
        return str(error)
    return ""
