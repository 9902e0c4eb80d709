import json
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from controller.config import ControllerConfig
from controller.config import load_config as load_controller_config
from digitalgrid.gridfile import Grid, Link, load_grid
from router_agent.config import load_config
from topologies.emulator import addresses, plan, workspace
from topologies.emulator.plan import EmulationOptions, RunFiles
from topologies.generated import mesh_grid

KEY = "0123456789abcdef"
ELAN9 = load_grid(Path(__file__).parents[3] / "topologies" / "elan9.grid.yaml")


@pytest.mark.parametrize(
    ("routers", "asked", "expected"), [(9, 0, 1), (32, 0, 1), (33, 0, 2), (100, 0, 4), (9, 3, 3)]
)
def test_a_switch_serves_32_routers_unless_told_otherwise(
    routers: int, asked: int, expected: int
) -> None:
    options = EmulationOptions(control_switches=asked)
    assert plan.switch_count(mesh_grid(routers), options) == expected


def test_trunks_make_a_ring_from_three_switches_on() -> None:
    assert plan.trunks(1) == []
    assert plan.trunks(2) == [(0, 1)]
    assert plan.trunks(4) == [(0, 1), (1, 2), (2, 3), (3, 0)]


def test_the_page_of_an_emulation_shows_the_market_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "controller.yaml"
    for market in (None, "127.0.0.1:50090"):
        options = EmulationOptions(run_dir=tmp_path, market=market)
        assert EmulationOptions.from_plain(options.to_plain()).market == market
        document = plan.controller_config(ELAN9, RunFiles.under(tmp_path), options, mininet=False)
        workspace.write_yaml(path, document)
        assert load_controller_config(path).web.market == (market or "")


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="control_switches is -1"):
        EmulationOptions(control_switches=-1)


def test_routers_read_the_configurations_that_are_written(tmp_path: Path) -> None:
    files = RunFiles.under(tmp_path)
    ends = plan.mininet_line_ends(ELAN9)
    for router in ELAN9.routers:
        document = plan.router_config(ELAN9, router, files, "10.213.0.1:50052", ends, {})
        workspace.write_yaml(files.router_config(router.id), document)
        config = load_config(files.router_config(router.id))
        assert config.router_id == router.id
        assert (config.tick_interval_ms, config.hello_interval_ms) == (100, 50)
        assert config.efficiency == router.efficiency
        assert {line.interface for line in config.links} == {line.id for line in config.links}
    assert {line.neighbor for line in config.links} == {"r2", "r4", "r7", "r8"}
    assert config.loads[0].power_w == 5e6
    large = mesh_grid(40)
    ends = plan.mininet_line_ends(large)
    document = plan.router_config(large, large.routers[0], files, "h:1", ends, {})
    assert (document["tick_interval_ms"], document["hello_interval_ms"]) == (200, 200)
    assert document["cushion_ms"] == 50


@pytest.mark.parametrize("mininet", [True, False])
def test_the_daemon_reads_the_configuration_that_is_written(tmp_path: Path, mininet: bool) -> None:
    files = RunFiles.under(tmp_path)
    document = plan.controller_config(ELAN9, files, EmulationOptions(), mininet)
    workspace.write_yaml(files.controller_config, document)
    config: ControllerConfig = load_controller_config(files.controller_config)
    assert config.openflow.enabled is mininet
    assert config.web.network == "elan9"
    expected = "10.213.0.1:50052" if mininet else "127.0.0.1:50052"
    assert config.southbound.listen == (expected,)
    assert config.store.path == str(tmp_path / "controller.sqlite")


def test_local_ends_face_each_other() -> None:
    ends = plan.local_line_ends(ELAN9, list(range(41000, 41000 + 2 * len(ELAN9.links))), KEY)
    for link in ELAN9.links:
        a, b = ends[link.id, link.a], ends[link.id, link.b]
        assert (a["local"], a["remote"]) == (b["remote"], b["local"])
    assert len({end["local"] for end in ends.values()}) == 2 * len(ELAN9.links)


