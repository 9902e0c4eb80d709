import os
import signal
import socket
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from digitalgrid.client import PowerClient, power_request
from digitalgrid.gridfile import load_grid
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.engines import on_both_engines, wait_until_compiled
from tests.support.patience import wait_for
from topologies import emulator
from topologies.emulator import addresses, cleanup, ovs, workspace
from topologies.emulator.errors import AlreadyRunning, EmulationError
from topologies.emulator.health import wait_healthy
from topologies.emulator.mininet_backend import MininetEmulation
from topologies.emulator.plan import EmulationOptions, RunFiles
from topologies.emulator.ports import free_ports
from topologies.emulator.shell import in_namespace, run
from topologies.generated import ring_grid

pytestmark = pytest.mark.usefixtures("nothing_left")
LINE3 = Path(__file__).parents[2] / "topologies" / "line3.grid.yaml"


def links_up(client: PowerClient) -> set[str]:
    return {link.link_id for link in client.get_topology().links if link.up}


def connected(client: PowerClient) -> set[str]:
    return {router.router_id for router in client.get_topology().routers if router.connected}


@on_both_engines
def test_lines_and_routers_break_and_are_mended(options: EmulationOptions) -> None:
    emulation = MininetEmulation(load_grid(LINE3), options)
    try:
        emulation.start()
        wait_healthy(emulation, options.northbound, 40.0)
        with PowerClient(options.northbound) as client:
            wait_until_compiled(client)
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
    network = addresses.ControlNetwork()
    emulation = MininetEmulation(ring_grid(3), options)
    try:
        emulation.start()
        run("ip", "link", "delete", network.controller_interface)
        with socket.socket() as probe, pytest.raises(OSError, match=r"unreachable|No route"):
            probe.connect((str(network.router_address(0)), 9))
    finally:
        emulation.stop()


def test_what_a_running_network_has_is_refused_to_others_with_the_option_that_helps(
    options: EmulationOptions, tmp_path: Path
) -> None:
    emulation = MininetEmulation(ring_grid(3), options)
    try:
        other = replace(options, run_dir=tmp_path / "other")
        with pytest.raises(
            AlreadyRunning, match=f"is in use by the emulation in {options.run_dir}.*--subnet"
        ):
            MininetEmulation(ring_grid(3), other)
        small = replace(other, subnet=IPv4Network("10.214.0.0/29"))
        with pytest.raises(EmulationError, match=r"10\.214\.0\.0/29 is too small for 3 routers"):
            MininetEmulation(ring_grid(3), small)
        with pytest.raises(AlreadyRunning, match=r"run directory .* is in use"):
            MininetEmulation(ring_grid(3), options)
    finally:
        emulation.stop()
        emulation.stop()


def test_a_controller_that_cannot_start_is_an_error_and_leaves_nothing(
    options: EmulationOptions,
) -> None:
    with socket.create_server((addresses.OPENFLOW_HOST, 0)) as taken:
        busy = replace(options, openflow_port=taken.getsockname()[1])
        with pytest.raises(AlreadyRunning, match=r"somebody listens .* with --openflow-port"):
            MininetEmulation(ring_grid(3), busy)
    elsewhere = replace(options, northbound="192.0.2.1:50051")
    emulation = MininetEmulation(ring_grid(3), elsewhere)
    try:
        with pytest.raises(EmulationError, match="controller ended by itself"):
            emulation.start()
            wait_healthy(emulation, elsewhere.northbound, 40.0)
    finally:
        emulation.stop()


def test_two_networks_run_side_by_side_and_each_is_stopped_alone(
    options: EmulationOptions, tmp_path: Path
) -> None:
    second = beside(options, tmp_path / "second")
    both = (options, second)
    try:
        for each in both:
            emulator.start_in_background(str(LINE3), "mininet", each)
        for each in both:
            serve_load3(each)
        emulator.stop(options.run_dir)
        assert cleanup.leftovers(addresses.ControlNetwork(0)) == []
        with PowerClient(second.northbound) as client:
            topology = client.get_topology()
            assert all(link.up for link in topology.links)
            assert all(router.connected for router in topology.routers)
            assert [c.state for c in client.list_circuits().circuits] == [pb.CIRCUIT_STATE_ACTIVE]
        # The first one's place is free again.
        emulator.start_in_background(str(LINE3), "mininet", options)
        serve_load3(options)
        emulator.stop(second.run_dir)
        with PowerClient(options.northbound) as client:
            assert all(router.connected for router in client.get_topology().routers)
    finally:
        for each in both:
            emulator.stop(each.run_dir)


