"""Rate limits: a token bucket, and log lines of which a peer cannot make many. Pure: the time is passed in."""

import logging
from collections import Counter
from collections.abc import Mapping

from digitalgrid.units import NS_PER_S

# One line of a kind within this is enough to act on; a flood of 10,000 a second then makes 6 lines a minute.
_LOG_INTERVAL_NS = 10 * NS_PER_S
# Kinds may hold ids of peers: of strangers no more are remembered.
_MAX_KINDS = 1000


class TokenBucket:
    """``rate_per_s`` on average, and ``burst`` at once after a quiet time."""

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_ns = rate_per_s / NS_PER_S
        self._burst = burst
        self._tokens = burst
        self._filled_ns: int | None = None

    def take(self, now_ns: int, cost: float = 1) -> bool:
        """Whether one more is within the limit; if so it counts. What costs more than a token lets the next wait."""
        if now_ns != self._filled_ns:
            self._fill(now_ns)
        if self._tokens < 1:
            return False
        self._tokens -= cost
        return True

    def charge(self, cost: float) -> None:
        """One that could not wait."""
        self._tokens -= cost

    def wait_ns(self, now_ns: int) -> int:
        """How long until :meth:`take` is true again; 0 where it is now."""
        if now_ns != self._filled_ns:
            self._fill(now_ns)
        missing = 1 - self._tokens
        return 0 if missing <= 0 else int(missing / self._rate_per_ns) + 1

    def _fill(self, now_ns: int) -> None:
        if self._filled_ns is not None:
            gained = (now_ns - self._filled_ns) * self._rate_per_ns
            self._tokens = min(self._burst, self._tokens + gained)
        self._filled_ns = now_ns


class LimitedLog:
    """Rate-limited logging: of each kind a line at most every 10 s, with how many were left out since."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next_ns: dict[str, int] = {}
        self._left_out: Counter[str] = Counter()

    def warning(self, now_ns: int, kind: str, message: str, *arguments: object) -> None:
        self.log(now_ns, logging.WARNING, kind, message, *arguments)

    def log(
        self,
        now_ns: int,
        level: int,
        kind: str,
        message: str,
        *arguments: object,
        error: BaseException | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        """With an ``error``, its traceback too; ``fields`` are for logs in JSON."""
        if not self._logger.isEnabledFor(level):
            return
        if now_ns < self._next_ns.get(kind, now_ns):
            self._left_out[kind] += 1
            return
        if len(self._next_ns) >= _MAX_KINDS:
            self._next_ns.clear()
        self._next_ns[kind] = now_ns + _LOG_INTERVAL_NS
        left_out = self._left_out.pop(kind, 0)
        more = f" ({left_out} like it were not logged)" if left_out else ""
        said = message + more.replace("%", "%%")
        self._logger.log(level, said, *arguments, exc_info=error, extra=fields)
