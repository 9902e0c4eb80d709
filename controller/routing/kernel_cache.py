"""Where compiled kernels are kept, and how numba compiles one: with one width of integers, whoever calls it.

numba notices that a kernel's own file has changed, but not that a kernel compiled into it has. So what it keeps stands
in a directory named after all that machine code depends on: the sources of this package, numba, Python, the processor.
Whatever changes in one of them, everything is compiled anew, where it does not keep the loop from its routers.
"""

import hashlib
import os
import platform
import pwd
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

# The engine's kernels are kept in two halves, each with a list of what it has: those of the loop, those of the worker.
HALF_NAMES = ("search", "solver")
# Lines of /proc/cpuinfo that say what machine code a processor understands (x86: the first two; ARM: the others).
_CPU_LINES = ("model name", "flags", "CPU implementer", "CPU part", "Features")
# By these numba compiles for another processor than that which there is.
_CPU_VARIABLES = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")


@cache
def cache_dir() -> Path:
    """Beside the sources, or in the user's own cache where nothing may be written there."""
    package = Path(__file__).parent
    digest = hashlib.sha256(repr(machine_code_of()).encode())
    for source in sorted(package.rglob("*.py")):
        digest.update(source.read_bytes())
    return place_for(f"kernels-{digest.hexdigest()[:12]}", package / "__pycache__")


def machine_code_of() -> tuple[str, ...]:
    """What makes machine code of the same source differ, without the second that importing numba takes."""
    return (
        version("numba"),
        version("llvmlite"),
        sys.version,
        str(sysconfig.get_config_var("SOABI")),
        platform.machine(),
        *(os.environ.get(variable, "") for variable in _CPU_VARIABLES),
        *_processor(),
    )


def _processor() -> Iterator[str]:
    try:
        first = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        # Not Linux: platform.machine() has to do, and numba looks again.
        return
    for line in first.splitlines():
        if line.startswith(_CPU_LINES):
            yield line


def place_for(name: str, beside_sources: Path) -> Path:
    """The directory of this name that this user keeps kernels in: the first of several that is this user's to write.

    Root reads what the owner of the sources has compiled, but leaves nothing there that the owner could not remove.
    """
    kept = beside_sources / name
    if os.geteuid() == 0 and all((kept / f"{half}.kernels").exists() for half in HALF_NAMES):
        return kept
    for home in (beside_sources, *_own_caches()):
        if _may_keep(home / name):
            return home / name
    # A user without a home. Where others may write, only a directory made by this user is believed.
    own = Path(tempfile.gettempdir()) / f"digitalgrid-{os.geteuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    if own.is_symlink() or own.stat().st_uid != os.geteuid():
        raise PermissionError(
            f"{own} belongs to somebody else, so no compiled kernels are kept there: set XDG_CACHE_HOME to a directory"
            " that you may write"
        )
    return own / name


def _own_caches() -> Iterator[Path]:
    if given := os.environ.get("XDG_CACHE_HOME"):
        yield Path(given) / "digitalgrid"
    # With sudo, HOME may still be that of whoever called it.
    homes = [os.environ.get("HOME")]
    try:
        homes.append(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        # A user of no name, as in a container.
        homes.append(None)
    yield from (Path(home) / ".cache" / "digitalgrid" for home in homes if home)


def _may_keep(directory: Path) -> bool:
    """Whether this user may write all of it, or make it, and root would write it among root's own."""
    candidates = (directory, *directory.absolute().parents)
    # Path.exists() raises where this user may not even look.
    there = next(each for each in candidates if os.access(each, os.F_OK, effective_ids=True))
    written = [there]
    if there == directory:
        written += [each for each in directory.iterdir() if each.is_dir()]
    return all(
        os.access(each, os.W_OK | os.X_OK, effective_ids=True)
        and (os.geteuid() != 0 or each.stat().st_uid == 0)
        for each in written
    )


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
