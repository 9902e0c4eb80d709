"""A defect in one session ends neither the router nor the session for good."""

import asyncio
from pathlib import Path

import pytest

from digitalgrid.v1 import power_link_pb2 as power_link_pb
from digitalgrid.v1 import southbound_pb2 as pb
from router_agent import session
from router_agent.codec import meters_to_pb
from router_agent.device.device import RouterDevice
from tests.integration.router_agent.test_full_disk import POWER_W, serving, still_fed


def test_a_session_that_fails_begins_anew_and_the_router_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = meters_to_pb, 0

    def failing_once(device: RouterDevice, now_ns: int) -> power_link_pb.RouterMeters:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("Value out of range")
        return real(device, now_ns)

    monkeypatch.setattr(session, "meters_to_pb", failing_once)

    async def play() -> None:
        async with serving(tmp_path) as (controller, agent):
            first = controller.sessions["a"]
            await controller.say("a", read_meters=pb.ReadMeters(read_id=1))
            await controller.until(lambda: controller.sessions["a"] is not first)
            await controller.until(lambda: bool(controller.heard("a", "sync_done")))
            await still_fed(controller)
            assert agent.device.demand_mw == POWER_W * 1e3

    asyncio.run(play())
