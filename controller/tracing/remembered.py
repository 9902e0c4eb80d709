"""A table that forgets its oldest entries: what nobody may answer must not grow without bound."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """``forgotten`` is told of what had to go."""

    def __init__(self, most: int, forgotten: Callable[[V], None] = lambda _: None) -> None:
        self._most = most
        self._forgotten = forgotten
        self._entries: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __setitem__(self, key: K, value: V) -> None:
        if key not in self._entries and len(self._entries) >= self._most:
            self._forgotten(self._entries.pop(next(iter(self._entries))))
        self._entries[key] = value

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def pop(self, key: K) -> V | None:
        return self._entries.pop(key, None)

    def known(self) -> list[K]:
        return list(self._entries)
