"""The one way in which kernels are compiled: ahead of use where they are cached, and without Python's lock."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile with numba on first use, and keep that on disk. No fast mathematics: infinities mean something."""
    return cast(F, njit(cache=True, nogil=True)(function))


def compiled_in_place(function: F) -> F:
    """As :func:`compiled`, for inner functions that only read and write arrays which their callers hold.

    Without numba's runtime they can make no arrays, and count no references to those that they take out of tuples,
    which else takes a third of the time of a small function.
    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
    return cast(F, njit(**options)(function))
