"""Leader discovery and retries with backoff: which controller of a cluster to ask, and how long to wait before."""

import random

import grpc

from digitalgrid.client.errors import ControllerUnreachable, PowerError
from digitalgrid.reasons import Reason

# First pause (s), doubled after each: an answer of a controller nearby takes a fraction of it.
_FIRST_PAUSE_S = 0.025
# Longest pause (s) between attempts: a controller that knows no leader says so cheaply, and waiting costs time.
_MAX_PAUSE_S = 0.1
# Redirects that one call follows: two controllers that each name the other will know better in a moment.
_MAX_REDIRECTS = 50


class Servers:
    """Addresses (host:port), separated by commas; ``current`` is asked first."""

    def __init__(self, addresses: str) -> None:
        self._addresses = [each.strip() for each in addresses.split(",") if each.strip()]
        if not self._addresses:
            raise ValueError("nobody to ask; write HOST:PORT, or several with commas between")
        self.current = self._addresses[0]

    @property
    def count(self) -> int:
        return len(self._addresses)

    def follow(self, leader_address: str) -> None:
        self.current = leader_address

    def next(self) -> None:
        """Another one; where the present one is none of those given, the first."""
        at = self._addresses.index(self.current) if self.current in self._addresses else -1
        self.current = self._addresses[(at + 1) % len(self._addresses)]


class Attempts:
    """One call that may need several: after a failure, whom to ask next, and how long to wait before."""

    def __init__(self, servers: Servers, timeout_s: float, now_s: float) -> None:
        self._servers = servers
        self._deadline_s = now_s + timeout_s
        self._failures = self._redirects = 0
        self._pause_s = _FIRST_PAUSE_S

    def remaining_s(self, now_s: float) -> float:
        """What is left of the time for this call."""
        return max(0.0, self._deadline_s - now_s)

    def pause_s(self, error: PowerError, now_s: float) -> float | None:
        """Seconds to wait before asking ``servers.current`` again, None where the error is the answer."""
        leader = error.metadata.get("leader_address", "")
        if error.reason == Reason.OVERLOADED:
            # Not all shall come back at the same moment.
            return self._in_time(error.retry_after_s * random.uniform(1.0, 2.0), now_s)
        if error.reason == Reason.NOT_LEADER and leader:
            news = leader != self._servers.current and self._redirects < _MAX_REDIRECTS
            self._redirects += 1
            self._servers.follow(leader)
            if news:
                return self._in_time(0.0, now_s)
        elif isinstance(error, ControllerUnreachable) and self._servers.count > 1:
            if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                return None
            self._servers.next()
        else:
            return None
        self._failures += 1
        pause_s = 0.0
        # Each is asked once without delay.
        if self._failures >= self._servers.count:
            pause_s = self._pause_s
            self._pause_s = min(2 * self._pause_s, _MAX_PAUSE_S)
        return self._in_time(pause_s, now_s)

    def _in_time(self, pause_s: float, now_s: float) -> float | None:
        return pause_s if pause_s < self.remaining_s(now_s) else None
