"""What Prometheus reads at a router: two real ones with a circuit between them, and the books of both."""

import asyncio
import signal
import socket
from pathlib import Path

from digitalgrid.model import CircuitGeneration, FlowState
from router_agent.config import LinkConfig, LoadConfig, RouterConfig, SourceConfig
from router_agent.metrics.reference import BY_NAME, PREFIX
from tests.support.agents import AgentProcess, TinyController
from tests.support.device_network import circuit_hops
from tests.support.metrics import Figures, labels_that_differ, scraped
from tests.support.patience import PATIENCE_S
from topologies.emulator.ports import free_ports

KEY = CircuitGeneration(1, 1)


def two_routers(directory: Path, controller_port: int) -> list[RouterConfig]:
    ports = free_ports(2, socket.SOCK_DGRAM)
    return [
        RouterConfig(
            router_id=name,
            state_dir=str(directory / name),
            controllers=(f"127.0.0.1:{controller_port}",),
            links=(
                LinkConfig(
                    id="ab",
                    neighbor=neighbor,
                    ampacity_a=700.0,
                    local=f"127.0.0.1:{ports[mine]}",
                    remote=f"127.0.0.1:{ports[1 - mine]}",
                ),
            ),
            sources=(SourceConfig(f"pv-{name}", 15e6),),
            loads=(LoadConfig(f"town-{name}", 5e6),),
        )
        for mine, (name, neighbor) in enumerate((("a", "b"), ("b", "a")))
    ]


def of(figures: Figures, name: str, **labels: str) -> float:
    return figures[PREFIX + name, tuple(sorted(labels.items()))]


async def scraped_once_there(port: int) -> Figures:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await scraped(port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


async def story(directory: Path) -> None:
    controller = TinyController()
    await controller.start()
    ports = free_ports(2)
    configs = two_routers(directory, controller.port)
    agents = [
        AgentProcess(config, directory, "--metrics", f"127.0.0.1:{port}")
        for config, port in zip(configs, ports, strict=True)
    ]
    try:
        for agent in agents:
            await agent.start()
        await controller.until(
            lambda: all(controller.links_up(each.router_id).get("ab") for each in configs)
        )
        at_rest = await scraped_once_there(ports[0])
        await controller.program(circuit_hops(KEY, 1, configs, 2e6, {}), txn_id=1)
        await controller.until(lambda: FlowState.ACTUATED in controller.states("b", KEY))
        # The first scrape is told again for half a second.
        await asyncio.sleep(0.6)
        sending, sinking = [await scraped(port) for port in ports]
        for agent in agents:
            assert await agent.end(signal.SIGTERM) == 0
    finally:
        for agent in agents:
            await agent.end(signal.SIGKILL)
        await controller.stop()
    assert not [agent.output for agent in agents if "Traceback" in agent.output]
    # Circuits make no series: those of the first STAGE and COMMIT came.
    assert len(sending.keys() - at_rest.keys()) == 2
    look_at(sending, sinking)


def look_at(sending: Figures, sinking: Figures) -> None:
    for figures, router_id in ((sending, "a"), (sinking, "b")):
        assert labels_that_differ(figures, PREFIX, BY_NAME) == []
        built = [dict(labels) for name, labels in figures if name == "dgr_build_info"]
        assert [each["router"] for each in built] == [router_id]
        assert of(figures, "boots_total") == 1
        assert of(figures, "controllers", state="connected") == 1
        assert of(figures, "hops", role="working") == 1
        assert of(figures, "orders_total", operation="COMMIT", result="OK") == 1
        assert of(figures, "link_up", link="ab") == 1
        assert 0 <= of(figures, "neighbour_silence_seconds", link="ab") < PATIENCE_S
        assert of(figures, "books_imbalance_joules") == 0
        assert of(figures, "oversubscribed_instants_total") == 0
        assert of(figures, "tick_lateness_seconds_count") > 0
        assert of(figures, "link_frames_total", link="ab", direction="received") > 0
        assert of(figures, "link_lost_energy_joules_total", link="ab", cause="transit") == 0
        assert figures["process_resident_memory_bytes", ()] > 0
    assert of(sinking, "demand_watts") == 2e6
    assert of(sending, "source_injected_energy_joules_total", source="pv-a") > 0
    assert of(sinking, "load_delivered_energy_joules_total", load="town-b") > 0
    assert of(sending, "link_loss_energy_joules_total", link="ab") > 0
    # Read later than what was sent.
    came_j = of(sinking, "link_received_energy_joules_total", link="ab")
    assert came_j > of(sinking, "load_delivered_energy_joules_total", load="town-b")


def test_a_router_tells_in_figures_what_it_does(tmp_path: Path) -> None:
    asyncio.run(story(tmp_path))
