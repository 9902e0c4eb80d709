"""Events of the page's stream: server-sent events, whose data is one JSON object each."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from controller.watching.journal import Place, Word

# Of one answer: some thousand rows, which a browser takes in at once.
MOST_BYTES = 64 * 1024
NOW, MARKS, MEASURED, SECONDS = "now", "marks", "measured", "seconds"
# What a word is about: a table of rows and an id in it, or one of the first three above.
Key = tuple[str, int | str]


class EventId(NamedTuple):
    """Where a reader stands, for it to go on from there: a place in a journal, and which journal."""

    epoch: str
    place: Place

    def __str__(self) -> str:
        return f"{self.epoch}.{self.place.number}.{self.place.urgent}"

    @classmethod
    def parsed(cls, text: str) -> "EventId | None":
        """None for what is none, as anybody may send anything."""
        epoch, *numbers = text.split(".")
        if len(text) > 64 or len(numbers) != 2 or not all(map(_is_number, numbers)):
            return None
        return cls(epoch, Place(int(numbers[0]), int(numbers[1])))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def event(name: str, data: Mapping[str, Any] | bytes, id_: EventId | None = None) -> bytes:
    """One event; JSON has no line breaks, so that its data is one line."""
    encoded = data if isinstance(data, bytes) else msgspec.json.encode(data)
    begin = f"id: {id_}\n" if id_ is not None else ""
    return b"%sevent: %s\ndata: %s\n\n" % (begin.encode(), name.encode(), encoded)


def told(words: Iterable[Word[Key]], at_unix_ms: int, id_: EventId) -> bytes:
    """All that some words say: rows, marks, then figures; ``id_`` is that of the place behind them."""
    tables: dict[str, list[bytes]] = {}
    gone: dict[str, list[int | str]] = {}
    for word in words:
        table, key = word.key
        if word.said is None:
            gone.setdefault(table, []).append(key)
        else:
            tables.setdefault(table, []).append(word.said)
    single = [(each, tables.pop(each, [])) for each in (NOW, MEASURED)]
    marks = tables.pop(MARKS, [])
    answer = []
    if tables or gone:
        parts = [b'"at_unix_ms":%d' % at_unix_ms]
        parts += [b'"%s":[%s]' % (key.encode(), b",".join(rows)) for key, rows in tables.items()]
        if gone:
            parts.append(b'"gone":' + msgspec.json.encode(gone))
        answer.append(event("rows", b"{%s}" % b",".join(parts), id_))
    if marks:
        answer.append(event(MARKS, b'{"marks":[%s]}' % b",".join(marks), id_))
    answer += [event(name, each, id_) for name, said in single for each in said]
    return b"".join(answer)
