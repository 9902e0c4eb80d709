import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from digitalgrid.client import PowerClient, power_request
from digitalgrid.gridfile import load_grid
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.patience import wait_for
from topologies import emulator
from topologies.emulator.backends import make_emulation
from topologies.emulator.errors import AlreadyRunning, EmulationError, SpawnError, Unhealthy
from topologies.emulator.health import wait_healthy
from topologies.emulator.local_backend import LocalEmulation
from topologies.emulator.plan import EmulationOptions
from topologies.emulator.ports import options_on_free_ports

LINE3 = Path(__file__).parents[3] / "topologies" / "line3.grid.yaml"
BOTH = {"r1-r2", "r2-r3"}


@pytest.fixture
def options(tmp_path: Path, engine_of_controllers: None) -> EmulationOptions:
    """Addresses and a run directory of the test's own."""
    return options_on_free_ports(tmp_path / "run")


@pytest.fixture
def emulation(options: EmulationOptions) -> Iterator[LocalEmulation]:
    running = LocalEmulation(load_grid(LINE3), options)
    try:
        running.start()
        wait_healthy(running, options.northbound, 30.0)
        yield running
    finally:
        running.stop()


@pytest.fixture
def client(emulation: LocalEmulation, options: EmulationOptions) -> Iterator[PowerClient]:
    with PowerClient(options.northbound) as connected:
        yield connected


def links_up(client: PowerClient) -> set[str]:
    return {link.link_id for link in client.get_topology().links if link.up}


def test_lines_are_cut_silenced_and_mended(emulation: LocalEmulation, client: PowerClient) -> None:
    for break_it, mend in (
        (emulation.cut, emulation.restore),
        (emulation.silence, emulation.heal),
    ):
        break_it("r2-r3")
        wait_for(lambda: links_up(client) == {"r1-r2"})
        mend("r2-r3")
        wait_for(lambda: links_up(client) == BOTH)


def test_a_cloud_takes_power_from_a_source_until_it_has_passed(
    emulation: LocalEmulation, client: PowerClient
) -> None:
    source = emulation.grid.sources[0]

    def limit_w() -> float:
        (found,) = (s for s in client.get_topology().sources if s.source_id == source.id)
        return found.max_power_w

    emulation.cloud(source.id, 0.6)
    wait_for(lambda: limit_w() == pytest.approx(0.6 * source.max_power_w))
    emulation.kill_router(source.router)
    emulation.restart_router(source.router)
    wait_for(lambda: limit_w() == pytest.approx(0.6 * source.max_power_w))
    emulation.cloud(source.id, 0.2, 0.5)
    wait_for(lambda: emulation.let_clouds_pass() is None)
    wait_for(lambda: limit_w() == source.max_power_w)


def test_under_a_cloud_floors_and_priorities_decide_who_is_curtailed_and_by_how_much(
    emulation: LocalEmulation, client: PowerClient
) -> None:
    (source, *_), (load, *_) = emulation.grid.sources, emulation.grid.loads
    asked = {"source_ids": [source.id]}
    power_w = min(load.power_w, source.max_power_w) / 4
    ids = {
        name: client.request_power(power_request(load.id, power_w, **asked, **more))  # type: ignore[arg-type]
        .circuits[0]
        .circuit_id
        for name, more in {
            "weak": {"floor_w": 0.5 * power_w},
            "urgent": {"hold_priority": 3, "setup_priority": 0},
        }.items()
    }
    client.wait_until_active(ids.values(), timeout_s=20.0)
    injected_w = sum(client.get_circuit(each).injected_w for each in ids.values())
    emulation.cloud(source.id, 0.8 * injected_w / source.max_power_w)

    def weak() -> pb.Circuit:
        return client.get_circuit(ids["weak"])

    wait_for(lambda: weak().state == pb.CIRCUIT_STATE_DEGRADED)
    assert weak().curtailed.by == f"source {source.id}"
    assert 0.55 < weak().curtailed.granted_w / power_w < 0.65
    assert client.get_circuit(ids["urgent"]).state == pb.CIRCUIT_STATE_ACTIVE
    wait_for(lambda: weak().missing.curtailment_mj > 0)
    emulation.clear(source.id)
    wait_for(lambda: weak().state == pb.CIRCUIT_STATE_ACTIVE)
    assert not weak().HasField("curtailed") and weak().generation == 1


def test_an_urgent_request_displaces_a_weak_one_to_its_floor(
    emulation: LocalEmulation, client: PowerClient
) -> None:
    (source, *_), (load, *_) = emulation.grid.sources, emulation.grid.loads
    power_w = 0.4 * min(load.power_w, source.max_power_w)
    emulation.cloud(source.id, 1.5 * power_w / source.max_power_w)
    wait_for(lambda: client.get_topology().sources[0].max_power_w < source.max_power_w)
    weak = client.request_power(power_request(load.id, power_w, floor_w=0.2 * power_w))
    weak_id = weak.circuits[0].circuit_id
    client.wait_until_active([weak_id], timeout_s=20.0)
    wanted = power_request(load.id, power_w, hold_priority=2, setup_priority=2)
    assert client.compute_power(wanted).circuits[0].reason == f"would displace {weak_id}"
    (urgent,) = client.request_power(wanted).circuits
    assert urgent.state == pb.CIRCUIT_STATE_WAITING
    client.wait_until_active([urgent.circuit_id], timeout_s=30.0)
    curtailed = client.get_circuit(weak_id).curtailed
    assert (curtailed.by, curtailed.granted_w) == (
        f"circuit {urgent.circuit_id}",
        pytest.approx(0.2 * power_w),
    )
    client.release_circuit(urgent.circuit_id)
    wait_for(lambda: client.get_circuit(weak_id).state == pb.CIRCUIT_STATE_ACTIVE)
    assert not client.get_circuit(weak_id).HasField("curtailed")


