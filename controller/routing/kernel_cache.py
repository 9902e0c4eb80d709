"""Where compiled kernels are kept, and how numba compiles one: with one width of integers, whoever calls it.

numba notices that a kernel's own file has changed, but not that a kernel compiled into it has. So what it keeps stands
in a directory named after all sources of this package: whatever changes in one of them, everything is compiled anew.
"""

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any


@cache
def cache_dir() -> Path:
    """Beside the sources, or in the user's own cache where these belong to somebody else."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(package.rglob("*.py")):
        digest.update(source.read_bytes())
    home = package / "__pycache__"
    if not os.access(package, os.W_OK):
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "digitalgrid"
    return home / f"kernels-{digest.hexdigest()[:12]}"


@cache
def compiler_of(kernel_type: type) -> Callable[..., Any]:
    """What makes numba's dispatcher of a function; ``kernel_type`` is the type of what kernels know each other by."""
    import numba
    from numba import njit
    from numba.extending import typeof_impl

    # numba's type hints know neither its settings nor its types.
    settings: Any = numba.config
    types: Any = numba.types

    @typeof_impl.register(kernel_type)
    def _(kernel: Any, _context: object) -> Any:
        return types.Dispatcher(kernel.dispatcher)

    def widened(argument: Any) -> Any:
        if isinstance(argument, types.Integer):
            return types.int64
        return types.unliteral(argument)

    def compiler(function: Callable[..., Any], **options: Any) -> Any:
        before = settings.CACHE_DIR
        settings.CACHE_DIR = str(cache_dir())
        try:
            dispatcher = njit(cache=True, nogil=True, **options)(function)
        finally:
            settings.CACHE_DIR = before
        compile_for = dispatcher.compile

        # Literals, unsigned integers and those of 32 bits would each make a kernel of their own.
        def compile_widened(signature: Any) -> Any:
            return compile_for(tuple(widened(each) for each in signature))

        dispatcher.compile = compile_widened
        return dispatcher

    return compiler
