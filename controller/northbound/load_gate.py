"""Load shedding: no more calls are let in than can be answered in time, and the others are told when to retry.

What waits costs memory and its caller's patience, and what is let in must still meet its deadline.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from controller.core.errors import Refusal
from digitalgrid.reasons import Reason

# Calls under way: a third of a second's work at the rate of single durable admissions.
MAX_CALLS = 512
# Watchers. Each holds what has changed since it last read, which is bounded by what there is.
MAX_STREAMS = 4096


class LoadGate:
    """Counts what is under way at one server."""

    def __init__(self, most_calls: int = MAX_CALLS, most_streams: int = MAX_STREAMS) -> None:
        self._most = {"calls": most_calls, "watches": most_streams}
        self._under_way = {"calls": 0, "watches": 0}

    @contextmanager
    def call(self) -> Iterator[None]:
        with self._enter("calls"):
            yield

    @contextmanager
    def watch(self) -> Iterator[None]:
        with self._enter("watches"):
            yield

    @contextmanager
    def _enter(self, kind: str) -> Iterator[None]:
        """Refusal where there are too many of a kind already."""
        if self._under_way[kind] >= self._most[kind]:
            raise Refusal(
                Reason.OVERLOADED,
                f"{self._most[kind]} {kind} are under way, which is all that this controller takes;"
                " try again in a moment",
            )
        self._under_way[kind] += 1
        try:
            yield
        finally:
            self._under_way[kind] -= 1
