"""The state directory of an exchange: its journal, its ledger, and two secrets, the log's key and that of salts."""

import os
from collections.abc import Callable
from pathlib import Path

from digitalgrid.errors import ExplainedError
from trading.ledger.key_files import read_key, write_new_key
from trading.ledger.keys import SigningKey
from trading.ledger.ledger import Ledger
from trading.ledger.sqlite_storage import SqliteStorage


class StateMissing(ExplainedError):
    """A part of the state is there, and another that belongs to it is not."""


class State:
    """Made where it is not there; whatever is in it is for the daemon's user only."""

    def __init__(self, directory: Path) -> None:
        """Raises StateMissing, BadKeyFile and OSError."""
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not self.ledger.exists()
        self.log_key = _key(directory / "log.key", is_new=is_new)
        # Terms in the log are hashed with salts of it: who lost it could prove no trade any more.
        self.secret = _key(directory / "salts.key", is_new=is_new).seed

    @property
    def journal(self) -> Path:
        return self._directory / "journal.sqlite"

    @property
    def ledger(self) -> Path:
        return self._directory / "ledger.sqlite"

    def opening_ledger(self, name: str, now_unix_ns: Callable[[], int]) -> Callable[[], Ledger]:
        """To be called in the thread that is to use it."""
        return lambda: Ledger(SqliteStorage(self.ledger), self.log_key, now_unix_ns, name)


def _key(path: Path, *, is_new: bool) -> SigningKey:
    if path.exists():
        return read_key(path)
    if not is_new:
        raise StateMissing(
            f"{path} is missing, and there is a ledger beside it; bring it back, or begin with an empty"
            " state_dir"
        )
    key = write_new_key(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return key
