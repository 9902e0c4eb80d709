"""The one way in which kernels are compiled: once, without Python's lock, and kept on disk.

numba notices that a kernel's own file has changed, but not that a kernel compiled into it has. So what it keeps stands
in a directory named after all sources of this package: whatever changes in one of them, everything is compiled anew.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import njit

# numba's type hints do not know its own settings.
_numba: Any = numba.config
F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile with numba on first use, and keep that on disk. No fast mathematics: infinities mean something."""
    return _compiled(function)


def compiled_in_place(function: F) -> F:
    """As :func:`compiled`, for inner functions that only read and write arrays which their callers hold.

    Without numba's runtime they can make no arrays, and count no references to those that they take out of tuples,
    which else takes a third of the time of a small function.
    """
    return _compiled(function, _nrt=False)


def compiled_numeric(function: F) -> F:
    """As :func:`compiled`, but a division by zero gives inf or nan instead of an error.

    A solver meets both where rounding ends its progress, and must then say so itself.
    """
    return _compiled(function, error_model="numpy")


def _compiled(function: F, **options: Any) -> F:
    before = _numba.CACHE_DIR
    _numba.CACHE_DIR = _CACHE_DIR
    try:
        return cast(F, njit(cache=True, nogil=True, **options)(function))
    finally:
        _numba.CACHE_DIR = before


def _cache_dir() -> str:
    """Beside the sources, or in the user's own cache where these belong to somebody else."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(package.rglob("*.py")):
        digest.update(source.read_bytes())
    home = package / "__pycache__"
    if not os.access(package, os.W_OK):
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "digitalgrid"
    return str(home / f"kernels-{digest.hexdigest()[:12]}")


_CACHE_DIR = _cache_dir()
