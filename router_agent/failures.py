"""What becomes of an exception in the agent: the rule by which it is survived, or ends the process.

An exception outside the device (a session, a socket, the disk, the log) leaves the device whole: it is counted, logged,
and survived. One inside the device is survived only while :meth:`RouterDevice.fault` finds nothing: the energy balances
and every circuit has its flow. Otherwise, or where the timer fails again and again, the process ends with
``RESTART_STATUS`` and whoever supervises it starts it again: a router that holds its sessions and does no work is worse
than one that is gone for a second.
"""

import logging
from collections.abc import Callable

from digitalgrid.counters import COUNTERS
from digitalgrid.rate_limit import LimitedLog, TokenBucket

# EX_TEMPFAIL of sysexits.h: started again, it may work.
RESTART_STATUS = 75
# So many failures of the timer at once, and one a second in the long run, are survived.
_SURVIVED_AT_ONCE = 10
_SURVIVED_PER_S = 1.0


class DeviceFailedError(RuntimeError):
    """The device cannot be trusted any more; the process is to end and to be started again."""


class Failures:
    """Counts and logs exceptions of the agent's callbacks, and says when one must not be survived."""

    def __init__(self, logger: logging.Logger, clock_ns: Callable[[], int]) -> None:
        self._log = LimitedLog(logger)
        self._clock_ns = clock_ns
        self._survivable = TokenBucket(_SURVIVED_PER_S, _SURVIVED_AT_ONCE)

    def outside(self, where: str, error: Exception) -> None:
        """Survived, whatever it is."""
        self._note(where, "goes on", error)

    def inside(self, where: str, error: Exception, fault: str, *, again: bool) -> None:
        """Raises DeviceFailedError where the device has a ``fault``, or fails too often in what it does ``again``."""
        now_ns = self._clock_ns()
        if not fault and again and not self._survivable.take(now_ns):
            fault = "it fails again and again"
        if fault:
            COUNTERS.add("agent_failures", where)
            raise DeviceFailedError(f"{where} failed, and {fault}: {error!r}") from error
        self._note(where, "the device is whole and goes on", error)

    def _note(self, where: str, what_then: str, error: Exception) -> None:
        COUNTERS.add("agent_failures", where)
        self._log.log(
            self._clock_ns(), logging.ERROR, where, "%s failed; %s", where, what_then, error=error
        )
