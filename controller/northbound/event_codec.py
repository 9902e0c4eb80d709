"""Marks as clients are told of them: events, chosen by kind and by what they are about."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from controller.core.errors import invalid
from controller.northbound.codec import check_ids
from controller.watching.marks import Kind, Mark, Severity, chosen
from digitalgrid.printable import quoted
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb

_SEVERITIES = {each: pb.Severity.Value(f"SEVERITY_{each.name}") for each in Severity}
_WORDS = {each.word for each in Kind}


@dataclass(frozen=True, slots=True)
class EventQuestion:
    """Which events somebody wants to hear of; no kinds and no ids: of all."""

    kinds: frozenset[str]
    ids: frozenset[str]

    @classmethod
    def of(cls, request: pb.WatchEventsRequest) -> "EventQuestion":
        """Raises Refusal for kinds that there are not."""
        check_ids("ids", request.ids)
        for kind in request.kinds:
            if kind not in _WORDS:
                raise invalid(
                    "kinds",
                    Reason.EVENT_KIND_UNKNOWN,
                    f"no events are of the kind {quoted(kind)}; there are {', '.join(sorted(_WORDS))}",
                )
        return cls(frozenset(request.kinds), frozenset(request.ids))

    def last_of(self, marks: Sequence[Mark], most: int) -> int:
        """The number behind which at most so many of those that are wanted come."""
        wanted = chosen(marks, self.kinds, self.ids)
        if len(wanted) <= most:
            return marks[0].n - 1 if marks else 0
        return next(islice(reversed(wanted), most, None)).n

    def answer(self, marks: Sequence[Mark], *, is_known: bool = False) -> bytes:
        """A serialised answer; nothing where there is nothing to tell."""
        events = [event_to_pb(mark) for mark in chosen(marks, self.kinds, self.ids)]
        return pb.WatchEventsResponse(events=events, caught_up=is_known).SerializeToString()


def event_to_pb(mark: Mark) -> pb.Event:
    return pb.Event(
        n=mark.n,
        at_unix_ms=mark.at_unix_ms,
        kind=mark.kind.word,
        id=mark.id,
        severity=_SEVERITIES[mark.kind.severity],
        text=mark.text,
    )
