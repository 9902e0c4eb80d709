"""Listings: rows of one kind under columns that people choose, sort by and filter by; what is worst stands first.

A filter is ``COLUMN=VALUE`` (several values with commas between, ``*`` for any text), ``!=``, ``<``, ``<=``, ``>``,
``>=``, or ``~`` for a part of the text; without a column, a part of any text in the row. Several must all hold.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any, Generic, TypeVar

from digitalgrid.columns import Columns, Styled
from digitalgrid.printable import quoted

T = TypeVar("T")
Cell = str | Styled

_FILTER = re.compile(
    r"(?P<column>[A-Za-z][A-Za-z0-9 /-]*?)\s*(?P<how>!=|<=|>=|=|<|>|~)\s*(?P<value>.*)"
)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_DIGITS = re.compile(r"(\d+)")


class ListingError(ValueError):
    """A column, an order or a filter that cannot be; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """What stands in a row under a name. ``figure``: the number that is shown, which it is sorted and filtered by;
    None where there is none. ``parse`` reads such a number as people write it, or raises ValueError or OverflowError.
    """

    name: str
    cell: Callable[[T], Cell]
    figure: Callable[[T], float | None] | None = None
    parse: Callable[[str], float] = float
    # Where the column's head is another than its name.
    head: str = ""
    # Whether it stands right and is never folded.
    right: bool = False
    # Shown where nobody chooses columns, if ``when`` holds for the rows.
    default: bool = True
    when: Callable[[Sequence[T]], bool] = field(default=lambda rows: True)

    def text(self, row: T) -> str:
        cell = self.cell(row)
        return cell if isinstance(cell, str) else cell.text

    def key(self, row: T) -> tuple[Any, ...]:
        """To sort by: figures by size, and texts as people count: r9 before r10."""
        if self.figure is not None:
            figure = self.figure(row)
            return (figure is None, figure or 0.0)
        return natural(self.text(row))


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """All that can be shown of one kind of thing. ``worst`` is what the default order goes by, lowest first."""

    kind: str
    columns: tuple[Column[T], ...]
    worst: Callable[[T], Any]
    # Of a thing whose row is told from others; empty: none is.
    style: Callable[[T], str] = field(default=lambda row: "")

    def names(self) -> str:
        return ", ".join(each.name for each in self.columns)

    def column(self, name: str, before: Sequence[Column[T]] = ()) -> Column[T]:
        """That of a name, which is none of those that were chosen ``before`` it."""
        wanted = _plain(name)
        if not wanted:
            raise ListingError(f"a column of {self.kind} needs a name; there are {self.names()}")
        for each in self.columns:
            if wanted in (each.name, _plain(each.head)):
                if each in before:
                    raise ListingError(
                        f"column {each.name!r} of {self.kind} is named twice; once will do"
                    )
                return each
        raise ListingError(f"{self.kind} have no column {quoted(name)}; there are {self.names()}")

    def order(self, text: str) -> tuple[Column[T], bool]:
        """What is sorted by, and whether from the other end, as ``-`` before its name says."""
        text = text.strip()
        sign = text[:1] if text.startswith(("-", "+")) else ""
        return self.column(text.removeprefix(sign)), sign == "-"


class View(Generic[T]):
    """A listing as somebody wants to see it. Raises ListingError for what cannot be."""

    def __init__(
        self,
        listing: Listing[T],
        columns: str | None = None,
        sort: Sequence[str] = (),
        filters: Sequence[str] = (),
    ) -> None:
        self.listing = listing
        self.sorted = bool(sort)
        # Whether it matters which rows there are to choose among.
        self.chooses = bool(sort or filters)
        self._chosen = None if columns is None else _chosen(listing, columns.split(","))
        # Last of several first: sorting is stable.
        self._orders = [
            listing.order(each) for given in reversed(sort) for each in reversed(given.split(","))
        ]
        self._filters = [_filter_of(listing, each) for each in filters]

    def rows(self, rows: Iterable[T], *, as_given: bool = False) -> list[T]:
        """Those that are wanted, in order: as asked for, else ``as_given``, or the worst first."""
        wanted = [row for row in rows if all(holds(row) for holds in self._filters)]
        if not self._orders and not as_given:
            wanted.sort(key=self.listing.worst)
        for column, descending in self._orders:
            wanted.sort(key=column.key, reverse=descending)
            if descending and column.figure is not None:
                # What has no figure is last in either order.
                wanted.sort(key=lambda row, figure=column.figure: figure(row) is None)  # type: ignore[misc]
        return wanted

    def table(self, rows: Sequence[T], title: str = "") -> Columns:
        """Of rows as :meth:`rows` gives them."""
        columns = self._chosen
        if columns is None:
            columns = [each for each in self.listing.columns if each.default and each.when(rows)]
        heads = [(">" if each.right else "") + (each.head or each.name) for each in columns]
        table = Columns(*heads, title=title)
        cells = [each.cell for each in columns]
        for row in rows:
            table.add_row(*[cell(row) for cell in cells], style=self.listing.style(row))
        return table


def natural(text: str) -> tuple[Any, ...]:
    """To sort by, with numbers as numbers."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in _DIGITS.split(text.casefold())
        if part
    )


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "-").replace("_", "-")


def _chosen(listing: Listing[T], names: Sequence[str]) -> list[Column[T]]:
    chosen: list[Column[T]] = []
    for name in names:
        chosen.append(listing.column(name, chosen))
    return chosen


def _filter_of(listing: Listing[T], text: str) -> Callable[[T], bool]:
    match = _FILTER.fullmatch(text.strip())
    if match is None:
        return _anywhere(listing, text.strip().casefold())
    column, how, value = listing.column(match["column"]), match["how"], match["value"].strip()
    if how == "~":
        part = value.casefold()
        return lambda row: part in column.text(row).casefold()
    if how in _ORDERS:
        return _in_order(listing, column, how, value)
    accepted = [_equals(column, each.strip()) for each in value.split(",")]
    return lambda row: any(each(row) for each in accepted) is (how == "=")


def _anywhere(listing: Listing[T], part: str) -> Callable[[T], bool]:
    if not part:
        raise ListingError("a filter is empty; write it like state=waiting or power>2MW")
    return lambda row: any(part in each.text(row).casefold() for each in listing.columns)


def _in_order(listing: Listing[T], column: Column[T], how: str, value: str) -> Callable[[T], bool]:
    figure, compare = column.figure, _ORDERS[how]
    if figure is None:
        raise ListingError(f"column {column.name!r} of {listing.kind} has texts; compare by = or ~")
    limit = _figure(column, value)

    def holds(row: T) -> bool:
        found = figure(row)
        return found is not None and compare(found, limit)

    return holds


def _equals(column: Column[T], value: str) -> Callable[[T], bool]:
    figure = column.figure
    if figure is None:
        pattern = value.casefold()
        return lambda row: fnmatchcase(column.text(row).casefold(), pattern)
    if value == "-":
        return lambda row: figure(row) is None
    wanted = _figure(column, value)
    return lambda row: figure(row) == wanted


def _figure(column: Column[T], value: str) -> float:
    try:
        figure = column.parse(value)
        is_figure = math.isfinite(figure)
    except OverflowError:
        is_figure = False
    except ValueError as error:
        raise ListingError(f"column {column.name!r}: {value!r} is no figure ({error})") from error
    if not is_figure:
        raise ListingError(f"column {column.name!r}: {value!r} is no figure (it is not finite)")
    return figure
