"""Supervision: tasks and threads of a program are started here, so that none ends without a word.

What must live is started again where it fails, with a line in the log and a count, or it ends the process by way of
``on_failure``. A test sees to it that nothing else in the program makes a task or a thread.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from digitalgrid.counters import COUNTERS

_log = logging.getLogger(__name__)

# Until what has failed is started again, in seconds: ever longer, so that a fault that stays does not spin.
_FIRST_PAUSE_S = 0.1
_MAX_PAUSE_S = 1.0
# What ran for so long had begun well: its next failure is a first one.
_STEADY_S = 30.0

OnFailure: TypeAlias = Callable[[Exception], None]
Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class _Failures:
    """The failures of one task or thread: counted, logged, and how long to wait after each."""

    def __init__(self, name: str, on_failure: OnFailure | None) -> None:
        self._name = name
        self._on_failure = on_failure
        self._pause_s = _FIRST_PAUSE_S
        self._started_s = time.monotonic()

    def note(self, error: Exception) -> float | None:
        """How long to wait until it is started again; None where it is not."""
        COUNTERS.add("supervised_failures", self._name)
        if self._on_failure is not None:
            _log.critical("%s failed; stopping", self._name, exc_info=error)
            self._on_failure(error)
            return None
        if time.monotonic() - self._started_s >= _STEADY_S:
            self._pause_s = _FIRST_PAUSE_S
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _MAX_PAUSE_S)
        _log.error("%s failed; started again in %g s", self._name, pause_s, exc_info=error)
        return pause_s

    def restarted(self) -> None:
        self._started_s = time.monotonic()


def start_thread(
    name: str, work: Callable[[], None], on_failure: OnFailure | None = None
) -> threading.Thread:
    """Run ``work`` in a daemon thread until it returns. Where it raises, ``on_failure`` gets the error, in that thread,
    and is to end the process; without one ``work`` is started again.
    """

    def run() -> None:
        failures = _Failures(name, on_failure)
        while True:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would notice
                pause_s = failures.note(error)
                if pause_s is None:
                    return
                time.sleep(pause_s)
                failures.restarted()
            else:
                return

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def start_thread_once(name: str, work: Callable[[], None]) -> threading.Thread:
    """Run ``work`` in a daemon thread. It deals with failures itself; what it lets through is logged and counted."""

    def run() -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - whatever it is, nobody else would notice
            COUNTERS.add("supervised_failures", name)
            _log.critical("%s failed by a mistake in the program", name, exc_info=True)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def start_task(name: str, work: Work, on_failure: OnFailure | None = None) -> asyncio.Task[None]:
    """:func:`start_thread` for a coroutine, in the running loop. Whoever gets the task keeps it."""

    async def run() -> None:
        failures = _Failures(name, on_failure)
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would notice
                pause_s = failures.note(error)
                if pause_s is None:
                    return
                await asyncio.sleep(pause_s)
                failures.restarted()
            else:
                return

    return asyncio.get_running_loop().create_task(run(), name=name)


_once: set[asyncio.Task[None]] = set()


def start_once(name: str, work: Work) -> asyncio.Task[None]:
    """Run a coroutine that need not live: where it raises that is logged and counted, and it is over."""

    async def run() -> None:
        try:
            await work()
        except Exception:  # noqa: BLE001 - whatever it is, nobody else would notice
            COUNTERS.add("supervised_failures", name)
            _log.exception("%s failed", name)

    task = asyncio.get_running_loop().create_task(run(), name=name)
    # asyncio itself keeps no reference to a task.
    _once.add(task)
    task.add_done_callback(_once.discard)
    return task


async def first_to_end(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, end the others, and raise what it raised."""
    tasks = [asyncio.get_running_loop().create_task(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Count what is raised in callbacks of the loop, and in threads that others start, beside logging it."""

    def note_in_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        COUNTERS.add("unhandled_exceptions", "loop")
        loop.default_exception_handler(context)

    def note_in_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_type is SystemExit:
            return
        COUNTERS.add("unhandled_exceptions", "thread")
        name = arguments.thread.name if arguments.thread is not None else "a thread"
        _log.critical("%s ended by a mistake in the program", name, exc_info=arguments.exc_value)

    loop.set_exception_handler(note_in_loop)
    threading.excepthook = note_in_thread
