"""Phases of an interval: the table of what follows what, and when by the clock."""

from enum import StrEnum


class Phase(StrEnum):
    OPEN = "open"  # takes tenders
    CLEARING = "clearing"  # the gate is closed: matched, held and paid for
    DELIVERING = "delivering"
    SETTLING = "settling"
    ENDED = "ended"  # each of its trades has


class Word(StrEnum):
    """What moves an interval from phase to phase."""

    GATE = "gate closes"
    START = "interval begins"
    END = "interval ends"
    DONE = "all trades have ended"


TRANSITIONS: dict[tuple[Phase, Word], Phase] = {
    (Phase.OPEN, Word.GATE): Phase.CLEARING,
    (Phase.CLEARING, Word.START): Phase.DELIVERING,
    (Phase.DELIVERING, Word.END): Phase.SETTLING,
    (Phase.SETTLING, Word.DONE): Phase.ENDED,
}
