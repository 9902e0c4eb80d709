"""Long computations, in a process of their own: they would keep the controller's loop from its routers.

The functions are pure, their arguments and results pickle, and what they decide is checked again by whoever asked.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from controller.routing.compiled import Engine, use_engine
from digitalgrid.processes import die_with_parent

_log = logging.getLogger(__name__)
# For one answer. Ten thousand routers take seconds.
MAX_S = 120.0
# Routers and clients of the controller's loop come first, on a machine of few cores too.
_NICENESS = 10

T = TypeVar("T")


class SolverDied(Exception):
    """The worker process has no answer; the next call starts another."""


class Solver:
    """One worker, started with the first call, for one call at a time."""

    def __init__(self, most_s: float = MAX_S) -> None:
        self._most_s = most_s
        self._pool: ProcessPoolExecutor | None = None
        self._running = 0
        self._engine = Engine.COMPILED
        # That of the worker that there is.
        self._engine_of_pool = self._engine

    def use_engine(self, engine: Engine) -> None:
        """Have kernels run by an engine in whatever begins from now on."""
        self._engine = engine

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """What ``function`` returns or raises.

        Raises SolverDied where the worker was killed twice, or had no answer in time. Whoever gives up waiting ends the
        worker, so that nobody else has to wait for what nobody wants.
        """
        try:
            return await self._once(function, *arguments)
        except BrokenProcessPool:
            # It may have been killed long ago, while it was idle.
            _log.warning("the worker process of the solver was killed; starting another")
        try:
            return await self._once(function, *arguments)
        except BrokenProcessPool as error:
            raise SolverDied("the worker process of the solver was killed; try again") from error

    async def _once(self, function: Callable[..., T], *arguments: object) -> T:
        if self._engine is not self._engine_of_pool and not self._running:
            self.close()
        pool = self._pool or self._start()
        self._running += 1
        loop = asyncio.get_running_loop()
        try:
            answer = loop.run_in_executor(pool, function, *arguments)
            return await asyncio.wait_for(answer, self._most_s)
        except TimeoutError as error:
            self.close()
            raise SolverDied(
                f"no answer within {self._most_s:g} s; ask for less at a time"
            ) from error
        except (asyncio.CancelledError, BrokenProcessPool):
            self.close()
            raise
        finally:
            self._running -= 1

    def close(self) -> None:
        """End the worker, whatever it is doing."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        # Python 3.14 calls this kill_workers().
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()

    def _start(self) -> ProcessPoolExecutor:
        # A fork of a process with gRPC's threads could hang.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            1, context, initializer=_begin, initargs=(os.getpid(), self._engine)
        )
        self._engine_of_pool = self._engine
        _log.info("starting the worker process for long computations")
        return self._pool


def _begin(parent_pid: int, engine: Engine) -> None:
    """The worker ends with the controller, also when that is killed; Ctrl-C is the controller's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    die_with_parent(parent_pid)
    use_engine(engine)
