"""A northbound server on loopback, over a real core and simulated routers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import grpc

from controller.computing.optimiser import Optimiser
from controller.computing.proposing import MAX_COMPARED_S, WITHIN_S, Proposer
from controller.computing.solver import Solver
from controller.core.circuits.resources import Resource
from controller.core.invariants import broken_invariants
from controller.core.optimising.moves import ReoptimiseLimits
from controller.core.settings import CoreSettings
from controller.northbound.server import start_server
from controller.northbound.services import Services
from controller.plugins import LEAST_LOSS
from controller.runtime.runtime import Runtime
from controller.watching.budget import Budget
from controller.watching.gate import Gate
from controller.watching.meter_look import MeterLook
from digitalgrid.channels import asyncio_channel
from digitalgrid.client import AsyncPowerClient
from digitalgrid.gridfile import Grid
from digitalgrid.v1.northbound_pb2_grpc import (
    OptimisationServiceStub,
    PowerServiceStub,
    TopologyServiceStub,
)
from digitalgrid.v1.power_link_pb2 import LoadMeter, RouterMeters, SourceMeter
from tests.support.attached_grid import AttachedGrid, MemoryStore
from tests.support.grids import diamond
from tests.support.patience import PATIENCE_S
from topologies.emulator.ports import free_ports


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a coroutine test in a loop of its own, whose background exceptions fail it."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        unhandled: list[dict[str, Any]] = []

        def note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            # grpc has one poller for the process; at times it still wakes an earlier test's loop.
            if "PollerCompletionQueue" not in context["message"]:
                unhandled.append(context)

        async def guarded() -> None:
            asyncio.get_running_loop().set_exception_handler(note)
            await asyncio.wait_for(test(**fixtures), PATIENCE_S)

        asyncio.run(guarded())
        assert not unhandled, unhandled

    return run


async def until(condition: Callable[[], bool]) -> None:
    """For what announces itself to nobody; the test's own timeout ends a wait in vain."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


def free_port() -> int:
    (port,) = free_ports(1)
    return port


@dataclass
class Northbound:
    runtime: Runtime
    store: MemoryStore
    grid: AttachedGrid
    client: AsyncPowerClient
    channel: grpc.aio.Channel
    address: str
    server: grpc.aio.Server
    optimiser: Optimiser
    gate: Gate
    services: Services
    # Listeners that the server has from its start to its end.
    standing: tuple[int, int]

    @property
    def watched(self) -> bool:
        """Whether anybody listens to circuits or the topology for a client."""
        return _listeners(self.runtime) != self.standing

    @property
    def power(self) -> PowerServiceStub:
        return PowerServiceStub(self.channel)

    @property
    def optimisation(self) -> OptimisationServiceStub:
        return OptimisationServiceStub(self.channel)

    @property
    def topology(self) -> TopologyServiceStub:
        return TopologyServiceStub(self.channel)

    def reserved(self) -> dict[Resource, float]:
        """Everything that is held for anybody; checks the sums on the way."""
        assert broken_invariants(self.runtime.questions) == []
        return self.runtime.questions.reserved()


def _listeners(runtime: Runtime) -> tuple[int, int]:
    return len(runtime.feeds.circuits), len(runtime.feeds.topology)


async def read_meters() -> tuple[list[RouterMeters], list[str]]:
    return [RouterMeters(router_id="r1", converter_loss_mj=7)], ["r2"]


async def balanced_meters() -> tuple[list[RouterMeters], list[str]]:
    """10 J were injected, 9 delivered, one lost."""
    injected, delivered = SourceMeter(injected_mj=10_000), LoadMeter(delivered_mj=9_000)
    meters = RouterMeters(
        router_id="r1", converter_loss_mj=1_000, sources=[injected], loads=[delivered]
    )
    return [meters], []


def balanced(api: Northbound) -> MeterLook:
    """A look at meters whose books balance."""
    return MeterLook(balanced_meters, lambda: api.runtime.view)


@asynccontextmanager
async def northbound(
    grid: Grid | None = None,
    *,
    connected: bool = True,
    algorithm: str = LEAST_LOSS,
    within_s: float = WITHIN_S,
    compared_within_s: float = MAX_COMPARED_S,
) -> AsyncIterator[Northbound]:
    store = MemoryStore()
    runtime = Runtime(CoreSettings())
    runtime.lead(store)
    attached = AttachedGrid(runtime, grid or diamond())
    if connected:
        attached.connect()
    address = f"127.0.0.1:{free_port()}"
    solver, gate = Solver(), Gate(Budget())
    optimiser = Optimiser(runtime, solver, ReoptimiseLimits(least_gain_fraction=0.0))
    proposer = Proposer(runtime, algorithm, within_s, compared_within_s)
    services = Services(runtime, optimiser, gate, read_meters, proposer)
    await proposer.start()
    server = await start_server(services, address)
    client = AsyncPowerClient(address, timeout_s=PATIENCE_S)
    try:
        async with asyncio_channel(address) as channel:
            yield Northbound(
                *(runtime, store, attached, client, channel, address, server, optimiser, gate),
                services,
                _listeners(runtime),
            )
    finally:
        await client.close()
        await server.stop(None)
        services.close()
        solver.close()
        runtime.close()
