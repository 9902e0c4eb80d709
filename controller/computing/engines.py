"""Which engine runs the kernels of the daemon: the compiled one takes over from the interpreted between two events.

``auto`` serves interpreted at once. Kernels that are on disk are loaded by a thread meanwhile, and what is not there is
compiled by processes that give way to everybody else; then the compiled engine goes on where the other one was.
"""

import asyncio
import logging
import sys
from contextlib import AsyncExitStack
from typing import Literal

from controller.computing.solver import Solver, SolverDied
from controller.computing.warm_up import compile_and_load, warm_up_worker
from controller.routing.compiled import (
    Engine,
    KernelsUnreadable,
    are_kept,
    engine_of_environment,
    forget,
    load,
    use_engine,
)
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.supervision import start_once

_log = logging.getLogger(__name__)

Wanted = Literal["auto", "compiled", "interpreted"]


def wanted_of(configured: Wanted) -> Wanted:
    """Where the configuration leaves it open, by ``auto``, the environment may say."""
    if configured != "auto":
        return configured
    match engine_of_environment():
        case Engine.COMPILED:
            return "compiled"
        case Engine.INTERPRETED:
            return "interpreted"
        case None:
            return configured


def begin_with(wanted: Wanted) -> None:
    """Before anything is served: have the engine ready that is to serve first."""
    # At "debug" it tells each step of its compiler.
    logging.getLogger("numba").setLevel(logging.WARNING)
    if wanted == "compiled":
        if not (are_kept("search") and are_kept("solver")):
            _log.info("engine: compiling the routing kernels, which takes a minute or two once")
        compile_and_load("search")
        use_engine(Engine.COMPILED)
        _log.info("engine: compiled")
    else:
        use_engine(Engine.INTERPRETED)
        _log.info("engine: interpreted%s", " until it is compiled" if wanted == "auto" else "")
    freeze_loaded()


class Engines:
    """Has the compiled engine take over, in the daemon's process and in the worker of its solver."""

    def __init__(self, wanted: Wanted, solver: Solver) -> None:
        self._wanted = wanted
        self._solver = solver

    def start(self, stack: AsyncExitStack) -> None:
        """Begin with what may take long; it ends with the stack."""
        interpreted = self._wanted == "interpreted" or not are_kept("solver")
        self._solver.use_engine(Engine.INTERPRETED if interpreted else Engine.COMPILED)
        works = {"solver-warm-up": self._warm_solver}
        if self._wanted == "auto":
            works["engine-search"] = self._compile_search
            if interpreted:
                works["engine-solver"] = self._compile_solver
        for name, work in works.items():
            stack.callback(start_once(name, work).cancel)

    async def _compile_search(self) -> None:
        await _loaded("search")
        use_engine(Engine.COMPILED)
        freeze_loaded()
        _log.info("engine: compiled has taken over from interpreted")

    async def _compile_solver(self) -> None:
        await _compiled("solver")
        _log.info("engine: the solver goes on compiled")
        self._solver.use_engine(Engine.COMPILED)
        await self._warm_solver()

    async def _warm_solver(self) -> None:
        """Start the worker before it is asked, so that the first answer does not wait for its kernels."""
        try:
            await self._solver.warm_up(warm_up_worker)
        except SolverDied as error:
            _log.warning("the solver is not warm: %s", error)
        else:
            _log.info("the solver is warm: dispatches are answered without delay")


async def _loaded(half: str) -> None:
    """Return when a half of the kernels is ready to run here; what is on disk and does not load is compiled anew."""
    await _compiled(half)
    try:
        await asyncio.to_thread(load, half)
    except KernelsUnreadable as error:
        _log.warning("engine: what is kept does not load, so it is compiled anew: %s", error)
        forget()
        await _compiled(half)
        await asyncio.to_thread(load, half)


async def _compiled(half: str) -> None:
    """Return when a half of the kernels is on disk; compile it where it is not."""
    if are_kept(half):
        return
    _log.info(
        "engine: compiling the kernels of the %s in the background, for a minute or two", half
    )
    command = [sys.executable, "-m", "controller.computing.warm_up", "--background", half]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if status:
        raise RuntimeError(f"compiling the kernels of the {half} ended with status {status}")
