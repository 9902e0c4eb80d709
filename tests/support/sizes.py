"""What is kept: the entries of every container that an object of this project reaches, by the way to it."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

_OURS = ("controller", "digitalgrid", "router_agent", "tests")
_CONTAINERS = (dict, list, set, frozenset, tuple, deque)


def sizes(root: object) -> Counter[str]:
    """Entries by the shortest way from the root, all at the same way together. Each container counts once."""
    found: Counter[str] = Counter()
    seen: set[int] = set()
    level: list[tuple[str, Any]] = [("", root)]
    while level:
        following: list[tuple[str, Any]] = []
        for path, value in level:
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, _CONTAINERS) and not _is_record(value):
                if not isinstance(value, tuple):
                    found[path] += len(value)
                following += [(f"{path}[]", each) for each in _items(value)]
            else:
                following += [(f"{path}.{name}", each) for name, each in _fields(value)]
        level = following
    return found


def _is_record(value: object) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.keys()
        yield from value.values()
    else:
        yield from value


def _fields(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, type) or not type(value).__module__.startswith(_OURS):
        return
    names = {*getattr(value, "__dict__", {}), *getattr(value, "_fields", ())}
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        names |= {slots} if isinstance(slots, str) else {*slots}
    for name in sorted(names):
        if not name.startswith("__") and hasattr(value, name):
            yield name.rpartition("__")[2] or name, getattr(value, name)
