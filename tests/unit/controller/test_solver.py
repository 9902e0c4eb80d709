"""The worker process: answers, errors, and its end."""

import asyncio
import os
import signal

import pytest

from controller.solver import Solver, SolverDied
from tests.support.northbound import in_loop


def divided(dividend: int, divisor: int) -> tuple[float, int]:
    return dividend / divisor, os.getpid()


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@in_loop
async def test_calls_are_answered_by_one_other_process_and_leave_the_loop_free():
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
async def test_a_worker_that_dies_is_said_and_replaced():
    solver = Solver()
    try:
        with pytest.raises(SolverDied, match="try again"):
            await solver.run(killed)
        assert (await solver.run(divided, 6, 3))[0] == 2.0
    finally:
        solver.close()


@in_loop
async def test_closing_ends_a_computation_that_does_not_end():
    solver = Solver()
    await solver.run(divided, 1, 1)
    endless = asyncio.create_task(solver.run(signal.pause))
    await asyncio.sleep(0)
    solver.close()
    with pytest.raises((SolverDied, asyncio.CancelledError)):
        await endless
