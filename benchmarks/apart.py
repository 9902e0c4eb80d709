"""A benchmark in a process of its own: nothing that another has left takes of its time, and its end is its own."""

import importlib
import importlib.util
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Generator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from benchmarks.harness import Row
from digitalgrid.errors import ExplainedError

# For the clean-up of a benchmark whose rows nobody wants any more: networks that it made go with it.
_CLEANS_UP_WITHIN_S = 10.0


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
    ended = os.pidfd_open(_pid_of(process))
    try:
        while (said := _next(ours, ended)) is not None:
            if isinstance(said, Missing):
                raise said
            yield said
        wait([ended])
    finally:
        _end(process, ended)
        os.close(ended)
        ours.close()
    if process.exitcode:
        raise Died(_end_of(process.exitcode))


def _pid_of(process: SpawnProcess) -> int:
    assert process.pid is not None, "it was started"
    return process.pid


def _next(connection: Connection, ended: int) -> Row | Missing | None:
    """What a benchmark forked may hold the pipe open for longer than it lives itself."""
    wait([connection, ended])
    if not connection.poll():
        return None
    try:
        said: Row | Missing = connection.recv()
    except EOFError:
        return None
    return said


def _end(process: SpawnProcess, ended: int) -> None:
    """Of it and of all that it started. It is alive only where nobody wants its rows any more."""
    try:
        if not wait([ended], timeout=0):
            signal.pidfd_send_signal(ended, signal.SIGINT)
            wait([ended], _CLEANS_UP_WITHIN_S)
    finally:
        process.kill()
        # Before it is joined, as until then nobody else can have its number. A group it has once it measures.
        with suppress(ProcessLookupError):
            os.killpg(_pid_of(process), signal.SIGKILL)
        process.join()


def _measure(connection: Connection, module: str, full: bool) -> None:
    # Lines that are cut, and what a daemon says of it, are meant.
    logging.basicConfig(level=logging.CRITICAL)
    # All that it starts can be found again; Ctrl-C comes from who asked for its rows, once.
    os.setsid()
    try:
        for row in importlib.import_module(module).rows(full):
            connection.send(row)
    except Missing as missing:
        connection.send(missing)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
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
