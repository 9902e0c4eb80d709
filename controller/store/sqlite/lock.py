"""Lock file beside the store: it keeps a second daemon out, and tells a restored copy from what was left here."""

import fcntl
import logging
import os
from pathlib import Path

from controller.store.protocol import StoreError
from controller.store.sqlite.schema import Meta

_log = logging.getLogger(__name__)


class Lock:
    """Held for as long as it is open. It says in which term the store is, and after a good end with which numbers."""

    def __init__(self, path: Path) -> None:
        """Of a store, named as `resolved`."""
        if path.is_dir():
            raise StoreError(f"{path}: is a directory; name a file as store.path")
        self._path = Path(f"{path}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            was_there = self._path.exists()
            self._file = self._path.open("a+")
        except OSError as error:
            raise StoreError(
                f"{self._path}: cannot be created: {error.strerror}; the directory of the store must"
                " be writable by the user of this program"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise StoreError(
                f"{path}: another daemon uses this store; stop it, or give this one another"
                " store.path"
            ) from error
        self._file.seek(0)
        self._left = self._file.read() if was_there else None

    @property
    def closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        self._file.close()

    def left(self, meta: Meta) -> bool:
        """Whether the store may be as the last daemon here left it; False for a copy of another place or time.

        Earlier versions left nothing in the lock, and a copy of the time since the last start may be taken for what a
        daemon left that was killed.
        """
        return self._left in ("", _begun(meta), _ended(meta))

    def begin(self, meta: Meta) -> None:
        self._write(_begun(meta))

    def end(self, meta: Meta) -> None:
        self._write(_ended(meta))

    def _write(self, text: str) -> None:
        try:
            self._file.truncate(0)
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            _log.warning(
                "%s: cannot be written (%s); the next start may take the store for a copy, and leave"
                " numbers out",
                self._path,
                error.strerror,
            )


def resolved(path: Path) -> Path:
    """The one name of a file that links may give many: by it daemons find each other's lock."""
    return Path(os.path.realpath(path))


def _begun(meta: Meta) -> str:
    return f"{meta.generation} {meta.epoch}\n"


def _ended(meta: Meta) -> str:
    counters = meta.counters
    return f"{_begun(meta)}{counters.next_circuit_id} {counters.next_admission_seq}\n"
