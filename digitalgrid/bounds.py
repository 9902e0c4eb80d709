"""Bounds of the fields of dataclasses, as metadata, and errors that lead to the value that is out of them."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, fields
from typing import Any

from digitalgrid.printable import quoted

ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""Ids of routers, links, sources and loads: safe in file names, on command lines and in YAML."""


class InvalidValue(ValueError):
    """A dataclass refuses a value; ``path`` (fields and indexes) leads from the dataclass to it.

    ``message`` follows the value's name in the sentence: "must be ...", "is ...; write ...". It is judged by another
    field, ``beside``, where that is given: who finds that one wrong knows nothing of this one.
    """

    def __init__(self, *path: str | int, message: str, beside: str = "") -> None:
        self.path, self.beside = path, beside
        dotted = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
        super().__init__(f"{dotted.lstrip('.')!r} {message}")

    @property
    def problems(self) -> tuple["InvalidValue", ...]:
        return (self,)


class InvalidValues(InvalidValue):
    """A dataclass refuses several values."""

    def __init__(self, problems: tuple[InvalidValue, ...]) -> None:
        super().__init__(message="")
        self._problems = problems
        self.path = problems[0].path
        self.args = ("; ".join(map(str, problems)),)

    @property
    def problems(self) -> tuple[InvalidValue, ...]:
        return self._problems


def bounds(
    *,
    minimum: float | None = None,
    exclusive_minimum: float | None = None,
    maximum: float | None = None,
    pattern: str | None = None,
) -> dict[str, Any]:
    """Field metadata that limits a number, or text to a whole match of ``pattern``; in a tuple, each item."""
    given = {
        "minimum": minimum,
        "exclusive_minimum": exclusive_minimum,
        "maximum": maximum,
        "pattern": pattern,
    }
    return {key: value for key, value in given.items() if value is not None}


def key(name: str) -> dict[str, Any]:
    """Field metadata: the key in the file, where it cannot be a name in Python (``from``)."""
    return {"key": name}


def key_of(spec: Field[Any]) -> str:
    """The key of a dataclass's field in a file."""
    name: str = spec.metadata.get("key", spec.name)
    return name


def check_bounds(instance: Any) -> None:
    """Checks the bounds of a dataclass's own fields. Raises InvalidValue.

    The loader does so by itself; a dataclass that is also made in code calls it in ``__post_init__``.
    """
    check(instance, ())


def check(instance: Any, problems: Iterable[InvalidValue]) -> None:
    """Raises InvalidValue where any of a dataclass's own fields is out of bounds, or there are other problems; all are
    named.
    """
    found = (*_out_of_bounds(instance), *problems)
    if len(found) == 1:
        raise found[0]
    if found:
        raise InvalidValues(found)


def _out_of_bounds(instance: Any) -> Iterator[InvalidValue]:
    for spec in fields(instance):
        value = getattr(instance, spec.name)
        if isinstance(value, tuple):
            for index, item in enumerate(value):
                yield from _value_problems(item, spec.metadata, (key_of(spec), index))
        else:
            yield from _value_problems(value, spec.metadata, (key_of(spec),))


def _value_problems(
    value: Any, limits: Mapping[str, Any], path: tuple[str | int, ...]
) -> Iterator[InvalidValue]:
    """The first violation of a value, if there is one."""
    for problem in _violations(value, limits):
        shown = quoted(value) if isinstance(value, str) else repr(value)
        yield InvalidValue(*path, message=f"is {shown}; {problem}")
        return


def _violations(value: Any, limits: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(value, str):
        if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
            yield f"it must match {limits['pattern']}"
        return
    if not isinstance(value, int | float) or not limits:
        return
    if not math.isfinite(value):
        yield "it must be finite"
    if "minimum" in limits and value < limits["minimum"]:
        yield f"it must be at least {limits['minimum']:g}"
    if "exclusive_minimum" in limits and value <= limits["exclusive_minimum"]:
        yield f"it must be above {limits['exclusive_minimum']:g}"
    if "maximum" in limits and value > limits["maximum"]:
        yield f"it must be at most {limits['maximum']:g}"
