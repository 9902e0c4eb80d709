"""A file of what ``dgctl top`` shows: columns of circuits, lines and routers, and what it sorts circuits by at first.

::

    circuits: [id, owner, sink, power, loss, missing]
    links: [id, used, circuits]
    routers: [id, late]
    sort: -loss
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgctl.circuit_tables import CIRCUITS
from dgctl.listing import Column, Listing, ListingError
from dgctl.topology_tables import LINKS, ROUTERS
from digitalgrid.bounds import InvalidValue, check
from digitalgrid.config_file import ConfigError, read_text
from digitalgrid.yaml_schema import loads

_CIRCUITS = ("id", "state", "sink", "power", "loss", "missing", "path", "reason")
_LISTINGS: dict[str, Listing[Any]] = {"circuits": CIRCUITS, "links": LINKS, "routers": ROUTERS}


@dataclass(frozen=True, slots=True)
class TopFile:
    """``sort``: a column, or -COLUMN from the other end; empty: who needs somebody first."""

    circuits: tuple[str, ...] = _CIRCUITS
    links: tuple[str, ...] = ("id", "state", "used", "a-to-b", "b-to-a", "ampacity", "count")
    routers: tuple[str, ...] = ("id", "connected", "late")
    sort: str = ""

    def __post_init__(self) -> None:
        check(self, self._problems())

    def _problems(self) -> Iterator[InvalidValue]:
        for name, listing in _LISTINGS.items():
            columns: tuple[str, ...] = getattr(self, name)
            if not columns:
                yield InvalidValue(name, message=f"has no column; there are {listing.names()}")
            yield from _wrong_columns(name, listing, columns)
        try:
            self._first_sort()
        except ListingError as error:
            message = f"must be one column, with - before it for the other end: {error}"
            yield InvalidValue("sort", message=message)

    def sorts(self) -> tuple[str, ...]:
        """What is sorted by, one after another: as the file says, who needs somebody, then by each column that is
        shown, figures with the largest first.
        """
        shown = [CIRCUITS.column(each) for each in self.circuits]
        figures = [f"-{each.name}" for each in shown if each.figure and each.name != "id"]
        others = [each.name for each in shown if not each.figure or each.name == "id"]
        return tuple(dict.fromkeys((self._first_sort(), "", *figures, *others)))

    def _first_sort(self) -> str:
        """As those are written that ``s`` leads to, however the file writes it. Raises ListingError."""
        if not self.sort:
            return ""
        column, descending = CIRCUITS.order(self.sort)
        return f"-{column.name}" if descending else column.name


def _wrong_columns(
    name: str, listing: Listing[Any], columns: Sequence[str]
) -> Iterator[InvalidValue]:
    chosen: list[Column[Any]] = []
    # Of more than there are, one is none or stands twice; a file may name many more.
    for index, column in enumerate(columns[: len(listing.columns) + 1]):
        try:
            chosen.append(listing.column(column, chosen))
        except ListingError as error:
            yield InvalidValue(name, index, message=f"is of no use: {error}")


def load_top(path: str) -> TopFile:
    """Of a file, or where none is named of the usual one, which need not be there. Raises ConfigError."""
    if path == "-":
        raise ConfigError(path, None, "cannot be read: keys come from there; name a file")
    path = path or _usual()
    return loads(TopFile, read_text(path), path) if path else TopFile()


def _usual() -> str:
    """Empty where there is none, or no home that could be looked into."""
    try:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
        path = home / "dgctl" / "top.yaml"
        return str(path) if path.exists() else ""
    except (OSError, RuntimeError):
        return ""
