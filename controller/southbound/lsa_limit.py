"""Rate limit of one session's link-state advertisements: an advertisement is a state, so of many the latest is enough.

Beyond the rate the latest one waits for its turn, and replaces the one that waited. A router that sends still more is
not read for a while: the rest waits in its own stream, by gRPC's flow control. News that a line is down do not wait
for what was said before them, a large advertisement for example, as long as they are few.
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
# Advertisements that take a line down, beyond the rate: a second, and at once. With 1,024 things each takes the
# controller 41 ms, so a router that makes them up takes less than a tenth of it, and of lines more fail seldom.
_DOWN_NEWS_PER_S = 2.0
_DOWN_NEWS_AT_ONCE = 4.0


class LsaLimit:
    """``apply`` gets what is let through, ``failed`` what it raises for one that had to wait."""

    def __init__(
        self,
        per_s: float,
        apply: Callable[[RouterLsa], None],
        failed: Callable[[ValueError], None],
    ) -> None:
        self._bucket = TokenBucket(per_s, per_s)
        self._down_news = TokenBucket(_DOWN_NEWS_PER_S, _DOWN_NEWS_AT_ONCE)
        self._apply = apply
        self._failed = failed
        self._waiting: RouterLsa | None = None
        # Applied last.
        self._known: RouterLsa | None = None
        self._turn: asyncio.TimerHandle | None = None

    def take(self, lsa: RouterLsa) -> float:
        """Apply it now, or when its turn has come. For how many seconds nothing more of the session is to be read."""
        now_ns = time.monotonic_ns()
        if self._waiting is None and self._bucket.take(now_ns, _cost(lsa)):
            self._take_in(lsa)
            return 0.0
        if self._takes_down(lsa) and self._down_news.take(now_ns):
            self._waiting = None
            self._take_in(lsa)
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
            self._take_in(lsa)

    def _take_in(self, lsa: RouterLsa) -> None:
        self._known = lsa
        self._apply(lsa)

    def _takes_down(self, lsa: RouterLsa) -> bool:
        """Whether a line that was up is said to be down."""
        down = {each.link_id for each in lsa.links if not each.up}
        known = self._known.links if down and self._known is not None else ()
        return any(each.up and each.link_id in down for each in known)

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
