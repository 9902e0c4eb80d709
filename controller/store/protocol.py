"""What every store does: it keeps the controller's decisions, in order, through any crash."""

from collections.abc import Callable
from typing import Protocol

from controller.core.records import StateChange, StoredState
from digitalgrid.model import ElectionId


class StoreError(Exception):
    """The store cannot be opened, read or written; the message says which, where, and what to do."""


class Store(Protocol):
    """One writer. Changes become durable in the order of their tickets."""

    def load(self) -> StoredState:
        """Everything that was made durable, under an epoch higher than any before."""

    @property
    def election_id(self) -> ElectionId:
        """Orders this daemon after all earlier ones; known once :meth:`load` has returned."""

    def start(
        self, on_durable: Callable[[int], None], on_failure: Callable[[StoreError], None]
    ) -> None:
        """Begin to write. ``on_durable(ticket)`` says that all tickets up to this one are safe.

        Both are called from the store's own thread.
        """

    def submit(self, ticket: int, change: StateChange) -> None:
        """Write this soon; returns at once."""

    def close(self) -> None:
        """Write what was submitted, and let go of the store."""
