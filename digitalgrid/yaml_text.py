"""YAML 1.2 as we write it: mappings and lists in blocks, the innermost in one line where that is asked for."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from digitalgrid.yaml_nodes import Scalar, value_of

_STEP = "  "
# Of plain text: it begins no structure, comment, tag, anchor or quotes, and nothing within it ends it.
_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_")
_OTHERS = _FIRST | frozenset("-+()@%")


def to_yaml(document: Any, *, lines: bool = False) -> str:
    """The text of mappings, lists and single values within each other.

    With ``lines``, mappings and lists of single values (and of such lists) take a line each.
    """
    return "".join(f"{line}\n" for line in _block(document, lines))


def _block(value: Any, lines: bool) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _under(f"{_scalar(key)}:", each, lines, _STEP)
    elif _is_list(value) and value:
        for each in value:
            yield from _item(each, lines)
    else:
        yield _flow(value)


def _under(key: str, value: Any, lines: bool, indent: str) -> Iterator[str]:
    if _in_one_line(value, lines):
        yield f"{key} {_flow(value)}"
        return
    yield key
    for line in _block(value, lines):
        yield indent + line


def _item(value: Any, lines: bool) -> Iterator[str]:
    if _in_one_line(value, lines):
        yield f"- {_flow(value)}"
        return
    dash = "- "
    for line in _block(value, lines):
        yield dash + line
        dash = _STEP


def _in_one_line(value: Any, lines: bool) -> bool:
    if not value or not (isinstance(value, Mapping) or _is_list(value)):
        return True
    within = value.values() if isinstance(value, Mapping) else value
    return lines and all(not isinstance(each, Mapping) and not _holds_more(each) for each in within)


def _holds_more(value: Any) -> bool:
    return _is_list(value) and any(isinstance(each, Mapping) or _is_list(each) for each in value)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_scalar(key)}: {_flow(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if _is_list(value):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return value if _is_plain(value) else _in_quotes(value)
    if isinstance(value, float):
        text = repr(value)
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(text, text)
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    if not text or text[0] not in _FIRST or not _OTHERS.issuperset(text):
        return False
    # What would be read as a number, a date or nothing at all needs quotes; so does what YAML 1.1 takes for a bool.
    return type(value_of(Scalar(1, text))) is str and text.lower() not in _BOOLS_OF_YAML_1_1


def _in_quotes(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    if quoted.isprintable():
        return quoted
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


_BOOLS_OF_YAML_1_1 = frozenset({"y", "n", "yes", "no", "on", "off"})
