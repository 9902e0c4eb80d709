"""The worker process: answers, errors, and its end."""

import asyncio
import os
import signal
import time

import pytest

from controller.computing.solver import Solver, SolverDied
from controller.core.errors import Refusal
from controller.routing.compiled import Engine, engine_in_use
from digitalgrid.reasons import Reason
from tests.support.northbound import in_loop


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
    solver = Solver(most_s=5.0)
    try:
        await solver.run(idle)
        solver._most_s = 0.05
        with pytest.raises(SolverDied, match="no answer within"):
            await solver.run(signal.pause)
        solver._most_s = 5.0
        assert await solver.run(idle)
    finally:
        solver.close()


@in_loop
async def test_who_gives_up_waiting_leaves_no_worker_that_others_wait_for() -> None:
    solver = Solver()
    try:
        await solver.run(idle)
        endless = asyncio.create_task(solver.run(signal.pause))
        await asyncio.sleep(0.05)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        assert await asyncio.wait_for(solver.run(idle), 10.0)
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
        assert await solver.run(engine_of_the_worker) == (Engine.INTERPRETED, first_pid)
        await at_work
        engine, next_pid = await solver.run(engine_of_the_worker)
        assert engine == Engine.COMPILED
        assert next_pid != first_pid
    finally:
        solver.close()
