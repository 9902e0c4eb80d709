"""A controller whose connection lives and which reads nothing: the router keeps only so much for it."""

import asyncio
from pathlib import Path

import grpc
import pytest

from digitalgrid.model import PROTOCOL_VERSION
from digitalgrid.v1 import southbound_pb2 as pb
from digitalgrid.v1 import southbound_pb2_grpc as pb_grpc
from router_agent import session
from router_agent.agent import Agent
from router_agent.config import RouterConfig

MOST = 50


class Wedged(pb_grpc.SouthboundServiceServicer):
    """Greets, then does nothing; gRPC's own threads answer pings."""

    def __init__(self) -> None:
        self.sessions = 0

    async def Session(  # noqa: N802
        self, request_iterator: object, context: "grpc.aio.ServicerContext"
    ) -> None:
        await context.read()
        hello = pb.ControllerHello(protocol_version=PROTOCOL_VERSION)
        await context.write(pb.ControllerMessage(hello=hello))
        self.sessions += 1
        await asyncio.Event().wait()


async def reached(controller: Wedged, sessions: int) -> None:
    async with asyncio.timeout(10.0):
        while controller.sessions < sessions:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_what_waits_for_it_is_bounded_and_it_is_dialled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_OUTBOX_MESSAGES", MOST)

    async def play() -> None:
        controller, server = Wedged(), grpc.aio.server()
        pb_grpc.add_SouthboundServiceServicer_to_server(controller, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        config = RouterConfig(
            router_id="a",
            state_dir=str(tmp_path),
            controllers=(f"127.0.0.1:{port}",),
            links=(),
        )
        agent, stop = Agent(config, asyncio.get_running_loop()), asyncio.Event()
        runs = asyncio.create_task(agent.run(stop))
        (talk,) = agent._sessions
        await reached(controller, 1)
        for _ in range(100):
            for _ in range(100):
                talk.advertise(agent.device.lsa())
            assert talk._outbox is None or talk._outbox.qsize() <= MOST
            await asyncio.sleep(0.001)
        await reached(controller, 2)
        assert not runs.done()
        stop.set()
        await runs
        await server.stop(0)

    asyncio.run(play())
