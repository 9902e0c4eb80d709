"""Validation of what arrives in a message: ids and numbers, with an error that names where and which field."""

import math
import re

from digitalgrid.bounds import ID_PATTERN
from digitalgrid.limits import MAX_PRICE_PER_MWH
from digitalgrid.printable import quoted

_ID = re.compile(ID_PATTERN)


def check_ids(where: str, field: str, ids: list[str]) -> None:
    """Raises ValueError, which begins with ``where``, unless each is an id, and there once."""
    seen: set[str] = set()
    for name in ids:
        if not name:
            raise ValueError(f"{where}: {field} must not be empty")
        if not _ID.fullmatch(name):
            raise ValueError(f"{where}: {field} {quoted(name)} must match {ID_PATTERN}")
        if name in seen:
            raise ValueError(f"{where}: {field} {name!r} stands there twice")
        seen.add(name)


def are_ids(one: str, other: str) -> bool:
    """Whether one or both are there, are ids, and differ."""
    return (
        one != other
        and (not one or _ID.fullmatch(one) is not None)
        and (not other or _ID.fullmatch(other) is not None)
    )


def require(
    where: str,
    field: str,
    value: float,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
) -> None:
    """Raises ValueError, which begins with ``where``, unless the value is finite and within the bounds."""
    if not math.isfinite(value):
        raise ValueError(f"{where}: {field} must be a finite number, not {value!r}")
    if value <= above:
        raise ValueError(f"{where}: {field} must be above {above:g}, not {value!r}")
    if not at_least <= value <= at_most:
        bound = f"{at_least:g} or more" if value < at_least else f"{at_most:g} or less"
        raise ValueError(f"{where}: {field} must be {bound}, not {value!r}")


def require_price(where: str, field: str, value: float) -> None:
    """The same of a price per MWh, which may be below zero."""
    require(where, field, value, at_least=-MAX_PRICE_PER_MWH, at_most=MAX_PRICE_PER_MWH)
