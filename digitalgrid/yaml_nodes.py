"""YAML 1.2 text into nodes that know their lines, within limits; :mod:`digitalgrid.yaml_schema` gives them meaning.

Read by libyaml, which is ten times as quick as Python. It hands on scalars as they are written: which of them are
numbers is decided here, by YAML 1.2 (15e6 and 0o17 are numbers, ``yes`` and 017 are not what YAML 1.1 made of them).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

try:
    from yaml.cyaml import CParser
except ImportError:  # built without libyaml: the same, slowly
    from yaml.parser import Parser as _PythonParser
    from yaml.reader import Reader as _PythonReader
    from yaml.scanner import Scanner as _PythonScanner

    class CParser(_PythonReader, _PythonScanner, _PythonParser):  # type: ignore[no-redef,misc]
        def __init__(self, text: str) -> None:
            _PythonReader.__init__(self, text)
            _PythonScanner.__init__(self)
            _PythonParser.__init__(self)


# Lists and mappings within each other: grid files have four, and what reads them may recurse.
MAX_LEVELS = 64
# Aliases (*name) can make a small text stand for a huge one.
MAX_ALIASES = 10_000

_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0b[01][01_]*|0o[0-7][0-7_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|[0-9][0-9_]*)")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?")
_BASES = {"0b": 2, "0o": 8, "0x": 16}
# Longer numbers are slips, and take Python long.
_MAX_DIGITS = 400


class NotYaml(ValueError):
    """A text that is no YAML, or beyond the limits; ``line`` counts from 1, where it is known."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line


class Date(str):
    """Text in YAML 1.2, a day to many readers: neither is meant until it stands in quotes."""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class Node:
    """``line`` counts from 1."""

    line: int


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A single value as it is written; ``tag`` is empty where it has none. ``plain``: without quotes."""

    text: str
    plain: bool = True
    tag: str = ""


@dataclass(slots=True, eq=False)
class Sequence(Node):
    items: list[Node]


@dataclass(slots=True, eq=False)
class Mapping(Node):
    pairs: list[tuple[Node, Node]]


def compose(text: str) -> Node | None:
    """The only document of a text, None where it is empty. Raises NotYaml."""
    try:
        return _compose(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        # What is missing at the end is missing in the last line.
        line = min(mark.line + 1, text.rstrip("\n").count("\n") + 1) if mark else None
        raise NotYaml(line, f"is not valid YAML: {problem}") from error
    except UnicodeEncodeError as error:
        raise NotYaml(None, "is not valid YAML: it is no text") from error


def value_of(scalar: Scalar) -> Any:
    """None, a bool, an int, a float, text or a Date. Raises ValueError for what its tag does not allow."""
    text, tag = scalar.text, scalar.tag
    if tag in ("!", _TAG + "str") or (not tag and not scalar.plain):
        return text
    if tag in ("", _TAG + "null") and _NULL.fullmatch(text):
        return None
    if tag in ("", _TAG + "bool") and _BOOL.fullmatch(text):
        return text.lower() == "true"
    if tag in ("", _TAG + "int") and _INT.fullmatch(text):
        return _int(text)
    if tag in ("", _TAG + "float") and _FLOAT.fullmatch(text):
        return _float(text)
    if tag:
        raise ValueError(f"{text!r} is no {tag}")
    return Date(text) if _DATE.fullmatch(text) else text


def is_null(scalar: Scalar) -> bool:
    """Whether it says that nothing is there: null, ~ or no word at all."""
    plain_null = not scalar.tag and scalar.plain and _NULL.fullmatch(scalar.text) is not None
    return plain_null or scalar.tag == _TAG + "null"


def _int(text: str) -> int:
    digits = text.replace("_", "")
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-")
    base = _BASES.get(digits[:2])
    return sign * (int(digits[2:], base) if base else int(digits))


def _float(text: str) -> float:
    return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan").lower())


def _compose(text: str) -> Node | None:
    parser = CParser(text)
    anchors: dict[str, Node] = {}
    # What is open: the node, and what has been found in it, keys and values in turn.
    stack: list[tuple[Node, list[Node]]] = []
    root: Node | None = None
    documents = aliases = 0
    for event in _events(parser):
        kind = type(event)
        if kind is yaml.ScalarEvent:
            line = event.start_mark.line + 1
            node: Node = Scalar(line, event.value, event.implicit[0], event.tag or "")
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            line = event.start_mark.line + 1
            if len(stack) == MAX_LEVELS:
                raise NotYaml(line, f"is nested too deeply; {MAX_LEVELS} levels are the most")
            opened: Node = (
                Mapping(line, []) if kind is yaml.MappingStartEvent else Sequence(line, [])
            )
            stack.append((opened, []))
            if event.anchor is not None:
                anchors[event.anchor] = opened
            continue
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            node, found = stack.pop()
            if isinstance(node, Mapping):
                node.pairs = list(zip(found[::2], found[1::2], strict=True))
            elif isinstance(node, Sequence):
                node.items = found
        elif kind is yaml.AliasEvent:
            node = _aliased(event, anchors, stack)
            aliases += 1
            if aliases > MAX_ALIASES:
                line = event.start_mark.line + 1
                raise NotYaml(line, f"has too many aliases (*name); {MAX_ALIASES} are the most")
        else:
            documents += kind is yaml.DocumentStartEvent
            if documents > 1:
                raise NotYaml(event.start_mark.line + 1, "has several documents; one is wanted")
            continue
        if kind is yaml.ScalarEvent and event.anchor is not None:
            anchors[event.anchor] = node
        if stack:
            stack[-1][1].append(node)
        else:
            root = node
    return root


def _events(parser: Any) -> Iterator[Any]:
    while parser.check_event():
        yield parser.get_event()


def _aliased(event: Any, anchors: dict[str, Node], stack: list[tuple[Node, list[Node]]]) -> Node:
    line = event.start_mark.line + 1
    node = anchors.get(event.anchor)
    if node is None:
        raise NotYaml(line, f"is not valid YAML: nothing is called &{event.anchor}")
    if any(node is opened for opened, _ in stack):
        raise NotYaml(line, f"is not valid YAML: *{event.anchor} stands within itself")
    return node