def test_a_cut_line_stays_cut_when_its_router_restarts(
    emulation: LocalEmulation, client: PowerClient
) -> None:
    emulation.cut("r2-r3")
    emulation.kill_router("r3")
    wait_for(lambda: "r3" not in emulation.status().router_pids)
    emulation.restart_router("r3")
    wait_for(lambda: all(router.connected for router in client.get_topology().routers))
    assert links_up(client) == {"r1-r2"}
    emulation.restore("r2-r3")
    wait_for(lambda: links_up(client) == BOTH)


def test_a_killed_controller_comes_back(
    emulation: LocalEmulation, options: EmulationOptions
) -> None:
    emulation.kill_controller()
    with pytest.raises(EmulationError, match="the controller does not run"):
        emulation.kill_controller()
    emulation.restart_controller()
    wait_healthy(emulation, options.northbound, 30.0)
    with pytest.raises(EmulationError, match="runs already"):
        emulation.restart_controller()


def test_what_ended_by_itself_is_told_at_once_with_its_last_words(
    emulation: LocalEmulation, options: EmulationOptions
) -> None:
    log = options.run_dir / "routers" / "r2" / "router.log"
    emulation.kill_router("r2")
    log.write_text("first\nsecond\n\nthird\nfourth\n")
    with pytest.raises(Unhealthy) as caught:
        wait_healthy(emulation, options.northbound, 30.0)
    said = ["router r2 ended by itself:", "second", "third", "fourth", f"see {log}"]
    assert str(caught.value) == "\n  ".join(said)
    emulation.kill_controller()
    with pytest.raises(
        Unhealthy, match=r"^the controller ended by itself:\n(.*\n)*  see .*/controller\.log$"
    ):
        wait_healthy(emulation, options.northbound, 30.0)


def test_what_makes_no_sense_is_refused(
    emulation: LocalEmulation, options: EmulationOptions
) -> None:
    with pytest.raises(EmulationError, match="link 'r1-r3' is not in grid 'line3'"):
        emulation.cut("r1-r3")
    with pytest.raises(EmulationError, match="router 'r9' is not in grid 'line3'"):
        emulation.kill_router("r9")
    with pytest.raises(SpawnError, match="runs already"):
        emulation.restart_router("r1")
    with pytest.raises(AlreadyRunning, match="run directory"):
        LocalEmulation(load_grid(LINE3), options)
    with pytest.raises(EmulationError, match="unknown backend 'cloud'; one of mininet, local"):
        make_emulation(load_grid(LINE3), "cloud", options)


def test_the_background_emulation_is_started_told_and_stopped(options: EmulationOptions) -> None:
    run_dir = options.run_dir
    emulator.start_in_background(str(LINE3), "local", options)
    try:
        with PowerClient(options.northbound) as client:
            assert links_up(client) == BOTH
            emulator.send_command(run_dir, "cut", "r1-r2")
            wait_for(lambda: links_up(client) == {"r2-r3"})
    finally:
        emulator.stop(run_dir)
    with pytest.raises(EmulationError, match="no emulation answers"):
        emulator.send_command(run_dir, "status")


def test_a_background_emulation_that_cannot_start_says_why(options: EmulationOptions) -> None:
    # An address of documentation (RFC 5737), which this machine does not have.
    elsewhere = replace(options, northbound="192.0.2.1:50051")
    with pytest.raises(EmulationError, match="controller ended by itself") as caught:
        emulator.start_in_background(str(LINE3), "local", elsewhere)
    log = options.run_dir / "controller.log"
    assert f"cannot listen on {elsewhere.northbound}" in str(caught.value)
    assert str(caught.value).endswith(f"see {log}")
    assert "Warning" not in (options.run_dir / "emulator.log").read_text()


@pytest.mark.parametrize("option", ["--northbound", "--southbound-port"])
def test_ports_that_are_taken_are_named_with_the_option_that_gives_others(
    options: EmulationOptions, option: str
) -> None:
    taken = (
        options.northbound if option == "--northbound" else f"127.0.0.1:{options.southbound_port}"
    )
    host, _, port = taken.rpartition(":")
    with (
        socket.create_server((host, int(port))),
        pytest.raises(EmulationError, match=f"listens on {taken} already: .* with {option}"),
    ):
        emulator.start_in_background(str(LINE3), "local", options)


def test_two_networks_run_side_by_side_and_each_is_stopped_alone(
    tmp_path: Path, engine_of_controllers: None
) -> None:
    both = [options_on_free_ports(tmp_path / name) for name in ("a", "b")]
    try:
        for options in both:
            emulator.start_in_background(str(LINE3), "local", options)
        for options in both:
            serve_load3(options.northbound)
        emulator.stop(both[0].run_dir)
        with PowerClient(both[1].northbound) as client:
            assert links_up(client) == BOTH
            assert [c.state for c in client.list_circuits().circuits] == [pb.CIRCUIT_STATE_ACTIVE]
        assert '"cut_links": []' in emulator.send_command(both[1].run_dir, "status")
    finally:
        for options in both:
            emulator.stop(options.run_dir)


def serve_load3(northbound: str) -> None:
    with PowerClient(northbound) as client:
        circuits = client.request_power(power_request("load3", 1e6)).circuits
        client.wait_until_active([circuit.circuit_id for circuit in circuits], timeout_s=20.0)
