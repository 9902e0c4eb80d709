"""Processor: for what share of the time this process lately waited for one, as Linux counts it.

A router that is woken late knows that (router_agent.device.lateness). On a crowded machine each of its wake-ups may be
only a little late, and yet all that it does takes five times as long, and so what its neighbours on that machine do.
"""

from collections import deque
from contextlib import suppress
from pathlib import Path

from digitalgrid.units import NS_PER_MS

# proc(5): nanoseconds on a processor, nanoseconds that it waited for one, and how often it ran. Of the main thread.
_SCHEDSTAT = Path("/proc/self/schedstat")
_APART_NS = 100 * NS_PER_MS
# With the above, a second: long enough for a router that hardly does anything to have waited where all wait.
_SAMPLES = 11


class ProcessorWait:
    """Asked about whenever the router is awake; it looks ten times a second."""

    def __init__(self, schedstat: Path = _SCHEDSTAT) -> None:
        self._schedstat = schedstat
        # When, and for how long it had waited by then.
        self._waited_ns: deque[tuple[int, int]] = deque(maxlen=_SAMPLES)

    def share(self, now_ns: int) -> float:
        """From 0 to 1, of about a second; 0 where the kernel does not tell."""
        samples = self._waited_ns
        if not samples or now_ns - samples[-1][0] >= _APART_NS:
            with suppress(OSError, ValueError, IndexError):
                samples.append((now_ns, int(self._schedstat.read_text().split()[1])))
        if len(samples) < 2:
            return 0.0
        (began_ns, before_ns), (ended_ns, after_ns) = samples[0], samples[-1]
        return min(1.0, (after_ns - before_ns) / (ended_ns - began_ns))
