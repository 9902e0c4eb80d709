"""A benchmark in a process of its own: nothing that another has left takes of its time, and its end is its own."""

import importlib
import importlib.util
import logging
import multiprocessing
import signal
from collections.abc import Generator
from multiprocessing.connection import Connection

from benchmarks.harness import Row
from digitalgrid.errors import ExplainedError


class Missing(ExplainedError):
    """What a benchmark needs is not here; its message says what."""


class Died(ExplainedError):
    """A benchmark did not come to its end; its message says how its process ended."""


def rows_apart(module: str, full: bool) -> Generator[Row]:
    """Each row as it comes. Raises Missing and Died, after the rows that there were until then."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(theirs, module, full), name=module)
    process.start()
    theirs.close()
    try:
        while (said := _next(ours)) is not None:
            if isinstance(said, Missing):
                raise said
            yield said
        process.join()
    finally:
        ours.close()
        # It is alive only where nobody wants its rows any more.
        process.terminate()
        process.join()
    if process.exitcode:
        raise Died(_end_of(process.exitcode))


def _next(connection: Connection) -> Row | Missing | None:
    try:
        said: Row | Missing = connection.recv()
    except EOFError:
        return None
    return said


def _measure(connection: Connection, module: str, full: bool) -> None:
    # Lines that are cut, and what a daemon says of it, are meant.
    logging.basicConfig(level=logging.CRITICAL)
    try:
        for row in importlib.import_module(module).rows(full):
            connection.send(row)
    except Missing as missing:
        connection.send(missing)
    except Exception as error:
        if (library := _library_lacked(error)) is None:
            raise
        connection.send(Missing(f"{library} is not installed"))


def _library_lacked(error: BaseException | None) -> str | None:
    """What could not be imported, be it said in other words since. A module of ours that is not there is a fault."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name is not None:
            library = error.name.partition(".")[0]
            if importlib.util.find_spec(library) is None:
                return library
        error = error.__cause__
    return None


def _end_of(exit_code: int) -> str:
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"failed with exit code {exit_code}"
