"""YAML 1.2 into frozen dataclasses, strictly.

A dataclass is the schema: its fields name the keys (or :func:`key` does), its annotations the types, and a field
without a default must be given. Annotations may be ``bool``, ``int``, ``float``, ``str``, ``Literal[...]``, another
dataclass, ``tuple[X, ...]`` and ``X | None``. Whatever does not fit is a :class:`ConfigError` that names file
and line::

    @dataclass(frozen=True)
    class Server:
        listen: str
        lease_ms: int = field(default=2000, metadata=bounds(minimum=100))

    server = load(Server, "server.yaml")

A dataclass that checks more than that raises :class:`InvalidValue` in its ``__post_init__``; the loader finds the
line of the value that it names.
"""

import difflib
import math
import os
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from os import PathLike
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from digitalgrid import yaml_nodes
from digitalgrid.bounds import InvalidValue, check_bounds, key_of
from digitalgrid.config_file import MAX_BYTES, MAX_ERRORS, ConfigError, ConfigErrors, read_text
from digitalgrid.printable import quoted
from digitalgrid.yaml_nodes import Node, NotYaml, Scalar, Sequence

T = TypeVar("T")
_Path = tuple[str | int, ...]

# Of a word that may be a slip of a known one.
_MAX_WORD_CHARACTERS = 64

_SCALAR_TYPES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}

# By the end of a field's name: what a person may have meant to write.
_UNITS: dict[str, str] = {
    "_w": "watts, for example 2e6",
    "_v": "volts, for example 20e3",
    "_a": "amperes, for example 300",
    "_ohm": "ohms, for example 0.48",
    "_ms": "milliseconds, for example 100",
    "_s": "seconds, for example 10",
    "_per_mwh": "money per MWh, for example 40",
}


def load(
    cls: type[T],
    path: str | PathLike[str],
    *,
    shared_key: str | None = None,
    shared_by: tuple[type, ...] = (),
    max_bytes: int = MAX_BYTES,
    also: Callable[[T], Iterable[InvalidValue]] | None = None,
) -> T:
    """Reads a regular file of at most ``max_bytes`` into ``cls``. Raises ConfigError, which names all that is wrong.

    Keys that stand under the top-level ``shared_key`` are used by every ``shared_by`` dataclass in the file that
    has such a field and does not give it itself. ``also`` finds what else may be wrong.
    """
    text = read_text(path, max_bytes)
    name = os.fspath(path)
    return loads(cls, text, name, shared_key=shared_key, shared_by=shared_by, also=also)


def loads(
    cls: type[T],
    text: str,
    name: str,
    *,
    shared_key: str | None = None,
    shared_by: tuple[type, ...] = (),
    also: Callable[[T], Iterable[InvalidValue]] | None = None,
) -> T:
    """Like :func:`load`, from text; ``name`` stands for the file in errors."""
    try:
        root = yaml_nodes.compose(text)
    except NotYaml as error:
        raise ConfigError(name, error.line, str(error)) from error
    if root is None:
        root = yaml_nodes.Mapping(1, [])
    decoder = _Decoder(name)
    document: T | None = None
    try:
        document = decoder.document_or_stand_in(cls, root, shared_key, shared_by)
        if document is not None and also is not None:
            decoder.note_problems(root, decoder.not_known_by_now(root, also(document)))
    except _Enough:
        pass
    except ConfigError as error:
        decoder.errors.append(error)
    # What many share is wrong once.
    errors = list({str(each): each for each in decoder.errors}.values())
    if len(errors) > 1:
        raise ConfigErrors(errors)
    if errors or document is None:
        raise errors[0]
    return document


@dataclass(frozen=True)
class _Entry:
    key: Node
    value: Node


class _Broken(Exception):
    """What is wrong has been noted; there is no value. ``stand_in``: what is right of it, with defaults for the rest,
    so that what depends on it can be looked at too; None where there is no such thing.
    """

    def __init__(self, stand_in: Any = None) -> None:
        super().__init__()
        self.stand_in = stand_in


class _Enough(Exception):
    """There is more wrong than anybody reads."""


