"""Marks in the log: each once, at a fitting level, with ids in fields of their own, and of each kind within a bound."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from controller.watching.marks import Kind, Mark, Severity
from digitalgrid.rate_limit import TokenBucket

_log = logging.getLogger(__name__)

# Lines of each kind, a second and at once: a cut that concerns two thousand circuits leaves a few of them here, and all
# in the timeline.
_LINES_PER_S, _LINES_AT_ONCE = 2.0, 20.0
_LEVELS = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ALARM: logging.ERROR,
}
# Of what the id of a mark is that is not a circuit's.
_FIELDS = {
    Kind.LINK_DOWN: "link_id",
    Kind.LINK_OFF: "link_id",
    Kind.LINK_UP: "link_id",
    Kind.ROUTER_GONE: "router_id",
    Kind.ROUTER_OFF: "router_id",
    Kind.ROUTER_BACK: "router_id",
    Kind.DRAINING: "drained_id",
    Kind.DRAINED: "drained_id",
    Kind.IN_SERVICE: "drained_id",
    Kind.LEADER_CHANGED: "controller",
}


class MarkLog:
    """``about`` says more of a circuit: its request, and its trace if it has one."""

    def __init__(self, about: Callable[[int], Mapping[str, str]]) -> None:
        self._about = about
        self.newest = 0
        self._room: dict[Kind, TokenBucket] = {}
        self._left_out: Counter[Kind] = Counter()

    def note(self, marks: Iterable[Mark], now_ns: int) -> None:
        """Log those that were made since the :attr:`newest` that was logged."""
        for mark in marks:
            self.newest = mark.n
            self._note(mark, now_ns)

    def _note(self, mark: Mark, now_ns: int) -> None:
        room = self._room.setdefault(mark.kind, TokenBucket(_LINES_PER_S, _LINES_AT_ONCE))
        if not room.take(now_ns):
            self._left_out[mark.kind] += 1
            return
        left_out = self._left_out.pop(mark.kind, 0)
        more = f" ({left_out} like it before were not logged: `dgctl events`)" if left_out else ""
        # Who leads is told by each that begins, which is how things are.
        routine = mark.kind is Kind.LEADER_CHANGED
        level = logging.INFO if routine else _LEVELS[mark.kind.severity]
        _log.log(level, "%s%s", mark.text, more, extra=self._fields_of(mark))

    def _fields_of(self, mark: Mark) -> dict[str, str | int]:
        fields: dict[str, str | int] = {"mark": mark.kind.word}
        if mark.kind in _FIELDS:
            return fields | {_FIELDS[mark.kind]: mark.id}
        circuit_id = int(mark.id)
        return fields | {"circuit_id": circuit_id} | dict(self._about(circuit_id))
