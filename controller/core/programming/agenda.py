"""What is due when: one time a key, set anew at any time, the earliest at hand."""

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Agenda(Generic[K]):
    """Keeps its keys in a heap, where those that were set anew or dropped stay until they come up."""

    def __init__(self) -> None:
        self._entry: dict[K, tuple[int, int]] = {}
        self._heap: list[tuple[int, int, K]] = []
        self._order = count()

    def __contains__(self, key: K) -> bool:
        return key in self._entry

    def __iter__(self) -> Iterator[K]:
        return iter(self._entry)

    def set(self, key: K, due_ns: int) -> None:
        """``key`` is due then, and not when it was before."""
        entry = self._entry[key] = (due_ns, next(self._order))
        heappush(self._heap, (*entry, key))
        if len(self._heap) > 2 * len(self._entry) + 64:
            self._heap = [(*entry, key) for key, entry in self._entry.items()]
            heapify(self._heap)

    def drop(self, key: K) -> None:
        self._entry.pop(key, None)

    def next_ns(self) -> int | None:
        """When the earliest is due; None where there is nothing."""
        heap = self._heap
        while heap:
            due_ns, order, key = heap[0]
            if self._entry.get(key) == (due_ns, order):
                return due_ns
            heappop(heap)
        return None

    def due(self, now_ns: int) -> list[K]:
        """The keys that are due, the earliest first; they stay until they are set anew or dropped."""
        due = []
        while (first_ns := self.next_ns()) is not None and first_ns <= now_ns:
            due.append(heappop(self._heap))
        for each in due:
            heappush(self._heap, each)
        return [key for _, _, key in due]
