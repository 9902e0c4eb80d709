"""The command line that all programs share: how they end, and what they say when something is wrong.

Exit codes: 0 done, 1 failed, 2 a wrong command or file, 130 interrupted; ``dgctl`` adds 3 refused and 4 controller
unreachable. A traceback is for us: of a defect, in a log or where DIGITALGRID_TRACEBACK is set.
"""

import atexit
import codecs
import errno
import gc
import io
import logging
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Callable
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click

from digitalgrid.errors import ExplainedError
from digitalgrid.printable import printable, quoted, shortened

# Exit codes of all programs; 130 is what shells say of a program that SIGINT ended.
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_TRACEBACK_VARIABLE = "DIGITALGRID_TRACEBACK"
# Of one line of a message; who typed more than that knows what it was.
_MAX_CHARACTERS = 400
_HELP = {"help_option_names": ["-h", "--help"]}
_PLAIN = "digitalgrid-plain"
# What messages and units contain beyond ASCII, as ASCII has it; of letters with marks the marks go.
_IN_ASCII = {"Ω": "ohm", "→": "->", "…": "...", "–": "-", "−": "-", "×": "x", "µ": "u"}
# With no file's name in the error, these are about what the program writes.
_OF_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF, errno.EIO)


class _Explaining(click.Command):
    """A command that ends as this module says. Called with ``standalone_mode=False`` it raises, as click's do."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        settings.setdefault("context_settings", _HELP)
        super().__init__(*args, **settings)

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        run = partial(super().main, *args, standalone_mode=False, **extra)
        return run_program(run, self.name or "") if standalone_mode else run()


class Tool(_Explaining):
    """A program without verbs: ``@click.command(cls=Tool)``."""


class Program(_Explaining, click.Group):
    """A program with verbs: ``@click.group("dgc", cls=Program)``."""


class IdType(click.ParamType[str]):
    """What something can be called; an ``optional`` one may be empty."""

    name = "id"
    _MAX_CHARACTERS = 256

    def __init__(self, *, optional: bool = False) -> None:
        self._optional = optional

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text and not self._optional:
            self.fail("an id is not empty", param, ctx)
        if not text.isprintable():
            self.fail(f"{quoted(text)} has characters that cannot be shown", param, ctx)
        if len(text) > self._MAX_CHARACTERS:
            message = (
                f"{quoted(text)} has {len(text)} characters; {self._MAX_CHARACTERS} is the most"
            )
            self.fail(message, param, ctx)
        return text


class OutputType(click.Path):
    """A file to be written in the end, which is refused at once where that will not be possible; with ``new``, also
    where it is there already.
    """

    def __init__(self, *, new: bool = False) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)
        self._new = new

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from tempfile import TemporaryFile

        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if self._new and path.exists():
            self.fail(f"{quoted(str(path))} is there already; name a new file", param, ctx)
        try:
            # Only trying tells: of a read-only folder root is told that it may write.
            with TemporaryFile(dir=path.parent):
                return path
        except OSError as error:
            self.fail(f"{quoted(str(path.parent))}: {error.strerror}", param, ctx)


class FiniteRange(click.FloatRange):
    """A number between bounds; NaN compares with none, and so would be within any."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not isfinite(number):
            self.fail(f"{number} is no finite number", param, ctx)
        return number


class AddressType(click.ParamType[str]):
    """``127.0.0.1:50051``, ``[::1]:50051`` or a name and a port; with ``several``, also more with commas between."""

    name = "address"
    _ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/,\[\]]+):(?P<port>[0-9]{1,5})")

    def __init__(self, *, several: bool = False) -> None:
        self._several = several

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        for address in text.split(",") if self._several else [text]:
            match = self._ADDRESS.fullmatch(address)
            if match is None or not 0 < int(match["port"]) < 65536 or not address.isprintable():
                message = f"{quoted(address)} is no address; write HOST:PORT, as 127.0.0.1:50051"
                self.fail(message, param, ctx)
        return text


def run_program(run: Callable[[], Any], name: str) -> NoReturn:
    """Ends the process with what ``run`` returns, raises or has written; ``name`` stands before messages."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        _write_what_fits(stream)
    try:
        status = _exit_code(run)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - here every program ends, whatever it met
        status = _explain(error, name)
    _discard_unwritten()
    # All goes with the process: a last search through it for garbage takes a fifth of a small program's time.
    atexit.register(gc.freeze)
    sys.exit(status)


def _exit_code(run: Callable[[], Any]) -> int:
    try:
        status = run()
    except SystemExit as end:
        status = end.code
    return status if isinstance(status, int) else 0


def _explain(error: BaseException, name: str) -> int:
    """Says what is wrong, and gives the exit code for it."""
    match error:
        case click.ClickException():
            shown = io.StringIO()
            error.show(shown)
            _say(*shown.getvalue().splitlines())
            return error.exit_code
        case KeyboardInterrupt() | click.Abort():
            return EXIT_INTERRUPTED
        case BrokenPipeError():
            # Who reads has seen enough.
            return EXIT_FAILED
        case ExplainedError():
            status, message = error.exit_code, str(error)
        case OSError():
            status, message = EXIT_FAILED, _os_message(error)
        case RecursionError():
            status, message = EXIT_USAGE, "the input is nested too deeply"
        case MemoryError():
            status, message = EXIT_FAILED, "there is not enough memory for this"
        case UnicodeError():
            status, message = EXIT_USAGE, f"text that is not UTF-8: {error}"
        case _:
            if logging.getLogger().hasHandlers():
                # Nobody watches a program that logs: its log must have all of it.
                logging.getLogger(__name__).error("this defect ends it:", exc_info=error)
            status, message = EXIT_FAILED, _defect(error)
    if os.environ.get(_TRACEBACK_VARIABLE):
        traceback.print_exception(error, file=sys.stderr)
    first, *others = message.splitlines() or [""]
    _say(f"{name}: {first}", *(f"  {line.strip()}" for line in others))
    return status


def _os_message(error: OSError) -> str:
    why = error.strerror or str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {why}"
    return f"cannot write the output: {why}" if error.errno in _OF_OUTPUT else why


def _defect(error: BaseException) -> str:
    """An error that nobody foresaw: ours to mend, whatever was typed."""
    where = ""
    if frames := traceback.extract_tb(error.__traceback__):
        where = f" at {frames[-1].filename}:{frames[-1].lineno}"
    return (
        f"a defect of the program: {type(error).__name__}: {error}{where}\n"
        f"please report it with what {_TRACEBACK_VARIABLE}=1 shows"
    )


def _say(*lines: str) -> None:
    """Write to standard error; where nobody can hear it, the exit code must do."""
    try:
        for line in lines:
            sys.stderr.write(f"{shortened(printable(line), _MAX_CHARACTERS)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return


def _open_closed_streams() -> None:
    """Standard streams that the shell closed: the next file opened would get such a stream's number, and its text.

    To write to standard output, and to read from standard input, is an error then, as it should be.
    """
    for number, name, flags in (
        (0, "stdin", os.O_WRONLY),
        (1, "stdout", os.O_RDONLY),
        (2, "stderr", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, flags)
            stream = os.fdopen(opened, "r" if number == 0 else "w", closefd=False)
            for each in (name, f"__{name}__"):
                setattr(sys, each, stream)


def _discard_unwritten() -> None:
    """What could not be written shall not fail a second time when the interpreter ends."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            if stream in (sys.__stdout__, sys.__stderr__):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def _write_what_fits(stream: TextIO) -> None:
    """On a terminal of few characters others are written with those; what is no text at all is escaped."""
    if stream not in (sys.__stdout__, sys.__stderr__) or not hasattr(stream, "reconfigure"):
        return
    if codecs.lookup(stream.encoding).name.startswith("utf"):
        stream.reconfigure(errors="backslashreplace")
    else:
        codecs.register(_find_codec)
        stream.reconfigure(encoding=_PLAIN, errors="strict")


def _find_codec(name: str) -> codecs.CodecInfo | None:
    # Not an error handler of the codec ASCII: click writes UTF-8 where it finds that one.
    if name != _PLAIN.replace("-", "_") and name != _PLAIN:
        return None
    return codecs.CodecInfo(
        lambda text, _errors="strict": (_in_ascii(text), len(text)),
        codecs.ascii_decode,
        incrementalencoder=_PlainEncoder,
        name=_PLAIN,
    )


class _PlainEncoder(codecs.IncrementalEncoder):
    def encode(self, text: str, final: bool = False) -> bytes:
        return _in_ascii(text)


def _in_ascii(text: str) -> bytes:
    if text.isascii():
        return text.encode("ascii")
    for character, plain in _IN_ASCII.items():
        text = text.replace(character, plain)
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(each for each in decomposed if not unicodedata.combining(each))
    return bare.encode("ascii", "backslashreplace")
