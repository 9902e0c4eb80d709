"""How the solver's kernels are compiled: as all others, but a division by zero gives inf or nan instead of an error.

A solver meets both where rounding ends its progress, and must then say so itself.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def numeric(function: F) -> F:
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))
