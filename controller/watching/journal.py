"""Journal of what watchers are told: of each thing only the newest word, in the order in which it was said.

A watcher is a place in it: a hundred keep nothing, and one that is slow is owed only the newest word of each thing that
changed since it last read.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

# Things that are gone are remembered for those that have not read so; who is further behind begins anew.
MOST_GONE = 4096
# Words that count for nothing any more are thrown away when they are more than those that do, and than this.
_SLACK = 1024


class Word(NamedTuple, Generic[K]):
    """What is said of a thing, as bytes; None where it is gone."""

    key: K
    said: bytes | None
    number: int
    urgent: bool


class Place(NamedTuple):
    """How far a watcher has read: all words up to a number, and urgent ones up to another, for those come first."""

    number: int
    urgent: int


class Journal(Generic[K]):
    """Words are numbered; those that were said again since have no number any more."""

    def __init__(self) -> None:
        self._words: dict[K, Word[K]] = {}
        self._all: _Log[K] = _Log()
        self._urgent: _Log[K] = _Log()
        self._gone: dict[K, None] = {}
        # Who has not read as far as this has missed that something is gone.
        self._begins_after = 0
        self.newest = 0

    def __len__(self) -> int:
        return len(self._words)

    def say(self, key: K, said: bytes, *, urgent: bool = False) -> None:
        self._gone.pop(key, None)
        self._say(key, said, urgent)

    def say_gone(self, key: K) -> None:
        """It is no more: a word like others, and among the first to be forgotten."""
        self._gone[key] = None
        self._say(key, None, urgent=False)
        if len(self._gone) > MOST_GONE:
            oldest = next(iter(self._gone))
            self._begins_after = self._words[oldest].number
            self.forget(oldest)

    def forget(self, key: K) -> None:
        """As if nothing had ever been said of it."""
        self._gone.pop(key, None)
        self._words.pop(key, None)

    def present(self) -> Iterator[K]:
        """What there is, as far as anything was said of it."""
        return (key for key, word in self._words.items() if word.said is not None)

    def said(self, key: K) -> bytes | None:
        word = self._words.get(key)
        return word.said if word is not None else None

    def end(self) -> Place:
        """The place of who has read everything."""
        return Place(self.newest, self.newest)

    def reaches(self, place: Place) -> bool:
        """Whether what follows a place is all that has changed since; else it must be begun anew."""
        return place.number >= self._begins_after

    def has_urgent(self, place: Place) -> bool:
        return self._urgent.newest > max(place)

    def after(self, place: Place, most_bytes: int) -> tuple[list[Word[K]], Place]:
        """The next words, one at least if there is any, urgent ones first; and the place behind them."""
        words: list[Word[K]] = []
        number, urgent = place
        size = 0
        for word in self._following(self._urgent, max(place)):
            if words and size + _size(word) > most_bytes:
                return words, Place(number, urgent)
            words.append(word)
            size += _size(word)
            urgent = word.number
        urgent = max(urgent, self._urgent.newest)
        for word in self._following(self._all, number):
            if not (word.urgent and word.number <= urgent):
                if words and size + _size(word) > most_bytes:
                    return words, Place(number, urgent)
                words.append(word)
                size += _size(word)
            number = word.number
        return words, self.end()

    def _following(self, log: "_Log[K]", number: int) -> Iterator[Word[K]]:
        for each, key in log.after(number):
            word = self._words.get(key)
            if word is not None and word.number == each:
                yield word

    def _say(self, key: K, said: bytes | None, urgent: bool) -> None:
        self.newest += 1
        self._words[key] = Word(key, said, self.newest, urgent)
        self._all.append(self.newest, key)
        if urgent:
            self._urgent.append(self.newest, key)
        for log in (self._all, self._urgent):
            if len(log) > 2 * len(self._words) + _SLACK:
                log.keep([(word.number, word.key) for word in self._following(log, 0)])


class _Log(Generic[K]):
    """Numbers in order, each with its key."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._keys: list[K] = []
        self.newest = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def append(self, number: int, key: K) -> None:
        self._numbers.append(number)
        self._keys.append(key)
        self.newest = number

    def after(self, number: int) -> Iterator[tuple[int, K]]:
        numbers, keys = self._numbers, self._keys
        # Whoever reads one word at a time pays for that word, not for all that follow.
        for index in range(bisect_right(numbers, number), len(numbers)):
            yield numbers[index], keys[index]

    def keep(self, entries: list[tuple[int, K]]) -> None:
        self._numbers = [number for number, _ in entries]
        self._keys = [key for _, key in entries]


def _size(word: Word[K]) -> int:
    return len(word.said) if word.said is not None else 0
