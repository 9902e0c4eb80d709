"""A router whose disk is full: its circuits run on, and what would have to be promised is refused until it can be."""

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.southbound.codec import result_from_pb
from digitalgrid.model import CircuitGeneration, ResultCode
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from digitalgrid.v1 import southbound_pb2 as pb
from router_agent.agent import Agent
from router_agent.config import LoadConfig, RouterConfig, SourceConfig
from router_agent.device.effects import SaveBooks
from tests.support.agents import TinyController
from tests.support.device_network import circuit_hops

KEY = CircuitGeneration(1, 1)
POWER_W = 2e6
ELECTED = power_link_pb.ElectionId(high=0, low=1)
WITHDRAW = pb.Withdraw(
    election_id=ELECTED, circuits=[pb.CircuitGeneration(circuit_id=1, generation=1)]
)


class Disk:
    """All that is synced and allocated goes through it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        for name in ("fdatasync", "posix_fallocate"):
            monkeypatch.setattr(os, name, self._guarded(getattr(os, name)))

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any) -> Any:
            if self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*arguments)

        return guarded


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[tuple[TinyController, Agent]]:
    """A router that feeds its own load, as told by a controller that has no election id yet."""
    controller = TinyController()
    await controller.start()
    config = RouterConfig(
        router_id="a",
        state_dir=str(directory),
        controllers=(f"127.0.0.1:{controller.port}",),
        links=(),
        sources=(SourceConfig("pv-a", 15e6),),
        loads=(LoadConfig("town-a", 5e6),),
    )
    agent, stop = Agent(config, asyncio.get_running_loop()), asyncio.Event()
    runs = asyncio.create_task(agent.run(stop))
    try:
        await controller.until(lambda: bool(controller.heard("a", "sync_done")))
        await controller.program(circuit_hops(KEY, 1, [config], POWER_W, {}), txn_id=1)
        await controller.until(lambda: pb.FLOW_STATE_ACTUATED in controller.states("a", KEY))
        yield controller, agent
        assert not runs.done()
    finally:
        stop.set()
        await runs
        await controller.stop()


async def still_fed(controller: TinyController) -> None:
    before = await controller.meters("a")
    await asyncio.sleep(0.3)
    after = await controller.meters("a")
    took_s = (after.time_ns - before.time_ns) / NS_PER_S
    delivered_w = (after.loads[0].delivered_mj - before.loads[0].delivered_mj) / 1e3 / took_s
    assert delivered_w == pytest.approx(POWER_W, rel=1e-3)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of the router: gRPC's poller complains to asyncio of wake-ups that others have read."""
    return [
        each.getMessage()
        for each in caplog.records
        if each.levelno >= logging.ERROR and each.name.startswith("router_agent")
    ]


def test_a_change_that_cannot_be_made_durable_is_refused_and_made_later(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def play() -> None:
        async with serving(tmp_path) as (controller, agent):
            disk.full = True
            session = controller.sessions["a"]
            for _ in range(3):
                refused = await controller.result("a", withdraw=WITHDRAW)
                assert refused.code == pb.RESULT_CODE_NOT_DURABLE
                assert "No space left" in refused.message
                # The controller takes it for nobody's fault, and asks again.
                assert result_from_pb(refused).code is ResultCode.NOT_DURABLE
                assert [each.code for each in refused.entries] == [pb.RESULT_CODE_NOT_DURABLE]
            await still_fed(controller)
            assert [each.key for each in agent.device.table.hops] == [KEY]
            disk.full = False
            assert (await controller.result("a", withdraw=WITHDRAW)).code == pb.RESULT_CODE_OK
            assert agent.device.table.hops == []
            assert controller.sessions["a"] is session and not session.ended

    asyncio.run(play())
    assert len(errors(caplog)) == 1
    assert "changes are refused" in errors(caplog)[0]
    assert "the disk works again" in caplog.text


def test_a_greeting_that_cannot_be_made_durable_is_not_accepted_until_it_can(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        async with serving(tmp_path) as (controller, agent):
            disk.full = True
            controller.elected = power_link_pb.ElectionId(high=0, low=2)
            hello = pb.ControllerHello(
                protocol_version=1,
                role=pb.CONTROLLER_ROLE_LEADER,
                election_id=controller.elected,
            )
            first = controller.sessions["a"]
            await controller.say("a", hello=hello)
            await controller.until(lambda: first.ended)
            await controller.until(lambda: controller.sessions["a"].hello.session_no >= 3)
            assert agent.device.table.highest_election_id.low == 1
            assert agent.device.demand_mw == POWER_W * 1e3
            disk.full = False
            await controller.until(lambda: bool(controller.heard("a", "sync_done")))
            assert agent.device.table.highest_election_id.low == 2
            await still_fed(controller)

    asyncio.run(play())
    assert len(errors(caplog)) == 1


def test_meters_that_cannot_be_saved_do_not_stop_the_router(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        async with serving(tmp_path) as (controller, agent):
            # As if circuits had come for whose meters the disk has no page.
            agent._meters._slots._room = 0
            disk.full = True
            for _ in range(3):
                agent._carry_out([SaveBooks()])
            await still_fed(controller)

    asyncio.run(play())
    assert len(errors(caplog)) == 1
    assert "meters cannot be saved" in errors(caplog)[0]
