"""Limits at the clients' door: who connects and says nothing is closed, and those that stand are served meanwhile."""

import asyncio
import time

import pytest

from controller.computing.optimiser import Optimiser
from controller.computing.solver import Solver
from controller.core.optimising.moves import ReoptimiseLimits
from controller.core.settings import CoreSettings
from controller.northbound.server import start_server
from controller.northbound.services import Services
from controller.runtime.runtime import Runtime
from controller.watching.budget import Budget
from controller.watching.gate import Gate
from digitalgrid.client import AsyncPowerClient
from digitalgrid.rpc.limits import ServerLimits
from tests.support.attached_grid import MemoryStore
from tests.support.northbound import free_port, in_loop, read_meters

_LIMITS = ServerLimits(connections=20, streams=256, handshake_s=0.5, idle_s=1.0)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize("said", [b"", _PREFACE[:9], _PREFACE], ids=["silence", "half", "no call"])
def test_whoever_connects_and_makes_no_call_is_closed(said: bytes) -> None:
    @in_loop
    async def story() -> None:
        runtime, solver = Runtime(CoreSettings()), Solver()
        runtime.lead(MemoryStore())
        port = free_port()
        address = f"127.0.0.1:{port}"
        optimiser = Optimiser(runtime, solver, ReoptimiseLimits())
        services = Services(runtime, optimiser, Gate(Budget()), read_meters)
        server = await start_server(services, address, _LIMITS)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            began_s = time.monotonic()
            async with AsyncPowerClient(address) as client:
                assert not (await client.list_circuits()).circuits
                try:
                    async with asyncio.timeout(6):
                        while await reader.read(1 << 16):
                            pass
                except ConnectionResetError:
                    pass
                assert time.monotonic() - began_s < 4
                assert not (await client.list_circuits()).circuits
            writer.close()
        finally:
            await server.stop(None)
            solver.close()
            runtime.close()

    story()
