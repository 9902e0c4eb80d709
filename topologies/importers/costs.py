"""What sources cost: the linear part of polynomial costs; of piecewise linear ones the slope of the first piece."""

import math
from typing import Any

from digitalgrid.limits import MAX_PRICE_PER_MWH
from topologies.importers.reading import Reading, Row

_ELEMENTS = ("gen", "sgen", "ext_grid", "load", "dcline", "storage")


class Costs:
    """By element; whatever no source takes in the end is noted."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._found: dict[tuple[str, Any], tuple[Row, float]] = {}
        for row in reading.rows("poly_cost"):
            self._add(row, row.figure("cp1_eur_per_mw"))
            if row.figure("cp2_eur_per_mw2") != 0.0:
                row.note("a cost curve: only the first linear part is taken")
        for row in reading.rows("pwl_cost"):
            slopes = _slopes(row)
            self._add(row, slopes[0])
            if len(slopes) > 1:
                row.note("a cost curve: only the first linear part is taken")

    def take(self, row: Row) -> float:
        """What a source costs; 0 where nothing is stated."""
        _, cost = self._found.pop((row.table, row.index), (None, 0.0))
        return cost

    def note_unused(self) -> None:
        for (table, index), (row, _) in self._found.items():
            row.note(
                f"left out, {table} {index} is no source in service and grid files price sources only"
            )

    def _add(self, row: Row, cost: float) -> None:
        table = row.text("et")
        if table not in _ELEMENTS:
            raise row.error(
                "et", f"is {row.cell('et')!r}; it must be one of {', '.join(_ELEMENTS)}"
            )
        element = row.reference("element", table)
        if (table, element) in self._found:
            raise row.error("element", f"is {element!r}, and {table} {element} has a cost already")
        self._found[table, element] = (row, cost)


def _slopes(row: Row) -> list[float]:
    """Of points (from MW, to MW, money per MWh)."""
    points = row.cell("points")
    try:
        slopes = [float(point[2]) for point in points]
    except (TypeError, ValueError, IndexError, KeyError):
        slopes = []
    if not slopes or not all(abs(s) <= MAX_PRICE_PER_MWH and math.isfinite(s) for s in slopes):
        raise row.error("points", f"is {points!r}; it must be a list of [from, to, slope]")
    return slopes
