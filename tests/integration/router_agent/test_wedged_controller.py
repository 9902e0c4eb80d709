"""A controller that reads nothing, or is cut off without a word: what the router keeps for it, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from digitalgrid.model import PROTOCOL_VERSION
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1 import southbound_pb2_grpc as pb_grpc
from router_agent import session
from router_agent.agent import Agent
from router_agent.config import RouterConfig
from tests.support.patience import PATIENCE_S
from tests.support.wire import Wire, noticed_within_a_second

MOST = 50


class Wedged(pb_grpc.SouthboundServiceServicer):
    """Greets, then does nothing; gRPC's own threads answer pings."""

    def __init__(self) -> None:
        self.sessions = 0

    async def Session(self, request_iterator: object, context: "grpc.aio.ServicerContext") -> None:
        await context.read()
        hello = pb.ControllerHello(protocol_version=PROTOCOL_VERSION)
        await context.write(pb.ControllerMessage(hello=hello))
        self.sessions += 1
        await asyncio.Event().wait()


async def reached(controller: Wedged, sessions: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while controller.sessions < sessions:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def playing(directory: Path) -> AsyncIterator[tuple[Wedged, Agent, Wire]]:
    controller, server = Wedged(), grpc.aio.server()
    pb_grpc.add_SouthboundServiceServicer_to_server(controller, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with Wire(f"127.0.0.1:{port}") as wire:
        config = RouterConfig(
            router_id="a", state_dir=str(directory), controllers=(wire.address,), links=()
        )
        agent, stop = Agent(config, asyncio.get_running_loop()), asyncio.Event()
        runs = asyncio.create_task(agent.run(stop))
        try:
            await reached(controller, 1)
            yield controller, agent, wire
            assert not runs.done()
        finally:
            stop.set()
            await runs
            await server.stop(0)


def test_what_waits_for_it_is_bounded_and_it_is_dialled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_OUTBOX_MESSAGES", MOST)

    async def play() -> None:
        async with playing(tmp_path) as (controller, agent, _):
            (talk,) = agent._sessions
            for _ in range(100):
                for _ in range(100):
                    talk.advertise(agent.device.lsa())
                assert talk._outbox is None or len(talk._outbox) <= MOST
                await asyncio.sleep(0.001)
            await reached(controller, 2)

    asyncio.run(play())


def test_one_that_is_cut_off_without_a_word_is_dialled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = noticed_within_a_second(session._CHANNEL_OPTIONS)
    monkeypatch.setattr(session, "_CHANNEL_OPTIONS", options)

    async def play() -> None:
        async with playing(tmp_path) as (controller, _, wire):
            wire.cut()
            await reached(controller, 2)

    asyncio.run(play())
