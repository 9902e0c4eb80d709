"""Files of a log with some trades in it: the database of a ledger, and a copy of the log."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.support.ledgers import close, deposit, ledger, lock
from trading.ledger.ledger import Ledger, Wanted
from trading.ledger.log_file import write_copy
from trading.ledger.sqlite_storage import SqliteStorage
from trading.ledger.storage import Storage


def fill(book: Ledger, trades: int) -> None:
    """A deposit, and two entries for each trade, all in one group."""
    wanted = [Wanted("deposit", deposit("ann", 10**9))]
    for number in range(trades):
        wanted.append(Wanted(f"t{number}/lock", lock(f"t{number}", ann=100 + number)))
        closed = close(f"t{number}", ("ann", "bob", 100 + number))
        wanted.append(Wanted(f"t{number}/close", closed))
    book.write_many(wanted)


def database(path: Path, trades: int = 2) -> Path:
    with closing(SqliteStorage(path)) as storage:
        fill(ledger(storage), trades)
    return path


def copy_of(storage: Storage, path: Path) -> Path:
    head = storage.head()
    assert head is not None
    with path.open("wb") as file:
        write_copy(file, storage.entries(), head)
    return path


def copy(path: Path, trades: int = 2) -> Path:
    with closing(SqliteStorage(path.with_suffix(".sqlite"))) as storage:
        fill(ledger(storage), trades)
        return copy_of(storage, path)


FILES: dict[str, Callable[[Path], Path]] = {"database": database, "copy": copy}