def beside(options: EmulationOptions, run_dir: Path) -> EmulationOptions:
    """Of a second network in Mininet."""
    north, openflow = free_ports(2)
    return replace(
        options,
        run_dir=run_dir,
        northbound=f"127.0.0.1:{north}",
        openflow_port=openflow,
        subnet=IPv4Network("10.214.0.0/16"),
    )


def test_a_network_that_stops_leaves_open_vswitch_to_one_that_starts(
    options: EmulationOptions, tmp_path: Path, open_vswitch_by_need: None
) -> None:
    second = beside(options, tmp_path / "second")
    emulator.start_in_background(str(LINE3), "mininet", options)
    starting = None
    try:
        # It has its control network, and no bridge yet.
        starting = MininetEmulation(ring_grid(3), second)
        emulator.stop(options.run_dir)
        emulator.stop(tmp_path / "nobody")
        assert run("ovs-vsctl", "list-br").split() == []
        assert ovs.is_running()
        starting.start()
        wait_healthy(starting, second.northbound, 40.0)
    finally:
        emulator.stop(options.run_dir)
        if starting is not None:
            starting.stop()
    assert not ovs.is_running()


def serve_load3(options: EmulationOptions) -> None:
    with PowerClient(options.northbound) as client:
        circuits = client.request_power(power_request("load3", 1e6)).circuits
        client.wait_until_active([circuit.circuit_id for circuit in circuits], timeout_s=20.0)


def test_stop_removes_what_a_crash_left(options: EmulationOptions) -> None:
    run_dir = options.run_dir
    emulator.start_in_background(str(LINE3), "mininet", options)
    record = workspace.read_record(RunFiles.under(run_dir))
    assert record is not None
    os.kill(record.emulator.pid, signal.SIGKILL)
    os.waitpid(record.emulator.pid, 0)
    emulator.stop(run_dir)
    emulator.stop(run_dir)
    assert workspace.read_record(RunFiles.under(run_dir)) is None


def test_stop_of_another_run_directory_leaves_what_is_not_its_own_and_says_so(
    options: EmulationOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    network, other = addresses.ControlNetwork(), tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(options.run_dir.parent)
    emulator.start_in_background(
        str(LINE3), "mininet", replace(options, run_dir=Path(options.run_dir.name))
    )
    record = workspace.read_record(RunFiles.under(options.run_dir))
    assert record is not None
    monkeypatch.chdir(other)
    try:
        emulator.stop(Path(".run"))
        assert f"still running: {options.run_dir}" in caplog.messages
        os.kill(record.emulator.pid, signal.SIGKILL)
        os.waitpid(record.emulator.pid, 0)
        # Interfaces go by themselves with the namespaces of their hosts.
        stays = {network.switch_name(0), f"the route that fences {network.subnet} off"}
        for _ in range(2):
            caplog.clear()
            emulator.stop(Path(".run"))
            assert stays <= set(cleanup.leftovers(network))
            assert f"dgc stop --run-dir {options.run_dir}" in caplog.text
            assert workspace.run_dir_of(0) == options.run_dir
        # Whose record is gone is nobody's.
        workspace.erase_record(RunFiles.under(options.run_dir))
        emulator.stop(Path(".run"))
        assert cleanup.leftovers(network) == []
        assert workspace.run_dir_of(0) == options.run_dir
    finally:
        emulator.stop(options.run_dir)


def test_a_background_emulation_obeys_and_stops(options: EmulationOptions) -> None:
    run_dir = options.run_dir
    emulator.start_in_background(str(LINE3), "mininet", options)
    try:
        assert emulator.send_command(run_dir, "cut", "r1-r2") == "cut r1-r2: done"
        with pytest.raises(EmulationError, match="stop that first"):
            emulator.start_in_background(str(LINE3), "mininet", options)
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
