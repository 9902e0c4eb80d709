"""Real agents on loopback lines: two ways are cut at once, and the standbys of both share what is kept for one."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from router_agent.config import RouterConfig
from router_agent.transport import LineCarrier
from tests.support.agents import TinyController, running, set_carrier
from tests.support.shared_ways import BESIDE, SINK, SharedPlan, Wish
from topologies.emulator.ports import free_ports

FIRST, SECOND = 1, 2


def on_loopback(plan: SharedPlan, directory: Path, port: int) -> list[RouterConfig]:
    """The plan's routers, each line between two ports of this machine."""
    ends = sorted({(link.id, name) for name in plan.configs for link in plan.configs[name].links})
    ports = dict(zip(ends, free_ports(len(ends)), strict=True))
    return [
        replace(
            config,
            state_dir=str(directory / name),
            controllers=(f"127.0.0.1:{port}",),
            links=tuple(
                replace(
                    link,
                    interface="",
                    local=f"127.0.0.1:{ports[link.id, name]}",
                    remote=f"127.0.0.1:{ports[link.id, link.neighbor]}",
                    carrier_key="0123456789abcdef",
                )
                for link in config.links
            ),
        )
        for name, config in plan.configs.items()
    ]


async def delivered_w(controller: TinyController, seconds: float) -> dict[int, float]:
    """Of each circuit, on the average from now on."""

    def by_circuit(meters: power_link_pb.RouterMeters) -> dict[int, int]:
        sums: dict[int, int] = {}
        for each in meters.circuits:
            sums[each.circuit_id] = sums.get(each.circuit_id, 0) + each.delivered_mj
        return sums

    before = await controller.meters(SINK)
    await asyncio.sleep(seconds)
    after = await controller.meters(SINK)
    took_s = (after.time_ns - before.time_ns) / NS_PER_S
    then_mj = by_circuit(before)
    return {
        key: (energy_mj - then_mj[key]) / 1e3 / took_s
        for key, energy_mj in by_circuit(after).items()
    }


async def cut_both(controller: TinyController, configs: list[RouterConfig]) -> None:
    for number in (FIRST, SECOND):
        for config in configs:
            for link in config.links:
                if link.id == f"w{number}-{SINK}":
                    set_carrier(link, LineCarrier.DOWN)
    for number in (FIRST, SECOND):
        key = CircuitGeneration(number, 2)
        await controller.until(
            lambda key=key: FlowState.SWITCHED in controller.states(SINK, key)  # type: ignore[misc]
        )


async def scenario(plan: SharedPlan, controller: TinyController, directory: Path) -> None:
    configs = on_loopback(plan, directory, controller.port)
    async with running(configs, directory) as agents:
        await controller.until(
            lambda: all(
                len(up := controller.links_up(each.router_id)) == len(each.links)
                and all(up.values())
                for each in configs
            )
        )
        for txn_id, hops in enumerate(plan.hops.values(), start=1):
            await controller.program(hops, txn_id, plan.pools_at)
        for key in plan.hops:
            state = FlowState.CHARGED if key.generation == 2 else FlowState.ACTUATED
            await controller.until(
                lambda key=key, state=state: state in controller.states(SINK, key)  # type: ignore[misc]
            )
        await cut_both(controller, configs)
        await asyncio.sleep(0.5)
        power_w = await delivered_w(controller, 1.0)
        meters = {each.router_id: await controller.meters(each.router_id) for each in configs}
        assert all("Traceback" not in agent.output for agent in agents.values())
    assert power_w[BESIDE] == pytest.approx(plan.beside_w, rel=0.01)
    assert power_w[FIRST] == pytest.approx(plan.wishes[FIRST].power_w, rel=0.01)
    # What is left of a pool that is for the second alone.
    assert power_w[SECOND] == pytest.approx(0.4e6, rel=0.1)
    pool_mw = plan.pools["n"].received_power_w * 1e3
    (line,) = (link for link in meters["n"].links if link.link_id == "n-t")
    # Demands travel in whole milliwatts, rounded up at each hop.
    assert line.pool_used_mw <= line.pool_mw + 20
    assert line.pool_mw == pytest.approx(pool_mw)
    assert line.pool_wanted_mw == pytest.approx(1.6 * pool_mw, rel=0.01)
    for each in meters.values():
        assert not each.oversubscribed_instants
        assert not any(link.oversubscribed_instants for link in each.links)


def test_who_works_loses_nothing_and_the_higher_priority_is_served_first(tmp_path: Path) -> None:
    async def play() -> None:
        controller = TinyController()
        await controller.start()
        try:
            plan = SharedPlan([Wish(0.6e6, priority=1), Wish(1e6)], [SECOND])
            await scenario(plan, controller, tmp_path)
        finally:
            await controller.stop()

    asyncio.run(play())
