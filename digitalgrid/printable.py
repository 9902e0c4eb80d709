"""Text from outside, escaped: what others named shows on a terminal or in a log, and commands neither."""

import re

# All that str.isprintable refuses, and separators other than the space: escape sequences, line ends, turned direction.
_ALL_FINE = re.compile(r"[ -~]*")


def printable(text: str) -> str:
    """The same with everything that could move a cursor, end a line or hide text as its Python escape."""
    if _ALL_FINE.fullmatch(text):
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def printable_lines(text: str) -> str:
    """Like :func:`printable`, of text that may have several lines; all but the first are indented.

    So whoever chose a part of the text can end a line with it, and not begin one that looks like another's.
    """
    return "\n  ".join(printable(line) for line in text.split("\n"))


def shortened(text: str, most: int) -> str:
    """The same without its middle, where it is longer than ``most`` characters."""
    if len(text) <= most:
        return text
    kept = (most - 5) // 2
    return f"{text[:kept]} ... {text[-kept:]}"


def quoted(text: str, most: int = 80) -> str:
    """An id as messages quote it: one of absurd length must fill neither a terminal nor a log, nor HTTP's headers."""
    return repr(shortened(text, most))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
