"""Waits for what a store reports."""

import threading

from controller.store.protocol import Store, StoreError
from tests.support.patience import PATIENCE_S


class Durability:
    """Starts the store; ``tickets`` are those that it has reported, in order."""

    def __init__(self, store: Store) -> None:
        self._changed = threading.Condition()
        self.tickets: list[int] = []
        self.failures: list[StoreError] = []
        store.start(self._on_durable, self._on_failure)

    def _on_durable(self, ticket: int) -> None:
        with self._changed:
            self.tickets.append(ticket)
            self._changed.notify_all()

    def _on_failure(self, error: StoreError) -> None:
        with self._changed:
            self.failures.append(error)
            self._changed.notify_all()

    def wait(self, ticket: int) -> None:
        """Return when this is durable."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: self.failures or (self.tickets and self.tickets[-1] >= ticket), PATIENCE_S
            ), f"ticket {ticket} was not reported within {PATIENCE_S} s"
            assert not self.failures, self.failures[0]

    def wait_for_failure(self) -> StoreError:
        with self._changed:
            assert self._changed.wait_for(lambda: self.failures, PATIENCE_S), "nothing failed"
            return self.failures[0]
