"""Exponential backoff by key: what was in vain is tried again after a while, doubled each time in a row."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from controller.core.programming.agenda import Agenda

K = TypeVar("K", bound=Hashable)


class Retries(Generic[K]):
    """Each key waits for ``first_ns`` when it has failed once, and for ``longest_ns`` at most."""

    def __init__(self, first_ns: int, longest_ns: int) -> None:
        self._first_ns, self._longest_ns = first_ns, longest_ns
        self._waiting: Agenda[K] = Agenda()
        # How long each waits when it fails again.
        self._after_ns: dict[K, int] = {}

    def __contains__(self, key: K) -> bool:
        """Whether it waits."""
        return key in self._waiting

    def failed(self, key: K, now_ns: int) -> None:
        after_ns = self._after_ns.get(key, self._first_ns)
        self._after_ns[key] = min(2 * after_ns, self._longest_ns)
        self._waiting.set(key, now_ns + after_ns)

    def succeeded(self, key: K) -> None:
        """Its next failure is a first one; if it waits, it goes on waiting."""
        self._after_ns.pop(key, None)

    def drop(self, key: K) -> None:
        """Nothing of it is known any more."""
        self._after_ns.pop(key, None)
        self._waiting.drop(key)

    def next_ns(self) -> int | None:
        return self._waiting.next_ns()

    def take_due(self, now_ns: int) -> list[K]:
        """Those that have waited, the earliest first; they wait no longer."""
        due = self._waiting.due(now_ns)
        for each in due:
            self._waiting.drop(each)
        return due
