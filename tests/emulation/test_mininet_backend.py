import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from digitalgrid.client import PowerClient
from digitalgrid.gridfile import load_grid
from topologies import emulator
from topologies.emulator import addresses, workspace
from topologies.emulator.errors import AlreadyRunning, EmulationError
from topologies.emulator.health import wait_healthy
from topologies.emulator.mininet_backend import MininetEmulation
from topologies.emulator.plan import EmulationOptions, RunFiles
from topologies.emulator.shell import in_namespace, run
from topologies.generated import ring_grid

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("nothing_left")]
Wait = Callable[[Callable[[], bool]], None]
LINE3 = Path(__file__).parents[2] / "topologies" / "line3.grid.yaml"


def links_up(client: PowerClient) -> set[str]:
    return {link.link_id for link in client.get_topology().links if link.up}


def connected(client: PowerClient) -> set[str]:
    return {router.router_id for router in client.get_topology().routers if router.connected}


def test_lines_and_routers_break_and_are_mended(options: EmulationOptions, wait_for: Wait) -> None:
    emulation = MininetEmulation(load_grid(LINE3), options)
    try:
        emulation.start()
        wait_healthy(emulation, options.northbound, 40.0)
        with PowerClient(options.northbound) as client:
            for break_it, mend in (
                (emulation.cut, emulation.restore),
                (emulation.silence, emulation.heal),
            ):
                break_it("r1-r2")
                wait_for(lambda: links_up(client) == {"r2-r3"})
                mend("r1-r2")
                wait_for(lambda: links_up(client) == {"r1-r2", "r2-r3"})
            emulation.kill_router("r3")
            wait_for(lambda: connected(client) == {"r1", "r2"})
            emulation.restart_router("r3")
            wait_for(lambda: connected(client) == {"r1", "r2", "r3"})
        emulation.kill_controller()
        assert emulation.status().controller_pid is None
        emulation.restart_controller()
        wait_healthy(emulation, options.northbound, 40.0)
        assert set(emulation.status().router_pids) == {"r1", "r2", "r3"}
    finally:
        emulation.stop()


def test_the_ends_of_a_line_have_different_indexes(options: EmulationOptions) -> None:
    """Otherwise Linux may hold the news of a lost carrier back for a second."""
    emulation = MininetEmulation(ring_grid(3), options)
    try:
        emulation.start()
        assert emulation.net is not None
        for link in emulation.grid.links:
            here, peer = (
                run_in(emulation, router, "cat", f"/sys/class/net/{link.id}/{name}")
                for router in (link.a,)
                for name in ("ifindex", "iflink")
            )
            assert here != peer
    finally:
        emulation.stop()


def run_in(emulation: MininetEmulation, router: str, *command: str) -> str:
    """In a Mininet host everything, /sys too, is the host's own."""
    assert emulation.net is not None
    output: str = emulation.net.nameToNode[router].cmd(*command)
    return output.strip()


def test_the_control_network_is_fenced_off(options: EmulationOptions) -> None:
    """What is meant for it never takes the machine's default route, also when its interface is gone."""
    emulation = MininetEmulation(ring_grid(3), options)
    try:
        emulation.start()
        run("ip", "link", "delete", addresses.CONTROLLER_INTERFACE)
        with socket.socket() as probe, pytest.raises(OSError, match=r"unreachable|No route"):
            probe.connect((str(addresses.router_address(0)), 9))
    finally:
        emulation.stop()


def test_a_machine_runs_one_at_a_time(options: EmulationOptions, tmp_path: Path) -> None:
    emulation = MininetEmulation(ring_grid(3), options)
    try:
        other = EmulationOptions(run_dir=tmp_path / "other")
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
            MininetEmulation(ring_grid(3), other)
    finally:
        emulation.stop()
        emulation.stop()


def test_a_controller_that_cannot_start_is_an_error_and_leaves_nothing(
    options: EmulationOptions,
) -> None:
    with socket.create_server((addresses.OPENFLOW_HOST, 0)) as taken:
        busy = EmulationOptions(run_dir=options.run_dir, openflow_port=taken.getsockname()[1])
        emulation = MininetEmulation(ring_grid(3), busy)
        try:
            with pytest.raises(EmulationError, match="another OpenFlow controller listens"):
                emulation.start()
        finally:
            emulation.stop()


def test_stop_removes_what_a_crash_left(options: EmulationOptions, wait_for: Wait) -> None:
    run_dir = options.run_dir
    assert emulator.start_in_background(LINE3, run_dir=run_dir, northbound=options.northbound) == 0
    record = workspace.read_record(RunFiles.under(run_dir))
    assert record is not None
    os.kill(record.emulator.pid, signal.SIGKILL)
    os.waitpid(record.emulator.pid, 0)
    emulator.stop(run_dir)
    emulator.stop(run_dir)
    assert workspace.read_record(RunFiles.under(run_dir)) is None


def test_a_background_emulation_obeys_and_stops(options: EmulationOptions) -> None:
    run_dir = options.run_dir
    emulator.start_in_background(LINE3, run_dir=run_dir, northbound=options.northbound)
    try:
        assert emulator.send_command(run_dir, "cut", "r1-r2") == "cut r1-r2: done"
        with pytest.raises(EmulationError, match="stop that one first"):
            emulator.start_in_background(LINE3, run_dir=run_dir)
    finally:
        emulator.stop(run_dir)
    with pytest.raises(EmulationError, match="no emulation answers"):
        emulator.send_command(run_dir, "status")


def test_cutting_a_line_takes_the_carrier_from_both_ends(options: EmulationOptions) -> None:
    emulation = MininetEmulation(ring_grid(3), options)
    try:
        emulation.start()
        assert emulation.net is not None

        def has_carrier(router: str) -> bool:
            assert emulation.net is not None
            pid = emulation.net.nameToNode[router].pid
            return "LOWER_UP" in in_namespace(pid, "ip", "link", "show", "r1-r2")

        assert has_carrier("r1")
        assert has_carrier("r2")
        emulation.cut("r1-r2")
        assert not has_carrier("r1")
        assert not has_carrier("r2")
        emulation.restore("r1-r2")
        assert has_carrier("r1")
        assert has_carrier("r2")
    finally:
        emulation.stop()
