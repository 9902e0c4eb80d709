"""Sharing rule of a shortage: who gets how much where a source or a line has less than is asked of it.

Guaranteed floors first, then the rest, both by hold priority and among equals by age. So the youngest of the
lowest class gives way, and few circuits are disturbed. Routers grant by it, and the controller knows by it whom they
curtail.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Claim(NamedTuple):
    """What one circuit asks for, and how much of that is guaranteed to it."""

    asked_w: float
    floor_w: float = 0.0


def rank(hold_priority: int, circuit_id: int) -> tuple[int, int]:
    """Sorts claims: the higher priority first, then the older promise, whatever generation it has come to."""
    return (-hold_priority, circuit_id)


def share_out(available_w: float, claims: Sequence[Claim]) -> list[float]:
    """What each of ``claims`` gets, which stand in the order of :func:`rank`."""
    shares = []
    left_w = max(0.0, available_w)
    for claim in claims:
        shares.append(min(claim.floor_w, claim.asked_w, left_w))
        left_w -= shares[-1]
    for index, claim in enumerate(claims):
        more_w = min(claim.asked_w - shares[index], left_w)
        shares[index] += more_w
        left_w -= more_w
    return shares
