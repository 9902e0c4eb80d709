"""Tables for a terminal or a pipe: plain columns, measured once, so that ten thousand rows are there at once.

Whatever stands in a cell is escaped, so that what others have named cannot command the terminal.
"""

import os
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import TextIO

from digitalgrid.printable import printable

_GAP = "  "
# A column that is narrowed to fit keeps so many characters.
_MIN_COLUMN_CHARACTERS = 8
_STYLES = {"bold": 1, "dim": 2, "italic": 3, "red": 31, "green": 32, "yellow": 33}


@dataclass(frozen=True, slots=True)
class Styled:
    """A line or a cell in a colour, or another of ``_STYLES``."""

    text: str
    style: str = ""


class Columns:
    """Rows under names. A column whose name starts with ``>`` has figures: it stands right, and is never folded."""

    def __init__(self, *names: str, title: str = "", show_names: bool = True) -> None:
        self._title = title
        self._names = [name.removeprefix(">") for name in names]
        self._figures = [name.startswith(">") for name in names]
        self._show_names = show_names
        self._rows: list[tuple[list[str], list[str]]] = []

    def add_row(self, *cells: str | Styled, style: str = "") -> None:
        """Styles of cells go before that of the row. Cells that are not given are empty."""
        texts = [printable(cell if isinstance(cell, str) else cell.text) for cell in cells]
        styles = [style if isinstance(cell, str) else cell.style for cell in cells]
        missing = len(self._names) - len(cells)
        self._rows.append((texts + [""] * missing, styles + [""] * missing))

    def lines(self, width: int | None, colours: bool) -> Iterator[str]:
        """Folded to fit into ``width`` characters, where it is given and that can be."""
        if self._title:
            yield _painted(printable(self._title), "italic", colours)
        widths = self._widths(width)
        if self._show_names:
            yield from self._folded(self._names, ["bold"] * len(widths), widths, colours)
        for texts, styles in self._rows:
            yield from self._folded(texts, styles, widths, colours)

    def _widths(self, width: int | None) -> list[int]:
        names = [_width(name) if self._show_names else 0 for name in self._names]
        columns = zip(*(texts for texts, _ in self._rows), strict=True) if self._rows else names
        widths = [
            max(name, *map(_width, cells)) if isinstance(cells, tuple) else name
            for name, cells in zip(names, columns, strict=True)
        ]
        if width is not None:
            _narrow(widths, self._figures, width - len(_GAP) * (len(widths) - 1))
        return widths

    def _folded(
        self, texts: list[str], styles: list[str], widths: list[int], colours: bool
    ) -> Iterator[str]:
        if all(len(text) <= width for text, width in zip(texts, widths, strict=True)):
            yield self._line(texts, styles, widths, colours)
            return
        folded = [
            textwrap.wrap(text, max(width, 1)) if len(text) > width else [text]
            for text, width in zip(texts, widths, strict=True)
        ]
        for number in range(max(map(len, folded))):
            parts = [lines[number] if number < len(lines) else "" for lines in folded]
            yield self._line(parts, styles, widths, colours)

    def _line(self, texts: list[str], styles: list[str], widths: list[int], colours: bool) -> str:
        cells = []
        for text, style, width, figure in zip(texts, styles, widths, self._figures, strict=True):
            space = " " * (width - _width(text))
            painted = _painted(text, style, colours)
            cells.append(space + painted if figure else painted + space)
        return _GAP.join(cells).rstrip()


class Line(tuple[str | Styled, ...]):
    """One line of several styles."""

    __slots__ = ()


Part = str | Styled | Line | Columns


def parts_text(parts: Iterable[Part], stream: TextIO) -> str:
    """The lines of texts and tables; in colours and folded, where they are for a terminal."""
    terminal = stream.isatty()
    colours = terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    width = get_terminal_size().columns if terminal else None
    lines: list[str] = []
    for part in parts:
        if isinstance(part, Columns):
            lines.extend(part.lines(width, colours))
        else:
            pieces = part if isinstance(part, Line) else (part,)
            lines.append("".join(_piece(piece, colours) for piece in pieces))
    return "".join(f"{line}\n" for line in lines)


def _piece(piece: str | Styled, colours: bool) -> str:
    if isinstance(piece, str):
        return printable(piece)
    return _painted(printable(piece.text), piece.style, colours)


def _painted(text: str, style: str, colours: bool) -> str:
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if colours and style and text else text


def _narrow(widths: list[int], figures: list[bool], room: int) -> None:
    """Take from the widest of the columns that may be folded until all fit."""
    foldable = [index for index, figure in enumerate(figures) if not figure]
    while sum(widths) > room and foldable:
        widest = max(foldable, key=widths.__getitem__)
        if widths[widest] <= _MIN_COLUMN_CHARACTERS:
            return
        others = [widths[index] for index in foldable if widths[index] < widths[widest]]
        least = max([_MIN_COLUMN_CHARACTERS, *others])
        widths[widest] -= max(1, min(widths[widest] - least, sum(widths) - room))


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )
