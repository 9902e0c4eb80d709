"""Configuration files as bytes and as errors: read within limits, and refused with file and line."""

import errno
import os
import stat
import sys
from collections.abc import Iterable
from os import PathLike

from digitalgrid.errors import ExplainedError
from digitalgrid.printable import printable, shortened

MAX_BYTES = 4 << 20
"""Of a configuration or a batch: ten thousand times what one needs."""

# Of one message: whoever gave an id of a megabyte knows it without reading it again.
_MAX_CHARACTERS = 600
# Of one file: who mends so many finds the rest.
MAX_ERRORS = 50


class ConfigError(ExplainedError, ValueError):
    """A file that cannot be used; ``str()`` is ``FILE:LINE: what is wrong and what to do``."""

    exit_code = 2

    def __init__(self, name: str, line: int | None, message: str) -> None:
        self.name = name
        self.line = line
        self.message = shortened(printable(message), _MAX_CHARACTERS)
        where = name if line is None else f"{name}:{line}"
        super().__init__(f"{where}: {self.message}")


class ConfigErrors(ConfigError):
    """Several at once; ``str()`` has a line for each, in the order of the file."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda each: each.line or 0))
        first = self.errors[0]
        super().__init__(first.name, first.line, first.message)
        lines = [str(each) for each in self.errors[:MAX_ERRORS]]
        if len(self.errors) > MAX_ERRORS:
            lines.append(f"{first.name}: and more")
        self.args = ("\n".join(lines),)


class NotRegular(OSError):
    """A pipe or a device, to read which might take for ever."""


def read_text(path: str | PathLike[str], max_bytes: int = MAX_BYTES) -> str:
    """The text of a regular file, or of standard input where the path is ``-``. Raises ConfigError.

    What is no regular file is refused before it is read: it might be endless, or never begin.
    """
    name = os.fspath(path)
    try:
        if name == "-":
            content = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with open(name, "rb", opener=open_regular) as file:
                content = file.read(max_bytes + 1)
    except NotRegular as error:
        hint = "give what comes through a pipe to standard input, and name it '-'"
        raise ConfigError(name, None, f"cannot be read: {error.strerror}; {hint}") from error
    except OSError as error:
        raise ConfigError(name, None, f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(name, None, f"cannot be read: {error}") from error
    if len(content) > max_bytes:
        raise ConfigError(name, None, f"is too large; {max_bytes >> 20} MiB are the most")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(name, None, f"is not UTF-8 text: {error.reason}") from error


def open_regular(name: str, flags: int) -> int:
    """An opener for :func:`open` that waits for nobody who may write to a pipe. OSError where it is no regular file."""
    descriptor = os.open(name, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise NotRegular(errno.EINVAL, "it is no regular file", name)
