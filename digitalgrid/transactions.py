"""Transactions of SQLite files: all that is written in one, or nothing; the error told is the real one."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. ``connection`` begins none by itself (``isolation_level=None``)."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk, among others, has rolled back already; to do so again would hide it.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
