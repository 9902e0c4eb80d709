"""The map as it was: what changes of routers, lines, sources and loads on the map, by steps of some seconds. Pure.

Of each step only what is otherwise than before it is kept, encoded; a network at rest adds nothing. Bounded by time,
and by number: then the oldest steps are forgotten, so that the map of a large network in turmoil reaches less far back.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

# How long the map is kept (ms), as marks are: the span of the timeline.
KEPT_MS = 15 * 60 * 1000
# Changes that are kept, at some 80 bytes each: 8 MB. Two thousand lines that all change every 5 s fill it in 4 minutes.
MOST_CHANGES = 100_000
# What is told of each thing after its id.
THEN_COLUMNS: dict[str, tuple[str, ...]] = {
    "routers": ("router_id", "connected", "admin"),
    "links": (
        *("link_id", "reserved_a_to_b_a", "reserved_b_to_a_a", "up", "silent", "admin"),
        *("standby_a_to_b_a", "standby_b_to_a_a"),
    ),
    "sources": ("source_id", "reserved_w", "standby_w"),
    "loads": ("load_id", "reserved_w"),
    # How many circuits to a load are in each state.
    "sinks": ("sink_id", "states"),
}
# A table and an id in it.
Key = tuple[str, str]
Values = tuple[Any, ...]
_encode = msgspec.json.Encoder().encode


class Step(NamedTuple):
    """Rows of what was otherwise from a time on, each with its key."""

    at_unix_ms: int
    keys: tuple[Key, ...]
    rows: tuple[bytes, ...]


class MapHistory:
    """``begins_unix_ms``: from when on the map is known; None before the first look."""

    def __init__(self, most_changes: int = MOST_CHANGES) -> None:
        self._most_changes = most_changes
        # As they were looked at last, and as they were when what is kept begins.
        self._values: dict[Key, Values] = {}
        self._first: dict[Key, bytes] = {}
        self.begins_unix_ms: int | None = None
        self._steps: deque[Step] = deque()
        self.changes = 0

    def take(self, at_unix_ms: int, things: Iterable[tuple[Key, Values]]) -> None:
        """How these things are from now on; those that are not named are as before."""
        keys, rows = [], []
        for key, values in things:
            if self._values.get(key) != values:
                self._values[key] = values
                keys.append(key)
                rows.append(_encode((key[1], *values)))
        if self.begins_unix_ms is None:
            self.begins_unix_ms = at_unix_ms
        if self._steps:
            at_unix_ms = max(at_unix_ms, self._steps[-1].at_unix_ms)
        if keys:
            self._steps.append(Step(at_unix_ms, tuple(keys), tuple(rows)))
            self.changes += len(keys)
        self._forget(at_unix_ms - KEPT_MS)

    def telling(self, to_unix_ms: int) -> "Telling":
        """All that is kept, true up to a time, to be written wherever there is time for it."""
        return Telling(self.begins_unix_ms, to_unix_ms, dict(self._first), tuple(self._steps))

    def _forget(self, before_unix_ms: int) -> None:
        """What was before is what the rest begins with."""
        while self._steps and (
            self._steps[0].at_unix_ms < before_unix_ms or self.changes > self._most_changes
        ):
            step = self._steps.popleft()
            self._first.update(zip(step.keys, step.rows, strict=True))
            self.begins_unix_ms = step.at_unix_ms
            self.changes -= len(step.keys)


class Telling(NamedTuple):
    begins_unix_ms: int | None
    to_unix_ms: int
    first: dict[Key, bytes]
    steps: tuple[Step, ...]

    def json(self) -> bytes:
        """The first step has everything, and each later one what was otherwise from its time on."""
        written = []
        if self.begins_unix_ms is not None:
            first = Step(self.begins_unix_ms, tuple(self.first), tuple(self.first.values()))
            written = [_written(each) for each in (first, *self.steps)]
        return b'{"columns":%s,"to_unix_ms":%d,"steps":[%s]}' % (
            _encode(THEN_COLUMNS),
            self.to_unix_ms,
            b",".join(written),
        )


def _written(step: Step) -> bytes:
    tables: dict[str, list[bytes]] = {}
    for (table, _), row in zip(step.keys, step.rows, strict=True):
        tables.setdefault(table, []).append(row)
    parts = [b'"%s":[%s]' % (table.encode(), b",".join(rows)) for table, rows in tables.items()]
    return b"{%s}" % b",".join([b'"at_unix_ms":%d' % step.at_unix_ms, *parts])