class _Decoder:
    """Goes on after what is wrong, and notes it, so that all of it can be said at once."""

    def __init__(self, name: str) -> None:
        self.errors: list[ConfigError] = []
        self._name = name
        # About what something is said: a node, and what of it, where that is not in the file.
        self._wrong: list[tuple[Node, _Path]] = []
        self._shared: dict[str, _Entry] = {}
        self._shared_by: tuple[type, ...] = ()

    def document_or_stand_in(
        self, cls: type[T], root: Node, shared_key: str | None, shared_by: tuple[type, ...]
    ) -> T | None:
        """The document; where it is broken what stands in for it."""
        try:
            return self._document(cls, root, shared_key, shared_by)
        except _Broken as broken:
            stand_in: T | None = broken.stand_in
            return stand_in

    def _document(
        self, cls: type[T], root: Node, shared_key: str | None, shared_by: tuple[type, ...]
    ) -> T:
        entries = self._entries(root, cls.__name__)
        if shared_key is not None and shared_key in entries:
            self._shared = self._entries(entries.pop(shared_key).value, shared_key)
            self._shared_by = shared_by
            known = {key_of(spec) for each in shared_by for spec in fields(_as(each))}
            self._refuse_unknown(self._shared, known)
            if self.errors:
                # What lacks them would only be called incomplete.
                raise _Broken
        also = () if shared_key is None else (shared_key,)
        return self._dataclass(cls, root, entries, also)

    def _decode(self, hint: Any, node: Node, where: str) -> Any:
        origin = get_origin(hint)
        if origin in (Union, types.UnionType):
            if _is_null(node):
                return None
            (inner,) = (arm for arm in get_args(hint) if arm is not types.NoneType)
            return self._decode(inner, node, where)
        if origin is tuple:
            return self._tuple(get_args(hint)[0], node, where)
        if origin is Literal:
            return self._literal(get_args(hint), node, where)
        if is_dataclass(hint):
            return self._dataclass(_as(hint), node, self._entries(node, where))
        if hint in _SCALAR_TYPES:
            return self._scalar(hint, node, where)
        raise TypeError(f"{where}: the annotation {hint!r} is not supported in a YAML schema")

    def _dataclass(
        self, cls: type[T], node: Node, entries: dict[str, _Entry], also: tuple[str, ...] = ()
    ) -> T:
        members = _members(_as(cls))
        errors_before = len(self.errors)
        self._refuse_unknown(entries, members, also)
        shared = self._shared if cls in self._shared_by else {}
        values: dict[str, Any] = {}
        broken: set[str] = set()
        for key, (spec, hint) in members.items():
            entry = entries.get(key) or shared.get(key)
            if entry is not None:
                try:
                    values[spec.name] = self._noting(hint, entry.value, key)
                except _Broken as error:
                    broken.add(key)
                    if error.stand_in is not None:
                        values[spec.name] = error.stand_in
            elif _is_required(spec):
                self._note(self._error(node, f"{key!r} is missing; add it"))
        if any(_is_required(spec) and spec.name not in values for spec, _ in members.values()):
            raise _Broken
        try:
            # Where something is broken its default stands in for it, so that the rest is checked.
            instance = cls(**values)
            check_bounds(instance)
        except InvalidValue as error:
            problems = (
                each
                for each in error.problems
                if not broken.intersection((*each.path[:1], each.beside))
            )
            self.note_problems(node, problems)
            raise _Broken(_without(cls, values, error)) from error
        if len(self.errors) > errors_before:
            raise _Broken(instance)
        return instance

    def note_problems(self, node: Node, problems: Iterable[InvalidValue]) -> None:
        for each in problems:
            found, absent = self._find(node, each.path)
            self._note(self._error(found, str(each), absent))

    def not_known_by_now(
        self, node: Node, problems: Iterable[InvalidValue]
    ) -> Iterator[InvalidValue]:
        """Those of values of which nothing is said yet: what is wrong with a default that stands in is nobody's."""
        known = tuple(self._wrong)
        for each in problems:
            found, absent = self._find(node, each.path)
            if not any(found is wrong and what in ((), absent) for wrong, what in known):
                yield each

    def _noting(self, hint: Any, node: Node, where: str) -> Any:
        """Raises _Broken once what is wrong has been noted."""
        try:
            return self._decode(hint, node, where)
        except ConfigError as error:
            self._note(error)
            raise _Broken from error

    def _note(self, error: ConfigError) -> None:
        self.errors.append(error)
        if len(self.errors) > MAX_ERRORS:
            raise _Enough

    def _tuple(self, hint: Any, node: Node, where: str) -> tuple[Any, ...]:
        if not isinstance(node, Sequence):
            raise self._error(node, f"{where!r} must be a list; write [ ... ] or one '- ' an item")
        name = f"an item of {where}"
        items = []
        for item in node.items:
            with suppress(_Broken):
                items.append(self._noting(hint, item, name))
        if len(items) < len(node.items):
            raise _Broken
        return tuple(items)

    def _literal(self, choices: tuple[Any, ...], node: Node, where: str) -> Any:
        value = self._scalar_value(node, where)
        if value not in choices:
            known = ", ".join(str(choice) for choice in choices)
            raise self._error(node, f"{where!r} is {quoted(str(value))}; write one of: {known}")
        return value

    def _scalar(self, hint: type, node: Node, where: str) -> Any:
        value = self._scalar_value(node, where)
        if hint is float and type(value) is int:
            value = float(value) if abs(value) < 1e300 else math.inf
        if type(value) is not hint:
            raise self._error(node, _wrong_type(hint, node, where))
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(node, f"{where!r} is {_written(node)}; write a finite number")
        if isinstance(value, str) and not value.isprintable():
            message = f"{where!r} is {_written(node)}; leave out what cannot be shown"
            raise self._error(node, message)
        return value

    def _scalar_value(self, node: Node, where: str) -> Any:
        if not isinstance(node, Scalar):
            kind = "a mapping" if isinstance(node, yaml_nodes.Mapping) else "a list"
            raise self._error(node, f"{where!r} must be a single value; it is {kind}")
        try:
            return yaml_nodes.value_of(node)
        except ValueError as error:
            message = f"{where!r}: cannot read {_written(node)}; write text in quotes"
            raise self._error(node, message) from error

    def _entries(self, node: Node, where: str) -> dict[str, _Entry]:
        if not isinstance(node, yaml_nodes.Mapping):
            raise self._error(node, f"{where!r} must be a mapping of keys to values")
        entries: dict[str, _Entry] = {}
        for key, value in node.pairs:
            if not isinstance(key, Scalar):
                raise self._error(key, "a key must be a single word")
            if key.text in entries:
                raise self._error(key, f"{quoted(key.text)} is given twice; remove one")
            entries[key.text] = _Entry(key, value)
        return entries

    def _refuse_unknown(
        self, entries: Mapping[str, _Entry], known: Collection[str], also: tuple[str, ...] = ()
    ) -> None:
        for key, entry in entries.items():
            if key not in known and key not in also:
                names = sorted({*known, *also})
                near = difflib.get_close_matches(key[:_MAX_WORD_CHARACTERS], names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
                self._note(self._error(entry.key, f"unknown key {quoted(key)}; {hint}"))

    def _find(self, node: Node, path: _Path) -> tuple[Node, _Path]:
        """The node at ``path``, or the deepest one on the way to it and what of the path is not in the file."""
        for at, step in enumerate(path):
            following = _child(node, step)
            if following is None and isinstance(step, str) and step in self._shared:
                following = self._shared[step].value
            if following is None:
                return node, path[at:]
            node = following
        return node, ()

    def _error(self, node: Node, message: str, absent: _Path = ()) -> ConfigError:
        self._wrong.append((node, absent))
        return ConfigError(self._name, node.line, message)


@cache
def _members(cls: type) -> dict[str, tuple[Field[Any], Any]]:
    """The fields of a dataclass and their annotations, by key."""
    hints = get_type_hints(cls)
    return {key_of(spec): (spec, hints[spec.name]) for spec in fields(_as(cls))}


def _written(node: Node) -> str:
    return quoted(node.text) if isinstance(node, Scalar) else "no single value"


def _as(cls: Any) -> Any:
    """Dataclass types are checked at run time here; ``type[T]`` cannot say so."""
    return cls


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(step, int):
        items = node.items if isinstance(node, Sequence) else []
        return items[step] if step < len(items) else None
    if isinstance(node, yaml_nodes.Mapping):
        return next(
            (value for key, value in node.pairs if isinstance(key, Scalar) and key.text == step),
            None,
        )
    return None


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and yaml_nodes.is_null(node)


def _without(cls: type[T], values: Mapping[str, Any], refused: InvalidValue) -> T | None:
    """What a dataclass is with defaults for the values that it refuses; None where it has none for some, or they do not
    help.
    """
    wrong = {each.path[0] for each in refused.problems if each.path}
    specs = _members(_as(cls))
    if any(_is_required(spec) for spec, _ in specs.values()):
        return None
    left = {
        spec.name: values[spec.name]
        for key, (spec, _) in specs.items()
        if key not in wrong and spec.name in values
    }
    # A rule may join a default with one of those that are given.
    fewer = ({name: left[name] for name in left if name != each} for each in left)
    for tried in (left, *fewer):
        try:
            instance = cls(**tried)
            check_bounds(instance)
        except InvalidValue:
            continue
        return instance
    return None


def _is_required(spec: Field[Any]) -> bool:
    return spec.default is MISSING and spec.default_factory is MISSING


def _wrong_type(hint: type, node: Node, where: str) -> str:
    written = _written(node)
    text = f"{where!r} must be {_SCALAR_TYPES[hint]}; it is {written}"
    if hint is str:
        return f'{text}: write it in quotes, "{written[1:-1]}"'
    for ending, unit in _UNITS.items():
        if where.endswith(ending):
            return f"{text}: write a plain number of {unit}"
    return text
