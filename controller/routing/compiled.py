"""Kernels: the functions of the routing engine that run compiled by numba, or interpreted by Python as they stand.

A kernel is compiled once, runs without Python's lock, and is kept on disk (see ``kernel_cache``). numba is imported
with the first call of a compiled kernel: who runs interpreted never waits for it. Both engines work on the same arrays,
so one can take over from the other between any two calls.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import update_wrapper
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from controller.routing.kernel_cache import HALF_NAMES, cache_dir, compiler_of
from digitalgrid.errors import ExplainedError

F = TypeVar("F", bound=Callable[..., object])
# Names the engine of a process whose configuration leaves it open, or that has none: `dgc plan`, tests, studies.
ENGINE_VARIABLE = "DIGITALGRID_ENGINE"
# The word of a configuration that leaves it open; the environment may say it too.
_OPEN = "auto"


class KernelsUnreadable(Exception):
    """What is kept on disk cannot be loaded: it was damaged, or something else wrote it."""


class Engine(StrEnum):
    """How kernels run."""

    COMPILED = "compiled"
    INTERPRETED = "interpreted"


class Kernel:
    """A function, and how its process runs it. Kernels call each other by these, interpreted and compiled alike."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.function = function
        update_wrapper(self, function)
        self._options = options
        # Python's own scalars of numpy warn where the compiled ones just have inf or nan.
        numeric = options.get("error_model") == "numpy"
        self._interpreted = np.errstate(all="ignore")(function) if numeric else function
        self._dispatcher: Any = None
        self.engine = _engine
        self._run: Callable[..., Any] = function
        self.use(_engine)

    def __call__(self, *arguments: Any) -> Any:
        return self._run(*arguments)

    def __repr__(self) -> str:
        return f"<kernel {self.function.__module__}.{self.function.__qualname__}>"

    @property
    def dispatcher(self) -> Any:
        """numba's own object, made when it is first asked for."""
        if self._dispatcher is None:
            self._dispatcher = compiler_of(Kernel)(self.function, **self._options)
        return self._dispatcher

    @property
    def signatures(self) -> list[Any]:
        """The types of arguments for which it is compiled in this process: one, if nothing is compiled twice."""
        return [] if self._dispatcher is None else list(self._dispatcher.signatures)

    @property
    def called_compiled(self) -> bool:
        """Whether Python itself has called it compiled, and not only other kernels."""
        return self._dispatcher is not None and self._run is self._dispatcher

    def use(self, engine: Engine) -> None:
        """Run it by this engine from now on."""
        self.engine = engine
        self.run_by(self._interpreted if engine is Engine.INTERPRETED else self._first_compiled)

    def run_by(self, run: Callable[..., Any]) -> None:
        """Run something else in its place: what tests use to look at every access."""
        self._run = run

    def _first_compiled(self, *arguments: Any) -> Any:
        self._run = self.dispatcher
        return self._run(*arguments)


def compiled(function: F) -> F:
    """A kernel. No fast mathematics: infinities mean something."""
    return _kernel(function)


def compiled_in_place(function: F) -> F:
    """As :func:`compiled`, for inner functions that only read and write arrays which their callers hold.

    Without numba's runtime they can make no arrays, and count no references to those that they take out of tuples,
    which else takes a third of the time of a small function.
    """
    return _kernel(function, _nrt=False)


def compiled_numeric(function: F) -> F:
    """As :func:`compiled`, but a division by zero gives inf or nan instead of an error.

    A solver meets both where rounding ends its progress, and must then say so itself.
    """
    return _kernel(function, error_model="numpy")


def record_type(**kinds: str) -> np.dtype[np.void]:
    """A record laid out as C does, whose fields are attributes to Python too, as they are to numba."""
    return np.dtype((np.record, np.dtype(list(kinds.items()), align=True)))


def use_engine(engine: Engine) -> None:
    """Have all kernels of this process run by an engine, from the next call on. Not while one is running."""
    global _engine
    _engine = engine
    for kernel in _kernels:
        kernel.use(engine)


def engine_in_use() -> Engine:
    return _engine


def kernels() -> Iterator[Kernel]:
    """All kernels of the modules that were imported."""
    return iter(_kernels)


def are_kept(half: str) -> bool:
    """Whether all kernels of a half of the engine are on disk, as :func:`keep` says."""
    return _list_of(half).exists()


def keep(half: str) -> None:
    """Say that all kernels of this half are on disk: those that this process has called."""
    called = [
        (kernel.function.__module__, kernel.function.__name__, kernel.signatures)
        for kernel in _kernels
        if kernel.called_compiled
    ]
    written = _list_of(half).with_suffix(f".{os.getpid()}")
    written.write_bytes(pickle.dumps(called))
    written.replace(_list_of(half))


def load(half: str) -> None:
    """Have the kernels of a half ready to run compiled, whichever engine runs meanwhile: a thread may do it.

    Raises KernelsUnreadable where they cannot be had from disk; then :func:`forget` and compile anew.
    """
    try:
        for module, name, signatures in pickle.loads(_list_of(half).read_bytes()):
            kernel: Kernel = getattr(import_module(module), name)
            for signature in signatures:
                kernel.dispatcher.compile(signature)
    except Exception as error:
        # Damaged pickles and machine code raise whatever they like.
        raise KernelsUnreadable(f"{_list_of(half)}: {error!r}") from error


def forget() -> None:
    """Keep no kernel any more: neither the lists, nor the indexes by which numba finds machine code."""
    for half in HALF_NAMES:
        _list_of(half).unlink(missing_ok=True)
    for index in cache_dir().rglob("*.nbi"):
        index.unlink(missing_ok=True)
    # Where root has read what is a user's, it compiles for itself now.
    cache_dir.cache_clear()


def _list_of(half: str) -> Path:
    return cache_dir() / f"{half}.kernels"


def _kernel(function: F, **options: Any) -> F:
    kernel = Kernel(function, options)
    _kernels.append(kernel)
    return cast(F, kernel)


def engine_of_environment() -> Engine | None:
    """None where the environment names none. Raises ExplainedError where it names one that is not known.

    No program that computes routes starts with one that is not known, whatever its configuration says: it is a slip.
    """
    name = os.environ.get(ENGINE_VARIABLE)
    if not name or name == _OPEN:
        return None
    try:
        return Engine(name)
    except ValueError as error:
        raise ExplainedError(
            f"{ENGINE_VARIABLE} is {name!r}, which is no engine, and no configuration makes up for that; "
            f"set it to {', '.join(Engine)} or {_OPEN}, or not at all"
        ) from error


_engine = engine_of_environment() or Engine.COMPILED
_kernels: list[Kernel] = []
