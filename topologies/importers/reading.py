"""The tables of a pandapower network, row by row, and what is noted while they are read.

Every cell goes through a :class:`Row`: what is missing or cannot be is an error with table, row and column, and what
is assumed instead is a note that names the element.
"""

import math
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from topologies.importers.columns import COLUMNS, Column
from topologies.importers.errors import NetworkError
from topologies.importers.identifiers import Identifiers
from topologies.importers.imported import Options

# Of the elements that a note concerns.
_MAX_NAMED = 10


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
        self._noted: dict[str, dict[str, None]] = {}

    def rows(self, table: str) -> Iterator["Row"]:
        """All rows of a table; none where the network has no such table."""
        if self.count(table):
            frame = self.net[table]
            if not frame.index.is_unique:
                twice = frame.index[frame.index.duplicated()][0]
                raise NetworkError(f"{table} {twice}: there are several rows of this index")
            for cells in frame.itertuples():
                yield Row(self, table, cells)

    def rows_in_service(self, table: str) -> Iterator["Row"]:
        for row in self.rows(table):
            if row.flag("in_service", True):
                yield row

    def count(self, table: str) -> int:
        if table not in self.net:
            return 0
        frame = self.net[table]
        if not hasattr(frame, "itertuples"):
            raise NetworkError(f"{table!r} is no table; this is no pandapower network")
        return len(frame)

    def indices(self, table: str) -> Collection[Any]:
        return self.net[table].index if self.count(table) else ()

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def warn_of(self, count: int, one: str, many: str, consequence: str) -> None:
        """Warns of ``count`` things, named in singular and plural; says nothing where there are none."""
        if count:
            self.warn(f"{count} {one if count == 1 else many}: {consequence}")

    def note(self, element: str, what: str) -> None:
        """Notes what was assumed of one element; what is said of several becomes one warning in the end."""
        self._noted.setdefault(what, {})[element] = None

    def all_warnings(self) -> tuple[str, ...]:
        noted = (f"{named(elements)}: {what}" for what, elements in self._noted.items())
        return (*self.warnings, *noted)


class Row:
    """One element; ``str(row)`` names it as errors and notes do: ``line 3``."""

    __slots__ = ("_cells", "_reading", "table")

    def __init__(self, reading: Reading, table: str, cells: Any) -> None:
        self._reading = reading
        self._cells = cells
        self.table = table

    def __str__(self) -> str:
        return f"{self.table} {self.index}"

    @property
    def index(self) -> Any:
        return self._cells.Index

    @property
    def name(self) -> str | None:
        name = self.cell("name")
        return name if isinstance(name, str) else None

    def named(self, suffix: str) -> str | None:
        """The element's name with an addition, None where it has none."""
        return f"{self.name} {suffix}" if self.name is not None else None

    def cell(self, column: str) -> Any:
        """What stands in a column; None where the column is absent or the cell empty."""
        value = getattr(self._cells, column, None)
        return None if _is_empty(value) else value

    def has(self, column: str) -> bool:
        return hasattr(self._cells, column)

    def figure(self, column: str) -> float:
        """A figure in its domain. Raises NetworkError for what is missing or cannot be."""
        domain = COLUMNS[self.table][column]
        figure = self._figure_or_none(column, domain)
        if figure is not None:
            return figure
        if domain.otherwise is not None:
            if self.has(column):
                self.note(f"{column} is missing and taken as {domain.otherwise:g}")
            return domain.otherwise
        if domain.assumed is None:
            raise self.error(column, "is missing; give one")
        if not self._reading.options.assume_missing:
            raise self.error(
                column, f"is missing; give one, or --assume-missing takes {domain.assumed:g}"
            )
        self.note(f"{column} is missing and assumed to be {domain.assumed:g}")
        return domain.assumed

    def optional(self, column: str) -> float | None:
        """As :meth:`figure`, but None where nothing is stated."""
        return self._figure_or_none(column, COLUMNS[self.table][column])

    def _figure_or_none(self, column: str, domain: Column) -> float | None:
        value = self.cell(column)
        if value is None:
            return None
        try:
            figure = float(value)
        except (TypeError, ValueError, OverflowError):
            raise self.error(column, f"is {value!r}, which is no number") from None
        if domain.positive and figure <= 0.0:
            raise self.error(column, f"is {figure:g}; it must be above 0")
        if figure < domain.least:
            raise self.error(column, f"is {figure:g}; it must be at least {domain.least:g}")
        if figure > domain.most:
            raise self.error(column, f"is {figure:g}; it must be at most {domain.most:g}")
        if math.isinf(figure) and not domain.optional:
            raise self.error(column, f"is {figure:g}; it must be finite")
        return figure

    def flag(self, column: str, absent: bool) -> bool:
        """Yes or no, which pandas stores as several types; ``absent`` also where the cell is empty, with a note."""
        value = self.cell(column)
        if value is None:
            if self.has(column):
                self.note(f"{column} is missing and taken as {absent}")
            return absent
        if value not in (0, 1):
            raise self.error(column, f"is {value!r}; it must be true or false")
        return bool(value)

    def text(self, column: str) -> str:
        """Empty where there is none."""
        value = self.cell(column)
        return value if isinstance(value, str) else ""

    def bus(self, column: str) -> int:
        """A bus that exists, in service or not."""
        return int(self.reference(column, "bus"))

    def reference(self, column: str, table: str) -> Any:
        """The index of a row of another table. Raises NetworkError where there is none."""
        value = self.cell(column)
        if value is None:
            raise self.error(column, f"is missing; name a row of the table {table!r}")
        try:
            known = value in self._reading.indices(table)
        except TypeError:
            known = False
        if not known:
            raise self.error(column, f"is {value!r}, and the table {table!r} has no such row")
        return value

    def note(self, what: str) -> None:
        self._reading.note(str(self), what)

    def error(self, column: str, problem: str) -> NetworkError:
        return NetworkError(f"{self}: {column} {problem}")


def named(elements: Collection[str]) -> str:
    """``line 1, line 2 and 12 more``."""
    more = len(elements) - _MAX_NAMED
    listed = ", ".join(islice(elements, _MAX_NAMED))
    return f"{listed} and {more} more" if more > 0 else listed


def _is_empty(value: Any) -> bool:
    """None, NaN, and pandas' own marks, which are unequal to themselves or refuse to say so."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return not hasattr(value, "__len__")
