"""A defect in a callback leaves no router that holds its sessions and does nothing."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from digitalgrid.convert import hop_to_pb
from digitalgrid.counters import COUNTERS
from digitalgrid.model import ElectionId, HopSnapshot, Operation
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from digitalgrid.v1 import southbound_pb2 as pb
from router_agent.agent import Agent
from router_agent.config import LoadConfig, RouterConfig, SourceConfig
from router_agent.device.effects import SaveBooks, SendDatagram
from router_agent.device.mutation import Mutation
from router_agent.failures import DeviceFailedError
from router_agent.limits import SOURCE_LIMITS
from tests.support.agents import TinyController
from tests.support.patience import PATIENCE_S

WAIT_S = 10.0


def config(directory: Path) -> RouterConfig:
    return RouterConfig(
        router_id="r1",
        state_dir=str(directory),
        controllers=(),
        tick_interval_ms=10,
        sources=(SourceConfig("pv"),),
        loads=(LoadConfig("town"),),
    )


def run(directory: Path, story: Callable[[Agent, asyncio.Event], Awaitable[None]]) -> None:
    """The agent beside a story that may hurt it; what ends the agent ends both."""

    async def both() -> None:
        stop = asyncio.Event()
        agent = Agent(config(directory), asyncio.get_running_loop())
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            group.create_task(agent.run(stop))
            await story(agent, stop)

    asyncio.run(both())


class Failing:
    """Stands before a method, and fails as often as it is told."""

    def __init__(self, agent: Agent, name: str, times: int) -> None:
        self.calls = 0
        self.well = asyncio.Event()
        self._times = times
        self._real = getattr(agent.device, name)
        setattr(agent.device, name, self)

    def __call__(self, *arguments: object) -> object:
        self.calls += 1
        if self.calls <= self._times:
            raise ValueError("a defect")
        self.well.set()
        return self._real(*arguments)


def failures(of: str) -> int:
    return COUNTERS.value("agent_failures", of)


def test_a_tick_that_fails_is_counted_logged_once_and_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = failures("the timer")

    async def story(agent: Agent, stop: asyncio.Event) -> None:
        await Failing(agent, "timer", times=3).well.wait()
        stop.set()

    run(tmp_path, story)
    assert failures("the timer") == before + 3
    logged = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert [each.getMessage() for each in logged] == [
        "the timer failed; the device is whole and goes on"
    ]


def test_a_tick_that_fails_for_ever_ends_the_process(tmp_path: Path) -> None:
    async def story(agent: Agent, stop: asyncio.Event) -> None:
        Failing(agent, "timer", times=10**9)
        # Leaving must not hide the cause.
        Failing(agent, "stop", times=1)

    with pytest.raises(ExceptionGroup) as ended:
        run(tmp_path, story)
    (error,) = ended.value.exceptions
    assert isinstance(error, DeviceFailedError)
    assert "the timer failed, and it fails again and again: ValueError('a defect')" in str(error)


def test_a_device_that_is_not_whole_any_more_ends_at_once(tmp_path: Path) -> None:
    async def story(agent: Agent, stop: asyncio.Event) -> None:
        agent.device.books.dissipated_mj += 1
        Failing(agent, "timer", times=1)

    with pytest.raises(ExceptionGroup) as ended:
        run(tmp_path, story)
    assert "-1 mJ out of balance" in str(ended.value.exceptions[0])


def test_an_effect_that_fails_keeps_no_other_from_being_carried_out(tmp_path: Path) -> None:
    before = failures("SendDatagram")

    async def story(agent: Agent, stop: asyncio.Event) -> None:
        seq = agent._meters._seq
        agent._carry_out([SendDatagram("no such line", b""), SaveBooks()])
        assert agent._meters._seq == seq + 1
        stop.set()

    run(tmp_path, story)
    assert failures("SendDatagram") == before + 1


def test_what_fails_when_leaving_keeps_nothing_else_from_being_closed(tmp_path: Path) -> None:
    async def story(agent: Agent, stop: asyncio.Event) -> None:
        Failing(agent, "stop", times=1)
        stop.set()

    run(tmp_path, story)
    run(tmp_path, story)


def test_sources_have_the_limits_of_their_file_also_after_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / SOURCE_LIMITS

    def limit_w(agent: Agent) -> float:
        return agent.device.lsa().sources[0].max_power_w

    async def cloud(agent: Agent, stop: asyncio.Event) -> None:
        assert limit_w(agent) == 1e6
        path.write_text("sources: [{id: pv, power_w: 0.6e6}]")
        agent.read_limits()
        assert limit_w(agent) == 0.6e6
        path.write_text("sources: [{id: gas, power_w: 1}]")
        agent.read_limits()
        assert limit_w(agent) == 0.6e6
        assert "router 'r1' has no source 'gas'" in caplog.text
        path.write_text("sources: [{id: pv, power_w: 0.3e6}]")
        stop.set()

    async def after(agent: Agent, stop: asyncio.Event) -> None:
        # The agent's own turn comes first.
        await asyncio.sleep(0)
        assert limit_w(agent) == 0.3e6
        path.unlink()
        agent.read_limits()
        assert limit_w(agent) == 1e6
        path.write_text("sources: [{id: pv, power_w: ")
        stop.set()

    async def damaged(agent: Agent, stop: asyncio.Event) -> None:
        await asyncio.sleep(0)
        assert limit_w(agent) == 1e6
        assert "those that were read last hold, after a start none" in caplog.text
        path.write_text("sources: [{id: pv, power_w: 0.2e6}]")
        agent.read_limits()
        assert limit_w(agent) == 0.2e6
        stop.set()

    run(tmp_path, cloud)
    run(tmp_path, after)
    caplog.clear()
    run(tmp_path, damaged)


def test_the_time_that_a_router_was_dead_is_missing_by_the_clock_on_the_wall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    power_w, away_s = 1000.0, 5
    hop = HopSnapshot(7, 1, 1, power_w, 1500.0, power_w, power_w, source_id="pv", load_id="town")

    async def promise(agent: Agent, stop: asyncio.Event) -> None:
        for operation, hops in ((Operation.STAGE, (hop,)), (Operation.COMMIT, ())):
            order = Mutation(operation, "c", ElectionId(0, 1), 1, hops, lease_ns=NS_PER_S)
            agent.mutate(order, lambda outcome: None)
        stop.set()

    async def look(agent: Agent, stop: asyncio.Event) -> None:
        missing_mj.append(agent.device.books.promises[7].missing_mj)
        stop.set()

    missing_mj: list[int] = []
    run(tmp_path, promise)
    wall_ns = time.time_ns
    monkeypatch.setattr("router_agent.agent.time.time_ns", lambda: wall_ns() + away_s * NS_PER_S)
    run(tmp_path, look)
    assert away_s <= missing_mj[0] / (1000 * power_w) < away_s + WAIT_S
    run(tmp_path, look)
    assert missing_mj[1] - missing_mj[0] < WAIT_S * 1000 * power_w, "and no second time"


def test_an_order_that_is_refused_is_in_the_log_with_its_ids_in_fields(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    hop = HopSnapshot(7, 2, 1, 1e3, 1500.0, 1e3, 1e3, source_id="pv", load_id="nowhere")

    async def refused() -> None:
        controller, stop = TinyController(), asyncio.Event()
        await controller.start()
        address = f"127.0.0.1:{controller.port}"
        told = replace(config(tmp_path), controllers=(address,))
        agent = Agent(told, asyncio.get_running_loop())
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            group.create_task(agent.run(stop))
            await controller.until(lambda: bool(controller.heard("r1", "sync_done")))
            stage = pb.Stage(
                election_id=power_link_pb.ElectionId(low=1), txn_id=5, hops=[hop_to_pb(hop)]
            )
            traceparents = [f"00-{trace_id}-b7ad6b7169203331-01"]
            await controller.result("r1", stage=stage, traceparents=traceparents)
            stop.set()
        await controller.stop()
        [line] = [each for each in caplog.records if hasattr(each, "transaction")]
        assert line.getMessage().startswith(f"controller {address}: STAGE 5 is answered ")
        known = line.__dict__
        assert (known["controller"], known["transaction"]) == (address, 5)
        assert (known["circuit_id"], known["generation"]) == (7, 2)
        assert known["trace_id"] == trace_id

    asyncio.run(refused())
