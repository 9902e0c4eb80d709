"""Long computations, in a process of their own: they would keep the controller's loop from its routers.

The functions are pure, their arguments and results pickle, and what they decide is checked again by whoever asked.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from controller.routing.compiled import Engine, use_engine
from digitalgrid.processes import die_with_parent
from digitalgrid.supervision import start_once

_log = logging.getLogger(__name__)
# For one answer, in seconds. Ten thousand routers take some.
MAX_S = 120.0
# For an answer that the interpreted engine is at when the compiled one is there, in seconds: then it is begun again,
# a hundred times as fast. Starting a worker that loads its kernels takes about as long.
MAX_INTERPRETED_S = 5.0
# For an answer that nobody waits for any more, in seconds: a new worker would take as long to load its kernels.
MAX_UNWANTED_S = 10.0
# For the warm-up, in seconds: a first one compiles all kernels, which takes minutes on two busy cores.
MAX_WARM_UP_S = 1800.0
# Routers and clients of the controller's loop come first, on a machine of few cores too.
_NICENESS = 10

T = TypeVar("T")


class SolverDied(Exception):
    """The worker process has no answer; the next call starts another."""


class SolverNotCompiled(SolverDied):
    """No answer in time, since kernels run interpreted: what is asked is not too much for compiled ones."""


class _CompiledMeanwhile(Exception):
    """The compiled engine came while the interpreted one was at it."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A call for the worker. Its ``answer`` is done before the worker is where whoever asked has given up."""

    function: Callable[[], Any]
    answer: asyncio.Future[Any]
    most_s: float
    # How long it may go on once it is not wanted.
    unwanted_s: float

    @property
    def is_wanted(self) -> bool:
        return not self.answer.done()


class Solver:
    """One worker process with a queue. It is started with the first call and does one at a time, in their order.

    Whoever gives up waiting abandons its own answer only; the worker is ended where it goes on for long with what
    nobody wants, and never while it warms up.
    """

    def __init__(self, most_s: float = MAX_S, unwanted_s: float = MAX_UNWANTED_S) -> None:
        self._most_s = most_s
        self._unwanted_s = unwanted_s
        self._pool: ProcessPoolExecutor | None = None
        self._engine = Engine.COMPILED
        # That of the worker that there is.
        self._engine_of_pool = self._engine
        # Done when the compiled engine comes while a job is at work.
        self._compiled: asyncio.Future[None] | None = None
        self._queue: deque[_Job] = deque()
        self._now: _Job | None = None
        self._owner: asyncio.Task[None] | None = None

    def use_engine(self, engine: Engine) -> None:
        """Have kernels run by an engine in whatever begins from now on.

        What is at work interpreted, and would be for long, is begun again when the compiled engine is there.
        """
        self._engine = engine
        if engine is Engine.COMPILED and self._compiled is not None and not self._compiled.done():
            self._compiled.set_result(None)

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """What ``function`` returns or raises.

        Raises SolverDied where the worker was killed twice, or had no answer in time, and SolverNotCompiled where
        that was so for want of compiled kernels.
        """
        answer = asyncio.get_running_loop().create_future()
        self._ask(_Job(partial(function, *arguments), answer, self._most_s, self._unwanted_s))
        found: T = await answer
        return found

    async def warm_up(self, function: Callable[[], None]) -> None:
        """Have the worker do what makes it ready, whoever waits for that."""
        answer = asyncio.get_running_loop().create_future()
        self._ask(_Job(function, answer, MAX_WARM_UP_S, MAX_WARM_UP_S))
        await answer

    def _ask(self, job: _Job) -> None:
        self._queue.append(job)
        if self._owner is None or self._owner.done():
            self._owner = start_once("solver", self._work)

    async def _work(self) -> None:
        """Do what is in the queue; what was given up before it began is left out."""
        while self._queue:
            job = self._now = self._queue.popleft()
            if not job.is_wanted:
                continue
            try:
                found = await self._answer(job)
            except Exception as error:  # noqa: BLE001 - whoever asked is told, whatever it is
                if job.is_wanted:
                    job.answer.set_exception(error)
            else:
                if job.is_wanted:
                    job.answer.set_result(found)
        self._now = None

    async def _answer(self, job: _Job) -> Any:
        try:
            return await self._once(job)
        except _CompiledMeanwhile:
            self._end_worker()
            _log.info("the solver begins again what took it long interpreted")
        except BrokenProcessPool:
            # It may have been killed long ago, while it was idle.
            self._end_worker()
            _log.warning("the worker process of the solver was killed; starting another")
        try:
            return await self._once(job)
        except BrokenProcessPool as error:
            self._end_worker()
            raise SolverDied("the worker process of the solver was killed; try again") from error
        except _CompiledMeanwhile as error:
            self._end_worker()
            raise SolverNotCompiled("the solver has just gone on compiled; try again") from error

    async def _once(self, job: _Job) -> Any:
        if self._engine is not self._engine_of_pool:
            self._end_worker()
        pool = self._pool or self._start()
        found = asyncio.get_running_loop().run_in_executor(pool, job.function)
        # Where the worker is ended, nobody asks what became of it.
        found.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        patience_s = await self._patience(found, job)
        if found.done():
            return found.result()
        if not patience_s:
            raise _CompiledMeanwhile
        interpreted = self._engine_of_pool is Engine.INTERPRETED
        self._end_worker()
        if interpreted:
            raise SolverNotCompiled(
                f"no answer within {patience_s:g} s interpreted: try again when the routing kernels are compiled, in a"
                " minute or two (with `engine: interpreted` they never are)"
            )
        raise SolverDied(f"no answer within {patience_s:g} s; ask for less at a time")

    async def _patience(self, found: asyncio.Future[Any], job: _Job) -> float:
        """Wait for what is found. For how long, in seconds; zero where the compiled engine is to begin again."""
        waited: set[asyncio.Future[Any]] = {found, job.answer}
        compiled = self._compiled = asyncio.get_running_loop().create_future()
        if self._engine is Engine.COMPILED:
            compiled.set_result(None)
        if self._engine_of_pool is Engine.INTERPRETED:
            waited.add(compiled)
        try:
            await asyncio.wait(waited, timeout=job.most_s, return_when=asyncio.FIRST_COMPLETED)
            if compiled in waited and compiled.done() and not found.done() and job.is_wanted:
                await asyncio.wait(
                    {found, job.answer},
                    timeout=MAX_INTERPRETED_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not found.done() and job.is_wanted:
                    return 0.0
        finally:
            compiled.cancel()
        if found.done() or job.is_wanted:
            return job.most_s
        await asyncio.wait({found}, timeout=job.unwanted_s)
        return job.unwanted_s

    def close(self) -> None:
        """End the worker, whatever it is doing; whoever waits for it is told."""
        if self._owner is not None:
            self._owner.cancel()
        for job in (self._now, *self._queue):
            if job is not None and job.is_wanted:
                job.answer.set_exception(SolverDied("the solver was closed; try again"))
        self._queue.clear()
        self._now = self._owner = None
        self._end_worker()

    def _end_worker(self) -> None:
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
