"""Three real agents on loopback lines: one circuit, to the millijoule, through what can go wrong."""

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import power_link_pb2 as power_link_pb
from digitalgrid.v1 import southbound_pb2 as pb
from router_agent.config import LinkConfig, LoadConfig, RouterConfig, SourceConfig
from router_agent.transport import LineCarrier
from tests.support.agents import AgentProcess, TinyController, running, set_carrier
from tests.support.device_network import circuit_hops
from topologies.emulator.ports import free_ports

KEY = CircuitGeneration(1, 1)
POWER_W = 2e6
ARRIVED, ACTUATED, STARVED, DRAINED = 1, 2, 3, 4

Scenario = Callable[["Chain"], Awaitable[None]]


class Chain:
    """Agents a - b - c; the circuit runs from a to c."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.controller = TinyController()
        self.configs: list[RouterConfig] = []
        self.agents: dict[str, AgentProcess] = {}

    async def play(self, scenario: Scenario) -> None:
        await self.controller.start()
        self.configs = self._configs(self.controller.port)
        try:
            async with running(self.configs, self._directory) as self.agents:
                await self.until_up()
                await scenario(self)
                for agent in self.agents.values():
                    assert await agent.end(signal.SIGTERM) == 0
        finally:
            await self.controller.stop()
        for agent in self.agents.values():
            assert "Traceback" not in agent.output, agent.output

    def _configs(self, port: int) -> list[RouterConfig]:
        ports = free_ports(4, socket.SOCK_DGRAM)
        lines = {("a", "b"): ports[:2], ("b", "c"): ports[2:]}
        configs = []
        for name in "abc":
            links = []
            for ends, addresses in lines.items():
                if name in ends:
                    mine = ends.index(name)
                    links.append(
                        LinkConfig(
                            id="".join(ends),
                            neighbor=ends[1 - mine],
                            resistance_ohm=0.48,
                            ampacity_a=700.0,
                            local=f"127.0.0.1:{addresses[mine]}",
                            remote=f"127.0.0.1:{addresses[1 - mine]}",
                            carrier_key="0123456789abcdef",
                        )
                    )
            configs.append(
                RouterConfig(
                    router_id=name,
                    state_dir=str(self._directory / name),
                    controllers=(f"127.0.0.1:{port}",),
                    links=tuple(links),
                    sources=(SourceConfig(f"pv-{name}", 15e6),),
                    loads=(LoadConfig(f"town-{name}", 5e6),),
                )
            )
        return configs

    async def until_up(self) -> None:
        await self.controller.until(
            lambda: all(
                len(links := self.controller.links_up(config.router_id)) == len(config.links)
                and all(links.values())
                for config in self.configs
            )
        )

    async def until_state(self, state: int, times: int = 1) -> None:
        await self.controller.until(lambda: self.controller.states("c", KEY).count(state) >= times)

    async def serve(self) -> None:
        await self.controller.program(circuit_hops(KEY, 1, self.configs, POWER_W, {}), txn_id=1)
        await self.until_state(ACTUATED)

    async def release(self) -> None:
        await self.controller.drain("c", KEY)
        await self.until_state(DRAINED)
        for name in "abc":
            await self.controller.withdraw(name, KEY)

    async def quiet_meters(self) -> dict[str, power_link_pb.RouterMeters]:
        """The books once nothing is under way, checked against each other."""
        meters = {name: await self.controller.meters(name) for name in "abc"}
        for each in meters.values():
            into = sum(link.received_mj for link in each.links)
            into += sum(source.injected_mj for source in each.sources)
            out = sum(link.sent_mj for link in each.links)
            out += sum(load.delivered_mj for load in each.loads)
            assert into == out + each.converter_loss_mj + each.dissipated_mj
            assert each.buffered_mj == each.demand_mw == each.oversubscribed_instants == 0
            # By two clocks: one that only goes on, and the one on the wall.
            assert each.time_ns > 0
            assert abs(each.time_unix_ns - time.time_ns()) < 60 * NS_PER_S
            assert each.max_formula_deviation_mj <= 1.0
            assert all(link.lost_in_transit_mj == 0 for link in each.links)
        for sender, receiver, link_id in (("a", "b", "ab"), ("b", "c", "bc")):
            sent, received = link_of(meters[sender], link_id), link_of(meters[receiver], link_id)
            arrived = received.received_mj + received.lost_to_faults_mj
            assert sent.sent_mj == sent.line_loss_mj + arrived
        return meters


def link_of(meters: power_link_pb.RouterMeters, link_id: str) -> power_link_pb.LinkMeter:
    return next(link for link in meters.links if link.link_id == link_id)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def test_one_circuit_to_the_millijoule(chain: Chain) -> None:
    async def scenario(chain: Chain) -> None:
        await chain.serve()
        before = await chain.controller.meters("c")
        await asyncio.sleep(1.0)
        after = await chain.controller.meters("c")
        delivered_mj = after.loads[0].delivered_mj - before.loads[0].delivered_mj
        seconds = (after.time_ns - before.time_ns) / NS_PER_S
        assert delivered_mj / 1e3 / seconds == pytest.approx(POWER_W, rel=1e-3)
        await chain.release()
        meters = await chain.quiet_meters()
        assert all(each.dissipated_mj == 0 for each in meters.values())
        assert all(link.lost_to_faults_mj == 0 for m in meters.values() for link in m.links)
        assert meters["c"].circuits[0].delivered_mj == meters["c"].loads[0].delivered_mj > 0

    asyncio.run(chain.play(scenario))


def test_a_cut_line_is_told_at_once_and_power_returns_with_it(chain: Chain) -> None:
    async def scenario(chain: Chain) -> None:
        await chain.serve()
        ends = [link for config in chain.configs for link in config.links if link.id == "ab"]
        for end in ends:
            set_carrier(end, LineCarrier.DOWN)
        await chain.until_state(STARVED)
        await chain.controller.until(lambda: not chain.controller.links_up("a")["ab"])
        for end in ends:
            set_carrier(end, LineCarrier.UP)
        await chain.until_state(ACTUATED, times=2)
        await chain.release()
        await chain.quiet_meters()

    asyncio.run(chain.play(scenario))


def test_a_silent_line_is_noticed_by_missed_frames(chain: Chain) -> None:
    async def scenario(chain: Chain) -> None:
        await chain.serve()
        set_carrier(chain.configs[1].links[0], LineCarrier.SILENT)
        await chain.until_state(STARVED)
        await chain.controller.until(lambda: not chain.controller.links_up("a")["ab"])
        set_carrier(chain.configs[1].links[0], LineCarrier.UP)
        await chain.until_state(ACTUATED, times=2)
        await chain.release()
        meters = await chain.quiet_meters()
        assert link_of(meters["b"], "ab").lost_to_faults_mj > 0

    asyncio.run(chain.play(scenario))


def test_a_router_killed_in_flight_keeps_its_books(chain: Chain) -> None:
    async def scenario(chain: Chain) -> None:
        await chain.serve()
        first = chain.controller.sessions["b"]
        await chain.agents["b"].end(signal.SIGKILL)
        await chain.until_state(STARVED)
        await chain.agents["b"].start()
        await chain.controller.until(lambda: chain.controller.sessions["b"] is not first)
        await chain.until_up()
        hello = chain.controller.sessions["b"].hello
        assert hello.instance_id == first.hello.instance_id
        assert hello.boot_id == first.hello.boot_id + 1
        assert hello.highest_election_id.low == 1 and hello.table_version == 0
        hops = circuit_hops(KEY, 1, chain.configs, POWER_W, {})
        await chain.controller.program({"b": hops["b"]}, txn_id=2)
        await chain.until_state(ACTUATED, times=2)
        await chain.release()
        meters = await chain.quiet_meters()
        assert meters["b"].dissipated_mj > 0

    asyncio.run(chain.play(scenario))


def test_a_controller_that_is_gone_costs_nothing_and_is_dialled_again(chain: Chain) -> None:
    async def scenario(chain: Chain) -> None:
        await chain.serve()
        port = chain.controller.port
        await chain.controller.stop()
        chain.controller = TinyController()
        await chain.controller.start(port)
        await chain.until_up()
        session = chain.controller.sessions["c"]
        assert session.hello.session_no > 1
        await chain.controller.until(lambda: bool(chain.controller.heard("c", "sync_done")))
        assert chain.controller.states("c", KEY) == [ACTUATED]
        await chain.controller.say("c", read_table=pb.ReadTable(read_id=4))
        await chain.controller.until(lambda: bool(chain.controller.heard("c", "table")))
        table = chain.controller.heard("c", "table")[0].table
        assert [hop.circuit_id for hop in table.hops] == [1] and table.read_id == 4
        assert table.table_version == session.hello.table_version
        meters = await chain.controller.meters("c")
        assert meters.circuits[0].missed_ticks == 0
        await chain.release()
        await chain.quiet_meters()

    asyncio.run(chain.play(scenario))


def test_a_hop_that_makes_no_sense_is_answered_and_hurts_nobody(chain: Chain) -> None:
    async def scenario(chain: Chain) -> None:
        election_id = power_link_pb.ElectionId(low=1)
        for hop in (
            pb.HopSnapshot(),
            pb.HopSnapshot(circuit_id=9, generation=1, source_id="sun", load_id="town-b"),
        ):
            stage = pb.Stage(election_id=election_id, txn_id=5, lease_ms=1000, hops=[hop])
            result = await chain.controller.result("b", stage=stage)
            assert result.code == pb.RESULT_CODE_INVALID_HOP
            assert len(result.entries) == 1 and result.entries[0].message
        refused = await chain.controller.result("b", commit=pb.Commit(txn_id=5))
        assert refused.code == pb.RESULT_CODE_STALE_ELECTION_ID
        await chain.serve()

    asyncio.run(chain.play(scenario))
