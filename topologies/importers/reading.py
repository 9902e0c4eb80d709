"""The tables of a pandapower network, row by row, and what is noted while they are read."""

import math
from collections.abc import Iterator
from typing import Any

from topologies.importers.identifiers import Identifiers
from topologies.importers.imported import Options


class Reading:
    """A network under import: its tables, which buses are which router, and the warnings so far.

    ``net`` is pandapower's network object; it is only read. ``router_of`` is filled by ``bus_groups``.
    """

    def __init__(self, net: Any, options: Options) -> None:
        self.net = net
        self.options = options
        self.warnings: list[str] = []
        self.names = Identifiers()
        self.router_of: dict[int, str] = {}
        self.nominal_kv: dict[int, float] = {}
        self.negative_resistance_ohm: dict[str, float] = {}
        self.fixed_losses_w = 0.0

    def rows(self, table: str) -> Iterator[Any]:
        """All rows of a table as named tuples with ``Index``; none where the network has no such table."""
        if self.count(table):
            yield from self.net[table].itertuples()

    def rows_in_service(self, table: str) -> Iterator[Any]:
        for row in self.rows(table):
            if flag(row, "in_service", True):
                yield row

    def count(self, table: str) -> int:
        return len(self.net[table]) if table in self.net else 0

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def warn_of(self, count: int, one: str, many: str, consequence: str) -> None:
        """Warns of ``count`` things, named in singular and plural; says nothing where there are none."""
        if count:
            self.warn(f"{count} {one if count == 1 else many}: {consequence}")


def number(row: Any, column: str, otherwise: float) -> float:
    """A figure of a row; ``otherwise`` where the column is absent or the cell empty."""
    value = getattr(row, column, None)
    if value is None:
        return otherwise
    try:
        figure = float(value)
    except (TypeError, ValueError):
        return otherwise
    return otherwise if math.isnan(figure) else figure


def flag(row: Any, column: str, otherwise: bool) -> bool:
    """Like :func:`number` for true and false, which pandas stores as several types."""
    value = getattr(row, column, None)
    if value is None or value != value:
        return otherwise
    return bool(value)


def text(row: Any, column: str) -> str:
    """Like :func:`number` for text; empty where there is none."""
    value = getattr(row, column, None)
    return value if isinstance(value, str) else ""
