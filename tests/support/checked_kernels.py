"""The kernels, interpreted, with every access looked at: what numba does not do, and what then reads wild memory.

An index below 0 counts as a fault too, though it would wrap: no kernel means to count from the end. And what
``np.empty`` gives is filled with what cannot be taken for a value, so that whoever reads what was never set is found.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import controller.routing
from controller.routing.compiled import Engine, Kernel, engine_in_use, kernels, use_engine


class Guarded(np.ndarray[Any, Any]):
    """An array inside a kernel. Kernels do little else than read and write, so what each of both takes counts."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, _WHOLE):
            if index < 0:
                raise _counted_from_the_end(index)
        elif isinstance(index, tuple):
            _require_no_negative(index)
        return _read(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, _WHOLE):
            if index < 0:
                raise _counted_from_the_end(index)
        elif isinstance(index, tuple):
            _require_no_negative(index)
        _write(self, index, value)


_WHOLE = (int, np.integer)
_read, _write = np.ndarray.__getitem__, np.ndarray.__setitem__


def check_kernels() -> None:
    """From now on all kernels of this process are looked at."""
    for module in pkgutil.walk_packages(controller.routing.__path__, "controller.routing."):
        importlib.import_module(module.name)
    use_engine(Engine.INTERPRETED)
    for kernel in kernels():
        _runs[kernel] = _looked_at(kernel)
        kernel.run_by(_runs[kernel])
    _have_numpy_from(_Numpy())
    _have_records_read(np.void)


def are_looked_at() -> bool:
    """Whether all are still: who chooses an engine has them run without."""
    return bool(_runs) and all(kernel._run is run for kernel, run in _runs.items())


@contextmanager
def checked_kernels() -> Iterator[None]:
    """All kernels of this process are looked at for a while."""
    before = engine_in_use()
    check_kernels()
    try:
        yield
    finally:
        _have_numpy_from(np)
        _have_records_read(np.record)
        use_engine(before)


def _have_numpy_from(numpy: object) -> None:
    """Whatever makes arrays for kernels calls this instead of numpy."""
    for name in [name for name in sys.modules if name.startswith("controller.routing.")]:
        if hasattr(sys.modules[name], "np"):
            sys.modules[name].np = numpy  # type: ignore[attr-defined]


def _have_records_read(by: type[np.void]) -> None:
    """How a record's fields are found. What ``np.record`` has for that is written in Python, and took a third of all
    time; ``np.void`` lacks attributes, and so what it calls an item is one."""
    if by is np.void:
        np.record.__getattr__ = by.__getitem__  # type: ignore[attr-defined]
    elif hasattr(np.record, "__getattr__"):
        del np.record.__getattr__  # type: ignore[attr-defined]
    np.record.__getattribute__, np.record.__setattr__ = _FINDS[by]  # type: ignore[method-assign]


_FINDS: dict[type[np.void], tuple[Callable[..., Any], Callable[..., Any]]] = {
    np.record: (np.record.__getattribute__, np.record.__setattr__),
    np.void: (np.void.__getattribute__, np.void.__setitem__),
}
_depth = 0
# Of each kernel, what runs it while it is looked at.
_runs: dict[Kernel, Callable[..., Any]] = {}


def _looked_at(kernel: Kernel) -> Callable[..., Any]:
    function = kernel.function

    def run(*arguments: Any) -> Any:
        global _depth
        if _depth:
            return function(*arguments)
        _depth = 1
        try:
            with np.errstate(all="ignore"):
                return _as_type(function(*_as_type(arguments, Guarded)), np.ndarray)
        finally:
            _depth = 0

    return run


def _as_type(value: Any, kind: type) -> Any:
    """The same arrays, seen as of another type."""
    if isinstance(value, np.ndarray):
        return value.view(kind)
    if isinstance(value, tuple):
        fields = [_as_type(each, kind) for each in value]
        return type(value)(*fields) if hasattr(value, "_fields") else tuple(fields)
    return value


def _require_no_negative(index: tuple[Any, ...]) -> None:
    for each in index:
        if isinstance(each, _WHOLE) and each < 0:
            raise _counted_from_the_end(each)


def _counted_from_the_end(index: int | np.integer[Any]) -> IndexError:
    return IndexError(f"a kernel reads or writes at {index}")


class _Numpy:
    """numpy as a kernel sees it: it makes arrays that are guarded inside kernels, and nothing is zero by chance."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, *arguments: Any, **named: Any) -> Any:
        return _made(_poisoned(np.empty(*arguments, **named)))

    def zeros(self, *arguments: Any, **named: Any) -> Any:
        return _made(np.zeros(*arguments, **named))

    def full(self, *arguments: Any, **named: Any) -> Any:
        return _made(np.full(*arguments, **named))

    def arange(self, *arguments: Any, **named: Any) -> Any:
        return _made(np.arange(*arguments, **named))


def _made(array: Any) -> Any:
    return array.view(Guarded) if _depth else array


def _poisoned(array: Any) -> Any:
    if array.dtype.names:
        for name in array.dtype.names:
            _poisoned(array[name])
    elif array.dtype.kind == "f":
        array[...] = np.nan
    elif array.dtype.kind == "i":
        array[...] = np.iinfo(array.dtype).min
    elif array.dtype.kind == "u":
        array[...] = np.iinfo(array.dtype).max
    return array
