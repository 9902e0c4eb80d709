"""How busy the running thread is: what it has computed, and for how long it has waited for a processor."""

import time
from pathlib import Path
from typing import NamedTuple

# Linux has it where it counts such waits: nanoseconds computed, nanoseconds waited, how often it ran.
_STATISTICS = Path("/proc/thread-self/schedstat")


class ThreadTimes(NamedTuple):
    """In seconds, since the thread began."""

    computed_s: float
    waited_s: float


def thread_times() -> ThreadTimes:
    """Of the thread that asks. Where nobody counts waits, a thread that a busy machine holds up seems idle."""
    return ThreadTimes(time.thread_time(), _waited_s())


def _waited_s() -> float:
    try:
        return int(_STATISTICS.read_bytes().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
