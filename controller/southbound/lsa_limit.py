"""Rate limit of one session's link-state advertisements: an advertisement is a state, so of many the latest is enough.

Beyond the rate the latest one waits for its turn, and replaces the one that waited. A router that sends still more is
not read for a while: the rest waits in its own stream, by gRPC's flow control.
"""

import asyncio
import time
from collections.abc import Callable

from digitalgrid.counters import COUNTERS
from digitalgrid.rate_limit import TokenBucket
from digitalgrid.units import NS_PER_S
from digitalgrid.v1.power_link_pb2 import RouterLsa

# Links, sources and loads that cost as much as an advertisement by itself: installing one takes some 40 us.
_THINGS_PER_TOKEN = 32


class LsaLimit:
    """``apply`` gets what is let through, ``failed`` what it raises for one that had to wait."""

    def __init__(
        self,
        per_s: float,
        apply: Callable[[RouterLsa], None],
        failed: Callable[[ValueError], None],
    ) -> None:
        self._bucket = TokenBucket(per_s, per_s)
        self._apply = apply
        self._failed = failed
        self._waiting: RouterLsa | None = None
        self._turn: asyncio.TimerHandle | None = None

    def take(self, lsa: RouterLsa) -> float:
        """Apply it now, or when its turn has come. For how many seconds nothing more of the session is to be read."""
        now_ns = time.monotonic_ns()
        if self._waiting is None and self._bucket.take(now_ns, _cost(lsa)):
            self._apply(lsa)
            return 0.0
        pause_s = self._bucket.wait_ns(now_ns) / NS_PER_S if self._waiting is not None else 0.0
        COUNTERS.add("southbound_lsas_held_back")
        self._waiting = lsa
        self._await_turn(now_ns)
        return pause_s

    def flush(self) -> None:
        """Apply what waits, before what comes after it."""
        lsa, self._waiting = self._waiting, None
        if lsa is not None:
            self._bucket.charge(_cost(lsa))
            self._apply(lsa)

    def close(self) -> None:
        self._waiting = None
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _await_turn(self, now_ns: int) -> None:
        if self._turn is None:
            wait_s = self._bucket.wait_ns(now_ns) / NS_PER_S
            self._turn = asyncio.get_running_loop().call_later(wait_s, self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        try:
            self.flush()
        except ValueError as error:
            self._failed(error)


def _cost(lsa: RouterLsa) -> int:
    return 1 + (len(lsa.links) + len(lsa.sources) + len(lsa.loads)) // _THINGS_PER_TOKEN
