"""A dictionary that counts what is read of it: a test of complexity that no clock can make flaky."""

from collections.abc import Iterator
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class CountedDict(dict[K, V]):
    """``reads`` counts keys looked up, and entries that were walked over."""

    reads = 0

    def __getitem__(self, key: K) -> V:
        self.reads += 1
        return super().__getitem__(key)

    def get(self, key: K, default: Any = None) -> Any:
        self.reads += 1
        return super().get(key, default)

    def __iter__(self) -> Iterator[K]:
        for key in super().__iter__():
            self.reads += 1
            yield key

    def keys(self) -> Any:
        self.reads += len(self)
        return super().keys()

    def items(self) -> Any:
        self.reads += len(self)
        return super().items()

    def values(self) -> Any:
        self.reads += len(self)
        return super().values()
