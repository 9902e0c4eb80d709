"""The one way in which kernels are compiled: ahead of use where they are cached, and without Python's lock."""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile with numba on first use, and keep that on disk. No fast mathematics: infinities mean something."""
    return cast(F, njit(cache=True, nogil=True)(function))
