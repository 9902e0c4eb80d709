"""The worker process: answers, errors, and its end."""

import asyncio
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from controller.computing import solver as solver_module
from controller.computing.solver import Solver, SolverDied, SolverNotCompiled
from controller.core.errors import Refusal
from controller.routing.compiled import Engine, engine_in_use
from digitalgrid.reasons import Reason
from tests.support.northbound import in_loop, until


def divided(dividend: int, divisor: int) -> tuple[float, int]:
    return dividend / divisor, os.getpid()


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@in_loop
async def test_calls_are_answered_by_one_other_process_and_leave_the_loop_free() -> None:
    solver = Solver()
    try:
        (half, pid), (third, same_pid) = await asyncio.gather(
            solver.run(divided, 1, 2), solver.run(divided, 1, 4)
        )
        assert (half, third) == (0.5, 0.25)
        assert pid == same_pid != os.getpid()
        with pytest.raises(ZeroDivisionError):
            await solver.run(divided, 1, 0)
    finally:
        solver.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@in_loop
async def test_a_worker_that_dies_is_said_and_replaced() -> None:
    solver = Solver()
    try:
        with pytest.raises(SolverDied, match="try again"):
            await solver.run(killed)
        assert (await solver.run(divided, 6, 3))[0] == 2.0
    finally:
        solver.close()


@in_loop
async def test_closing_ends_a_computation_that_does_not_end() -> None:
    solver = Solver()
    await solver.run(divided, 1, 1)
    endless = asyncio.create_task(solver.run(signal.pause))
    await asyncio.sleep(0)
    solver.close()
    with pytest.raises((SolverDied, asyncio.CancelledError)):
        await endless


def refused() -> None:
    raise Refusal(Reason.NOT_CONVERGED, "no", field="f", metadata={"a": "b"})


def idle() -> int:
    return os.getpid()


@in_loop
async def test_a_refusal_comes_back_as_it_was_raised() -> None:
    solver = Solver()
    try:
        with pytest.raises(Refusal, match="no") as refusal:
            await solver.run(refused)
        told = (refusal.value.reason, refusal.value.field)
        assert told == (Reason.NOT_CONVERGED, "f")
        assert refusal.value.metadata == {"a": "b"}
    finally:
        solver.close()


@in_loop
async def test_a_worker_that_was_killed_while_it_was_idle_is_replaced_unnoticed() -> None:
    solver = Solver()
    try:
        pid = await solver.run(idle)
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.1)
        assert await solver.run(idle) != pid
    finally:
        solver.close()


@in_loop
async def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    solver = Solver(most_s=15.0)
    try:
        await solver.run(idle)
        solver._most_s = 0.05
        with pytest.raises(SolverDied, match="no answer within"):
            await solver.run(signal.pause)
        solver._most_s = 15.0
        assert await solver.run(idle)
    finally:
        solver.close()


@in_loop
async def test_who_gives_up_waiting_leaves_no_worker_that_others_wait_for() -> None:
    solver = Solver(unwanted_s=0.1)
    try:
        await solver.run(idle)
        endless = asyncio.create_task(solver.run(signal.pause))
        await asyncio.sleep(0.05)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        assert await asyncio.wait_for(solver.run(idle), 15.0)
    finally:
        solver.close()


def busy(path: Path) -> None:
    """Until somebody makes a file of this name."""
    path.with_suffix(".begun").touch()
    while not path.exists():
        time.sleep(0.01)


async def given_up(solver: Solver) -> None:
    waiting = asyncio.create_task(solver.run(idle))
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@in_loop
async def test_whoever_gives_up_does_not_end_the_warm_up_nor_what_others_wait_for(
    tmp_path: Path,
) -> None:
    solver = Solver(unwanted_s=0.0)
    try:
        pid = await solver.run(idle)
        warming = asyncio.create_task(solver.warm_up(partial(busy, tmp_path / "warm")))
        await until((tmp_path / "warm.begun").exists)
        await given_up(solver)
        await given_up(solver)
        # The daemon itself need not wait for it either.
        warming.cancel()
        patient = asyncio.create_task(solver.run(idle))
        await given_up(solver)
        (tmp_path / "warm").touch()
        assert await patient == pid
        asked = asyncio.create_task(solver.run(busy, tmp_path / "asked"))
        await until((tmp_path / "asked.begun").exists)
        await given_up(solver)
        (tmp_path / "asked").touch()
        await asked
        assert await solver.run(idle) == pid
    finally:
        solver.close()


@in_loop
async def test_what_is_given_up_before_it_began_is_not_done(tmp_path: Path) -> None:
    solver = Solver()
    try:
        await solver.run(idle)
        first = asyncio.create_task(solver.run(busy, tmp_path / "first"))
        await until((tmp_path / "first.begun").exists)
        second = asyncio.create_task(solver.run(busy, tmp_path / "second"))
        await asyncio.sleep(0)
        second.cancel()
        (tmp_path / "first").touch()
        await first
        assert await solver.run(idle)
        assert not (tmp_path / "second.begun").exists()
    finally:
        solver.close()


def engine_of_the_worker() -> tuple[str, int]:
    return engine_in_use(), os.getpid()


@in_loop
async def test_another_engine_is_that_of_the_next_computation_and_ends_none() -> None:
    solver = Solver()
    try:
        solver.use_engine(Engine.INTERPRETED)
        engine, first_pid = await solver.run(engine_of_the_worker)
        assert engine == Engine.INTERPRETED
        at_work = asyncio.create_task(solver.run(time.sleep, 0.3))
        await asyncio.sleep(0)
        solver.use_engine(Engine.COMPILED)
        engine, next_pid = await solver.run(engine_of_the_worker)
        await at_work
        assert engine == Engine.COMPILED
        assert next_pid != first_pid
    finally:
        solver.close()


def quick_only_compiled() -> Engine:
    if engine_in_use() is Engine.INTERPRETED:
        signal.pause()
    return engine_in_use()


@in_loop
async def test_what_takes_long_interpreted_is_begun_again_when_the_compiled_engine_is_there() -> (
    None
):
    solver = Solver()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver_module, "MAX_INTERPRETED_S", 0.1)
        try:
            solver.use_engine(Engine.INTERPRETED)
            await solver.run(engine_of_the_worker)
            asked = asyncio.create_task(solver.run(quick_only_compiled))
            await asyncio.sleep(0)
            assert not asked.done()
            solver.use_engine(Engine.COMPILED)
            assert await asyncio.wait_for(asked, 60.0) is Engine.COMPILED
        finally:
            solver.close()


@in_loop
async def test_no_answer_in_time_interpreted_is_for_want_of_compiled_kernels() -> None:
    solver = Solver(most_s=0.5)
    try:
        solver.use_engine(Engine.INTERPRETED)
        with pytest.raises(SolverNotCompiled, match="try again when the routing kernels are"):
            await solver.run(signal.pause)
    finally:
        solver.close()
