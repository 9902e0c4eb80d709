"""A file of what ``dgctl top`` shows: columns of circuits, lines and routers, and what it sorts circuits by at first.

::

    circuits: [id, owner, sink, power, loss, missing]
    links: [id, used, circuits]
    routers: [id, late]
    sort: -loss
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgctl.circuit_tables import CIRCUITS
from dgctl.listing import Listing, ListingError, View
from dgctl.topology_tables import LINKS, ROUTERS
from digitalgrid.bounds import InvalidValue, check
from digitalgrid.config_file import read_text
from digitalgrid.yaml_schema import loads

_CIRCUITS = ("id", "state", "sink", "power", "loss", "missing", "path", "reason")
_LISTINGS: dict[str, Listing[Any]] = {"circuits": CIRCUITS, "links": LINKS, "routers": ROUTERS}


@dataclass(frozen=True, slots=True)
class TopFile:
    """``sort``: as ``--sort`` has it; empty: who needs somebody first."""

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
            for index, column in enumerate(columns):
                try:
                    listing.column(column)
                except ListingError as error:
                    yield InvalidValue(name, index, message=f"is none: {error}")
        try:
            View(CIRCUITS, sort=[self.sort] if self.sort else [])
        except ListingError as error:
            yield InvalidValue("sort", message=f"is no column: {error}")

    def sorts(self) -> tuple[str, ...]:
        """What is sorted by, one after another: as the file says, who needs somebody, then by each column that is
        shown, figures with the largest first.
        """
        shown = [CIRCUITS.column(each) for each in self.circuits]
        figures = [f"-{each.name}" for each in shown if each.figure and each.name != "id"]
        others = [each.name for each in shown if not each.figure or each.name == "id"]
        return tuple(dict.fromkeys((self.sort, "", *figures, *others)))


def load_top(path: str) -> TopFile:
    """Of a file, or where none is named of the usual one, which need not be there. Raises ConfigError."""
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
