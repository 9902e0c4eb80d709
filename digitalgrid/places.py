"""Places of routers and courses of links, for maps: nothing that power or decisions go by.

Coordinates are in whatever unit the file is in, metres or degrees: x to the east, y to the north.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

from digitalgrid.bounds import InvalidValue

Place: TypeAlias = tuple[float, ...]
"""x and y."""

# Far beyond the metres of any national grid; a float still tells millimetres there.
MAX_COORDINATE = 1e9
# Corners of a link between its ends: more than a map shows, and an advertisement should carry.
MAX_VIA = 64


def check_place(at: Place | None) -> None:
    """Raises InvalidValue for what is no place; None is nowhere."""
    if at is not None and (problem := place_problem(at)):
        raise InvalidValue("at", message=problem)


def check_via(via: Sequence[Place]) -> None:
    """Raises InvalidValue for a corner that is no place, or more of them than there may be."""
    if len(via) > MAX_VIA:
        raise InvalidValue("via", message=f"has {len(via)} corners; {MAX_VIA} is the most")
    for index, corner in enumerate(via):
        if problem := place_problem(corner):
            raise InvalidValue("via", index, message=problem)


def place_problem(at: Place) -> str | None:
    if len(at) != 2:
        return f"has {len(at)} figures; write [x, y]"
    if not all(math.isfinite(each) and abs(each) <= MAX_COORDINATE for each in at):
        return f"is {list(at)}; x and y lie between -{MAX_COORDINATE:g} and {MAX_COORDINATE:g}"
    return None
