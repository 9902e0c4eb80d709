"""Budget of watching: the share of the loop that all watchers together may cost, kept as a leaky bucket of work.

Whoever works for watchers says how long that took, and asks before more of it whether that may be now. What was worked
is forgiven at the rate of the share, so that however much changes, and however many watch, admissions keep the rest.
"""

import time
from collections.abc import Callable

from controller.watching.thread_times import ThreadTimes, thread_times

# Of the loop's time, while it has other things to do: less than half of what watching may cost admissions, for to note
# what changes, and what is written in gRPC's threads, takes its time too.
SHARE = 0.02
# While the loop has little else to do: what is owed since a busy time is told soon, and whoever calls is heard at once.
IDLE_SHARE = 0.8
# The loop is busy where others take more than this of what is left to them.
_BUSY = 0.3
# For how long (s) it is looked at how busy it is: some turns of a busy loop.
_WINDOW_S = 0.02
# Work (s) that is free after a quiet time: a few changes are told at once, and to all.
_SAVED_S = 0.005
# Once the bucket is full, so much (s) is forgiven before more is done: few large rounds cost less than many small ones.
_PAUSE_S = 0.002
# Whoever watches hears something, however little of a processor is left.
_LEAST_HAD = 0.1
# A wait (s) that is worth a timer.
_LEAST_WAIT_S = 0.001
# What is urgent may overdraw by as much (s): some cut lines, told to a hundred watchers each.
_OVERDRAFT_S = 0.1


class Budget:
    """``clock_s`` tells the time, ``times`` how busy the loop's thread is, with what it does for watchers."""

    def __init__(
        self,
        clock_s: Callable[[], float] = time.monotonic,
        times: Callable[[], ThreadTimes] = thread_times,
    ) -> None:
        self._clock_s = clock_s
        self._times = times
        self._share = IDLE_SHARE
        # Of that time, what a machine that has too much to do lets the loop have.
        self._had = 1.0
        # Work that is not forgiven yet; below zero it is saved.
        self._owed_s = -_SAVED_S
        self._forgiven_at_s = self._window_at_s = clock_s()
        self._window_times = times()
        self._window_worked_s = 0.0
        self._pausing = False
        # All that was ever worked for watchers.
        self.worked_s = 0.0

    def charge(self, work_s: float) -> None:
        """So much was worked."""
        self.worked_s += work_s
        self._owed_s += work_s
        self._window_worked_s += work_s

    def wait_s(self, *, urgent: bool) -> float:
        """How long more work has to wait, by what is known now; 0.0 if it may be done."""
        self._forgive()
        if urgent:
            return self._until_s(_OVERDRAFT_S) if self._owed_s > _OVERDRAFT_S else 0.0
        self._pausing = self._owed_s > (-_PAUSE_S if self._pausing else 0.0)
        return self._until_s(-_PAUSE_S) if self._pausing else 0.0

    def room_s(self, *, urgent: bool) -> float:
        """How much may be worked before more has to wait, where it has not to now."""
        return max(0.0, (_OVERDRAFT_S if urgent else 0.0) - self._owed_s)

    def _until_s(self, owed_s: float) -> float:
        return max(_LEAST_WAIT_S, (self._owed_s - owed_s) / (self._share * self._had))

    def _forgive(self) -> None:
        now_s = self._clock_s()
        self._look_at_loop(now_s)
        forgiven_s = (now_s - self._forgiven_at_s) * self._share * self._had
        self._owed_s = max(-_SAVED_S, self._owed_s - forgiven_s)
        self._forgiven_at_s = now_s

    def _look_at_loop(self, now_s: float) -> None:
        # What is worked for watchers keeps others from working.
        left_s = now_s - self._window_at_s - self._window_worked_s
        if left_s < _WINDOW_S:
            return
        times = self._times()
        computed_s = times.computed_s - self._window_times.computed_s
        waited_s = times.waited_s - self._window_times.waited_s
        others_s = max(0.0, computed_s - self._window_worked_s)
        if computed_s > 0.0:
            # On a machine that has too much to do, others wait for a processor for their part of the work.
            others_s *= 1.0 + waited_s / computed_s
        waited = waited_s / (now_s - self._window_at_s)
        self._had = min(1.0, max(_LEAST_HAD, 1.0 - waited))
        self._share = SHARE if others_s > _BUSY * left_s else IDLE_SHARE
        self._window_at_s, self._window_times, self._window_worked_s = now_s, times, 0.0
