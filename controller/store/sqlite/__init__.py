"""The store in one SQLite file, for a controller that leads alone."""

from controller.store.sqlite.access import SqliteAccess
from controller.store.sqlite.store import SqliteStore

__all__ = ["SqliteAccess", "SqliteStore"]
