"""A controller's southbound half with a real server, and routers that say what a test wants them to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from controller.core.settings import CoreSettings
from controller.runtime.runtime import Runtime
from controller.southbound.service import SouthboundService, start_server
from controller.store.sqlite import SqliteStore
from digitalgrid.channels import asyncio_channel
from digitalgrid.convert import election_id_from_pb
from digitalgrid.convert_lsa import lsa_to_pb
from digitalgrid.model import LinkAdvertisement, RouterLsa
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1.southbound_pb2_grpc import SouthboundServiceStub
from tests.support.northbound import free_port
from tests.support.patience import PATIENCE_S


@dataclass
class House:
    """A controller's southbound half, and how to reach it."""

    runtime: Runtime
    service: SouthboundService
    address: str

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once the condition holds; it is asked again after every change of topology."""
        changed = asyncio.Event()
        self.runtime.feeds.topology.subscribe(changed.set)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    changed.clear()
                    await changed.wait()
        finally:
            self.runtime.feeds.topology.unsubscribe(changed.set)

    def usable(self, router_id: str) -> bool:
        router = self.runtime.view.routers.get(router_id)
        return router is not None and router.usable


class ScriptedRouter:
    """Says what a test wants it to say."""

    def __init__(self, address: str) -> None:
        self._channel = asyncio_channel(address)
        self.call = SouthboundServiceStub(self._channel).Session()

    async def say(self, **message: Any) -> None:
        await self.call.write(pb.RouterMessage(**message))

    async def hear(self) -> pb.ControllerMessage:
        async with asyncio.timeout(PATIENCE_S):
            message: pb.ControllerMessage = await self.call.read()
            return message

    async def end(self) -> tuple[grpc.StatusCode, str]:
        """The status, which comes after all that was said before it."""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(grpc.aio.AioRpcError):
                while isinstance(await self.call.read(), pb.ControllerMessage):
                    pass
            return await self.call.code(), await self.call.details()

    async def close(self) -> None:
        self.call.cancel()
        await self._channel.close()


@asynccontextmanager
async def house(path: Path) -> AsyncIterator[House]:
    runtime = Runtime(CoreSettings())
    runtime.lead(SqliteStore(path / "store.sqlite"))
    address = f"127.0.0.1:{free_port()}"
    server, service = await start_server(runtime, [address])
    try:
        yield House(runtime, service, address)
    finally:
        await server.stop(None)
        runtime.close()


def hello(router_id: str = "r1", **fields: Any) -> dict[str, pb.RouterHello]:
    values: dict[str, Any] = {
        "protocol_version": 1,
        "instance_id": b"device-1",
        "boot_id": 1,
        "session_no": 1,
    }
    return {"hello": pb.RouterHello(router_id=router_id, **(values | fields))}


def lsa(router_id: str = "r1", boot_id: int = 1, seq: int = 1) -> dict[str, Any]:
    neighbor_id = "r1" if router_id == "r2" else "r2"
    link = LinkAdvertisement("r1-r2", neighbor_id, 0.1, 20e3, 300.0)
    return {"lsa": lsa_to_pb(RouterLsa(router_id, boot_id, seq, 0.97, (link,)))}


def run(path: Path, story: Callable[[House], Awaitable[None]]) -> None:
    async def tell() -> None:
        async with house(path) as here:
            await story(here)

    asyncio.run(tell())


async def connect(here: House, **fields: Any) -> ScriptedRouter:
    router = ScriptedRouter(here.address)
    await router.say(**hello(**fields))
    greeting = await router.hear()
    assert greeting.hello.role == pb.CONTROLLER_ROLE_LEADER
    assert election_id_from_pb(greeting.hello.election_id) == here.runtime.election_id
    return router


async def in_step(here: House, *router_ids: str) -> list[ScriptedRouter]:
    routers = []
    for router_id in router_ids:
        router = await connect(here, router_id=router_id, instance_id=router_id.encode())
        await router.say(**lsa(router_id))
        await router.say(sync_done=pb.SyncDone())
        await here.until(lambda router_id=router_id: here.usable(router_id))  # type: ignore[misc]
        routers.append(router)
    return routers
