"""A promise that waits is served by moves that the worker finds: real loop, real worker process, simulated routers."""

import asyncio

import pytest

from controller.computing.optimiser import Optimiser
from controller.computing.solver import Solver
from controller.core.circuits.circuit import CircuitState, Constraints
from controller.core.circuits.request import PowerRequest
from controller.core.optimising.moves import ReoptimiseLimits
from controller.core.settings import CoreSettings
from controller.runtime.runtime import Runtime
from tests.support.attached_grid import AttachedGrid, MemoryStore
from tests.support.calls import call
from tests.support.grids import diamond
from tests.support.northbound import in_loop, until
from tests.support.there import newest


def admit(runtime: Runtime, name: str, power_w: float, limits: Constraints) -> int:
    request = PowerRequest(name, "town", power_w, ("solar",), limits)
    (circuit,) = runtime.handle(call(), lambda core, now_ns: core.request(request, now_ns))
    return circuit.circuit_id


@in_loop
async def test_who_can_go_another_way_makes_room_for_who_cannot() -> None:
    runtime = Runtime(CoreSettings())
    runtime.lead(MemoryStore())
    grid = AttachedGrid(runtime, diamond())
    grid.connect()
    solver = Solver()
    optimiser = Optimiser(runtime, solver, ReoptimiseLimits())
    working = asyncio.create_task(optimiser.make_room_when_wanted())
    circuits = runtime.questions.circuits
    try:
        waits = admit(runtime, "waits", 4e6, Constraints(avoid_ids=("r3",)))
        await until(lambda: circuits[waits].state is CircuitState.ACTIVE)
        grid.cut("r1-r2")
        await until(lambda: circuits[waits].state is CircuitState.WAITING)
        await until(lambda: not runtime.questions.reserved())
        grid.mend("r1-r2")
        # Before it is tried again the better way is taken by one that could go the other.
        stays = admit(runtime, "stays", 3e6, Constraints())
        assert "r2" in newest(circuits[stays]).route.router_ids
        await until(lambda: circuits[waits].state is CircuitState.ACTIVE)
        await until(lambda: circuits[stays].state is CircuitState.ACTIVE)
        assert "r3" in newest(circuits[stays]).route.router_ids
        assert circuits[stays].interruptions == 0
    finally:
        working.cancel()
        solver.close()
        runtime.close()


@in_loop
async def test_a_solver_that_fails_does_not_end_the_making_of_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = Runtime(CoreSettings())
    solver = Solver()
    optimiser = Optimiser(runtime, solver, ReoptimiseLimits())
    asked = 0

    async def fails() -> None:
        nonlocal asked
        asked += 1
        raise RuntimeError("HiGHS ends without an optimum")

    monkeypatch.setattr(optimiser, "_make_room", fails)
    working = asyncio.create_task(optimiser.make_room_when_wanted())
    try:
        await asyncio.sleep(0)
        runtime.feeds.room.publish()
        await until(lambda: asked == 1)
        runtime.feeds.room.publish()
        await until(lambda: asked == 2)
        assert "no making room this time: HiGHS" in caplog.text
        assert not working.done()
    finally:
        working.cancel()
        solver.close()
        runtime.close()