def test_interfaces_have_names_that_linux_takes() -> None:
    ids = ["r1-r3", "a-very-long-name-of-a-line", "ctl", "lo", "x" * 15]
    names = addresses.line_interfaces(ids)
    assert names["r1-r3"] == "r1-r3"
    assert names["x" * 15] == "x" * 15
    assert len(set(names.values())) == len(ids)
    for name in names.values():
        assert len(name) <= 15
        assert name not in ("lo", "ctl")


def test_addresses_and_names_are_distinct() -> None:
    network = addresses.ControlNetwork()
    control = [network.router_address(index) for index in range(1000)]
    assert len({addresses.mac_address(address) for address in control}) == 1000
    assert network.controller_address not in control
    assert addresses.mac_address(control[0]) == "02:d6:0a:d5:00:0b"


def test_networks_of_one_machine_share_no_name_and_no_mark() -> None:
    networks = [addresses.ControlNetwork(number) for number in range(addresses.MAX_NETWORKS)]
    marks: tuple[Callable[[addresses.ControlNetwork], object], ...] = (
        lambda network: network.switch_name(4),
        lambda network: network.controller_interface,
        lambda network: network.interface_group,
        lambda network: network.first_interface_index,
        lambda network: network.fence_metric,
        lambda network: network.owner,
    )
    for mark in marks:
        assert len({mark(network) for network in networks}) == len(networks)
    assert all(len(f"{network.switch_name(99)}-eth99") <= 15 for network in networks)
    assert all(addresses.is_reserved(network.switch_name(0)) for network in networks)


@pytest.mark.parametrize(("subnet", "routers"), [("10.9.0.0/28", 4), ("10.9.0.0/27", 20)])
def test_a_subnet_has_room_for_so_many_routers(subnet: str, routers: int) -> None:
    network = addresses.ControlNetwork(subnet=IPv4Network(subnet))
    assert network.has_room_for(routers)
    assert not network.has_room_for(routers + 1)
    assert network.router_address(routers - 1) < network.subnet.broadcast_address


def test_options_survive_the_way_to_another_process() -> None:
    options = EmulationOptions(
        Path("/run/x"), 3, "[::1]:1", 2, 3, IPv4Network("10.9.0.0/16"), None, True
    )
    assert EmulationOptions.from_plain(json.loads(json.dumps(options.to_plain()))) == options


@pytest.mark.parametrize(
    ("router_id", "reserved"),
    [("dgc", True), ("dgs1", True), ("dgs12c", True), ("dgs", False), ("r1", False)],
)
def test_names_of_the_emulations_own_nodes_are_reserved(router_id: str, reserved: bool) -> None:
    assert addresses.is_reserved(router_id) is reserved


def test_a_network_without_sources_is_a_network() -> None:
    grid = Grid("bare", ELAN9.routers[:2], (Link("k", "r1", "r2", 0.1, 20e3, 10.0),))
    files = RunFiles.under(Path("x"))
    ends = plan.mininet_line_ends(grid)
    document = plan.router_config(grid, grid.routers[0], files, "h:1", ends, {})
    assert (document["sources"], document["loads"]) == ([], [])


def test_routers_are_told_their_places_where_they_are_metered_and_each_end_the_corners_of_its_line() -> (
    None
):
    a, b = (replace(each, at=None) for each in ELAN9.routers[:2])
    link = Link("k", a.id, b.id, 0.1, 20e3, 10.0, via=((1.0, 2.0), (3.0, 4.0)))
    grid = Grid("bent", (replace(a, at=(0.5, 1.0)), b), (link,))
    files = RunFiles.under(Path("x"))
    ends = plan.mininet_line_ends(grid)
    at_a, at_b = (
        plan.router_config(grid, each, files, "h:1", ends, {"r1": "127.0.0.1:50082"})
        for each in grid.routers
    )
    assert at_a["at"] == [0.5, 1.0]
    assert "at" not in at_b
    assert at_a["metrics"] == {"listen": "127.0.0.1:50082"}
    assert "metrics" not in at_b
    assert at_a["links"][0]["via"] == [[1.0, 2.0], [3.0, 4.0]]
    assert at_b["links"][0]["via"] == [[3.0, 4.0], [1.0, 2.0]]
