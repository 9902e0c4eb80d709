"""The state directory of an exchange: its journal, its ledger, and two secrets, the log's key and that of salts."""

import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from digitalgrid.errors import ExplainedError
from trading.ledger.key_files import flush_directory, read_key, remove_unfinished, write_new_key
from trading.ledger.keys import SigningKey
from trading.ledger.ledger import Ledger, Receipt
from trading.ledger.log_file import open_to_look
from trading.ledger.sqlite_storage import SqliteStorage

LOG_KEY = "log.key"
KEYS = (LOG_KEY, "salts.key")
# The log's next key, until the log has said that it is.
_NEXT_KEY = "log.key.next"
_LEDGER, _JOURNAL = "ledger.sqlite", "journal.sqlite"
# Readable by its owner: a directory that was there before may let others in.
_MODE = 0o600


class StateMissing(ExplainedError):
    """A part of the state is there, and another that belongs to it is not."""


class StateInUse(OSError):
    """Another exchange runs on this state; it may end."""


class State:
    """Made where it is not there; whatever is in it is for the daemon's user only."""

    def __init__(self, directory: Path) -> None:
        """Raises StateMissing, BadKeyFile and OSError."""
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        missing = missing_part(directory)
        if missing:
            raise StateMissing(
                f"{directory} {missing}; bring back all of it, as it was at one moment, or begin with"
                " an empty state_dir"
            )
        _key(directory / LOG_KEY)
        # Terms in the log are hashed with salts of it: who lost it could prove no trade any more.
        self.secret = _key(directory / "salts.key").seed
        for path in (self.ledger, self.journal):
            _keep_private(path)

    def lock(self) -> int:
        """Nobody else has it until this descriptor is closed, or this process ends, however that happens. Raises
        StateInUse.
        """
        return _locked(self._directory / "lock")

    @property
    def journal(self) -> Path:
        return self._directory / _JOURNAL

    @property
    def ledger(self) -> Path:
        return self._directory / _LEDGER

    def opening_ledger(self, name: str, now_unix_ns: Callable[[], int]) -> Callable[[], Ledger]:
        """To be called in the thread that is to use it, by whoever has the lock."""

        def opened() -> Ledger:
            for each in (*KEYS, _NEXT_KEY):
                remove_unfinished(self._directory / each)
            storage = SqliteStorage(self.ledger)
            head = storage.head()
            if head is not None:
                self._end_rotation(head.key_id)
            return Ledger(storage, read_key(self._directory / LOG_KEY), now_unix_ns, name)

        return opened

    def rotate(self, ledger: Ledger, key: str) -> Receipt:
        """Another key, that is made here, signs the log from now on; under one ``key`` once.

        First it is in a file of its own, then the log says that it is the next, then the file takes the place of the
        one before: whoever is killed between two of these goes on there.
        """
        before = ledger.rotated(key)
        if before is not None:
            return before
        ledger.check_room()
        self._end_rotation(ledger.head().key_id)
        done = ledger.rotate(write_new_key(self._directory / _NEXT_KEY), key)
        self._end_rotation(ledger.head().key_id)
        return done

    def _end_rotation(self, signs: bytes) -> None:
        """``signs``: the id of the key that the log has by now. A next one of which the log says nothing is never
        taken: who knows how long it lay about.
        """
        log_key, following = self._directory / LOG_KEY, self._directory / _NEXT_KEY
        if not following.exists():
            return
        if read_key(log_key).key_id == signs:
            following.unlink()
        elif read_key(following).key_id == signs:
            following.replace(log_key)
        flush_directory(self._directory)


def missing_part(directory: Path) -> str:
    """What of a state is not there though others of its parts say that it was; empty where nothing is missing. Changes
    nothing.

    Keys are made first, then the ledger with its first entry, then the journal: whatever a first start that was killed
    has left is the beginning of that. A second entry is only ever written beside a journal.
    """
    entries = _rows(directory / _LEDGER, "entries")
    has_journal = _rows(directory / _JOURNAL, "meta") > 0
    if has_journal and not entries:
        return f"has a journal, and {_LEDGER} is missing"
    if entries > 1 and not has_journal:
        return f"has a ledger, and {_JOURNAL} is missing"
    for name in KEYS:
        if (directory / _LEDGER).exists() and not (directory / name).exists():
            return f"has a ledger, and {name} is missing"
    return ""


def _rows(path: Path, table: str) -> int:
    """0 as well where there is no such file or table. What is no database is told of when it is opened."""
    if not path.exists():
        return 0
    try:
        with closing(open_to_look(path)) as database:
            known = "SELECT count(*) FROM sqlite_master WHERE name = ?"
            if not database.execute(known, (table,)).fetchone()[0]:
                return 0
            return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.Error as error:
        raise StateMissing(f"{path} cannot be read: {error}; bring it back") from error


def _locked(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise StateInUse(
            f"{path.parent}: another exchange runs on this state_dir; stop it, or give this one another"
        ) from error
    return lock


def _keep_private(path: Path) -> None:
    """SQLite gives what it makes beside a database the mode of that."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _MODE))
    for each in (path, *path.parent.glob(f"{path.name}-*")):
        each.chmod(_MODE)


def _key(path: Path) -> SigningKey:
    if path.exists():
        return read_key(path)
    return write_new_key(path)
