"""Tally of routers' answers to what they are told: how many of each kind came, and after how long."""

from collections import Counter

from digitalgrid.metrics.histogram import Histogram
from digitalgrid.model import Operation, ResultCode
from digitalgrid.units import NS_PER_S

# Upper bounds (s): a prompt router answers in a few milliseconds; one is late from 200 ms on, and stages end at 1 s.
ANSWER_BOUNDS_S = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)


class AnswerTally:
    """Counts only; nothing is decided by it."""

    def __init__(self) -> None:
        # What goes well is there from the beginning; of what does not only that which has happened.
        self.answered = Counter({(operation, ResultCode.OK): 0 for operation in Operation})
        self.took_s = {operation: Histogram(ANSWER_BOUNDS_S) for operation in Operation}

    def note(self, operation: Operation, code: ResultCode, took_ns: int | None) -> None:
        """An answer came, so long after it was asked for; None where nobody knows when that was."""
        self.answered[operation, code] += 1
        if took_ns is not None:
            self.took_s[operation].observe(took_ns / NS_PER_S)
