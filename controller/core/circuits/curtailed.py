"""Curtailment of a circuit as a value: by what, since when, and how much is left."""

import msgspec

from controller.core.circuits.shortfall import Blame, ShortCause
from digitalgrid.units import format_power


class Curtailed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A circuit gets less than was asked for, by a decision: since when, how much is left, and what leaves no more."""

    by: str
    since_unix_ns: int
    asked_w: float
    granted_w: float

    def __str__(self) -> str:
        return f"curtailed by {self.by}: {format_power(self.granted_w)} of {format_power(self.asked_w)}"


# Who displaced it, where that is not known any more.
BY_OTHERS = "circuits of a higher priority"
# Its source is short, and it went to others, which have not all of its power.
BY_WHAT_IS_LEFT = "what other sources have left"
_SOURCE, _CIRCUIT, _DRAIN = "source ", "circuit ", "the drain of "


def by_source(source_id: str) -> str:
    """What a source that gives less is called among those that curtail."""
    return f"{_SOURCE}{source_id}"


def by_circuit(circuit_id: int) -> str:
    """What a circuit that displaces others is called."""
    return f"{_CIRCUIT}{circuit_id}"


def by_drain(ids: str) -> str:
    """What an operator's word is called that links or routers be left."""
    return f"{_DRAIN}{ids}"


def curtailed_by(curtailed: Curtailed) -> tuple[ShortCause, str]:
    """The cause of what its load lacks by it, and the id of who has it."""
    by = curtailed.by
    for prefix, cause in (
        (_SOURCE, ShortCause.SOURCE_SHORT),
        (_CIRCUIT, ShortCause.PREEMPTED),
        (_DRAIN, ShortCause.OPERATOR),
    ):
        if by.startswith(prefix):
            return cause, by.removeprefix(prefix)
    if by == BY_WHAT_IS_LEFT:
        return ShortCause.SOURCE_SHORT, ""
    return (ShortCause.PREEMPTED if by == BY_OTHERS else ShortCause.UNKNOWN), ""


def blame_of(curtailed: Curtailed) -> Blame:
    """Who leaves its load less, and since when."""
    return Blame(*curtailed_by(curtailed), curtailed.since_unix_ns)
