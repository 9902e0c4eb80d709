"""Long computations, in a process of their own: they would keep the controller's loop from its routers.

The functions are pure, their arguments and results pickle, and what they decide is checked again by whoever asked.
"""

import asyncio
import ctypes
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

_log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1

T = TypeVar("T")


class SolverDied(Exception):
    """The worker process ended before it had an answer; the next call starts another."""


class Solver:
    """One worker, started with the first call. Calls queue; each is awaited by its caller alone."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """What ``function`` returns or raises. Raises SolverDied where the worker was killed."""
        pool = self._pool or self._start()
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
        except BrokenProcessPool as error:
            if self._pool is pool:
                self._pool = None
                pool.shutdown(wait=False)
            raise SolverDied("the worker process of the solver ended; try again") from error

    def close(self) -> None:
        """End the worker, whatever it is doing."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        # Python 3.14 calls this kill_workers().
        workers = list(pool._processes.values())
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()

    def _start(self) -> ProcessPoolExecutor:
        # A fork of a process with gRPC's threads could hang.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, initializer=_begin, initargs=(os.getpid(),))
        _log.info("starting the worker process for long computations")
        return self._pool


def _begin(parent_pid: int) -> None:
    """The worker ends with the controller, also when that is killed; Ctrl-C is the controller's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)
