"""Pools of shared standbys (SBPP; shared mesh restoration in RFC 4872): how much a router holds for them on each line.

They are part of the circuit table: staged and committed with hops, under the same fencing, and lost with them.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from types import MappingProxyType

from digitalgrid.limits import MAX_POWER_W
from digitalgrid.model import StandbyPool


class Pools:
    """``link_up`` maps each link's id to its state, None for one that is not there.

    A pool is absolute, and whoever says it reckons with all that was said before. So of two transactions the one that
    was staged later counts, in whichever order they are committed.
    """

    def __init__(self, link_up: Callable[[str], bool | None]) -> None:
        self._link_up = link_up
        self._received_w: dict[str, float] = {}
        # Of each link: when the transaction was staged that its pool is from.
        self._staged_as: dict[str, int] = {}
        self._numbers = count(1)

    @property
    def received_w(self) -> Mapping[str, float]:
        """By link, those above 0."""
        return MappingProxyType(self._received_w)

    @property
    def told(self) -> list[StandbyPool]:
        """Those above 0, in order."""
        return [StandbyPool(*each) for each in sorted(self._received_w.items())]

    def problem(self, pools: Sequence[StandbyPool]) -> str:
        """Why these cannot be held; empty where they could. A link that is down can have one."""
        for link_id, times in Counter(pool.link_id for pool in pools).items():
            if self._link_up(link_id) is None:
                return f"pool: this router has no link {link_id!r}"
            if times > 1:
                return f"the pool of link {link_id!r} stands there twice"
        for pool in pools:
            # Also false for NaN.
            if not 0.0 <= pool.received_power_w <= MAX_POWER_W:
                return f"the pool of link {pool.link_id!r} must lie between 0 and {MAX_POWER_W:g} W"
        return ""

    def number(self) -> int:
        """Of a transaction that is staged now."""
        return next(self._numbers)

    def commit(self, pools: Sequence[StandbyPool], number: int) -> bool:
        """Whether anything is different now."""
        changed = False
        for pool in pools:
            if self._staged_as.get(pool.link_id, 0) > number:
                continue
            self._staged_as[pool.link_id] = number
            held_w = self._received_w.pop(pool.link_id, 0.0)
            changed |= held_w != pool.received_power_w
            if pool.received_power_w > 0.0:
                self._received_w[pool.link_id] = pool.received_power_w
        return changed
