"""Switches by what they switch: buses, lines, transformers."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any, Literal, NamedTuple

from topologies.importers.reading import Reading, Row

Kind = Literal["b", "l", "t", "t3"]

_ELEMENTS: dict[str, str] = {"b": "bus", "l": "line", "t": "trafo", "t3": "trafo3w"}


class Switch(NamedTuple):
    """``element`` is the other bus, or the index of the line or transformer."""

    row: Row
    bus: int
    element: Any
    closed: bool


def switches(reading: Reading, kind: Kind) -> Iterator[Switch]:
    """Those of one kind. Raises NetworkError for an unknown kind, and for what leads nowhere."""
    for row in reading.rows("switch"):
        found = row.text("et")
        if found not in _ELEMENTS:
            raise row.error(
                "et", f"is {row.cell('et')!r}; it must be one of {', '.join(_ELEMENTS)}"
            )
        if found == kind:
            element = row.reference("element", _ELEMENTS[kind])
            yield Switch(row, row.bus("bus"), element, row.flag("closed", True))


class OpenEnds:
    """Where lines or transformers are open: the buses of their open switches."""

    def __init__(self, reading: Reading, kind: Kind) -> None:
        self._at: dict[Any, dict[int, Row]] = defaultdict(dict)
        for switch in switches(reading, kind):
            if not switch.closed:
                self._at[switch.element][switch.bus] = switch.row

    def of(self, row: Row, buses: Collection[int]) -> Collection[int]:
        """The open ones among an element's own buses. Raises NetworkError for a switch at another bus."""
        found = self._at.get(row.index, {})
        for bus, switch in found.items():
            if bus not in buses:
                raise switch.error("bus", f"is {bus}, where {row} does not end")
        return found.keys()
