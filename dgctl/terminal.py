"""A terminal as a screen of its own, and keys as they are struck."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import Self, TextIO

from digitalgrid.printable import printable

# Of xterm and all who follow it: another screen without cursor and line wrap, and back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"
_ESCAPE = "\x1b"
# After an escape (s), until it is known that nothing follows it.
_SEQUENCE_S = 0.02
_KEYS = {"[A": "up", "[B": "down", "[5~": "page up", "[6~": "page down", "OA": "up", "OB": "down"}


class Screen:
    """What is written there is gone when it is left."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        self._write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        self._write(_LEAVE)

    def size(self) -> os.terminal_size:
        return get_terminal_size()

    def draw(self, text: str, status: str = "") -> None:
        """As many lines as there is room for, without flicker; the last is for the status, where there is one."""
        room = max(1, self.size().lines - (1 if status else 0))
        lines = text.splitlines()[:room]
        lines += [printable(status)] if status else []
        self._write(_HOME + f"{_REST_OF_LINE}\r\n".join(lines) + _REST_OF_LINE + _REST)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@contextmanager
def keys_at_once() -> Iterator[None]:
    """Keys are told as they are struck, and not shown; interrupting works as ever."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def next_key(within_s: float) -> str:
    """A character, or the name of a key such as ``up``; empty where none is struck in time."""
    descriptor = sys.stdin.fileno()
    if not select.select([descriptor], [], [], within_s)[0]:
        return ""
    struck = os.read(descriptor, 1).decode("utf-8", "ignore")
    if struck != _ESCAPE:
        return struck
    sequence = ""
    while select.select([descriptor], [], [], _SEQUENCE_S)[0]:
        sequence += os.read(descriptor, 1).decode("ascii", "ignore")
        if (sequence[-1:].isalpha() and sequence != "O") or sequence.endswith("~"):
            return _KEYS.get(sequence, "")
    return "escape"
