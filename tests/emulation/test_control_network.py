"""The control network on Open vSwitch: three switches in a ring, four routers on them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

import pytest

from tests.support.patience import wait_for
from topologies.emulator.errors import CommandError
from topologies.emulator.health import wait_healthy
from topologies.emulator.mininet_backend import MininetEmulation
from topologies.emulator.plan import EmulationOptions
from topologies.emulator.shell import in_namespace, run
from topologies.generated import ring_grid

TRUNKS = [("dgs1", "dgs2"), ("dgs2", "dgs3"), ("dgs3", "dgs1")]


@pytest.fixture
def emulation(nothing_left: None, options: EmulationOptions) -> Iterator[MininetEmulation]:
    running = MininetEmulation(ring_grid(4), replace(options, control_switches=3))
    try:
        running.start()
        wait_healthy(running, options.northbound, 40.0)
        yield running
    finally:
        running.stop()


def pings(emulation: MininetEmulation, source: str, destination: str) -> bool:
    assert emulation.net is not None
    hosts = emulation.net.nameToNode
    command = ("ping", "-c1", "-W1", hosts[destination].IP())
    try:
        in_namespace(hosts[source].pid, *command)
    except CommandError:
        return False
    return True


def everybody_reaches_everybody(emulation: MininetEmulation) -> bool:
    routers = [router.id for router in emulation.grid.routers]
    return all(pings(emulation, a, b) for a, b in permutations([*routers, "dgc"], 2))


def packets_to_controller(switch: str) -> int:
    flows = run("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", switch)
    lines = [line for line in flows.splitlines() if "CONTROLLER" in line and "0x88cc" not in line]
    return sum(int(count) for line in lines for count in re.findall(r"n_packets=(\d+)", line))


def test_any_trunk_may_break(emulation: MininetEmulation) -> None:
    assert emulation.net is not None
    assert everybody_reaches_everybody(emulation)
    for a, b in TRUNKS:
        emulation.net.configLinkStatus(a, b, "down")
        wait_for(lambda: everybody_reaches_everybody(emulation))
        emulation.net.configLinkStatus(a, b, "up")
        wait_for(lambda: everybody_reaches_everybody(emulation))


def test_traffic_flows_without_asking_the_controller(emulation: MininetEmulation) -> None:
    assert everybody_reaches_everybody(emulation)
    switches = {switch for trunk in TRUNKS for switch in trunk}
    before = sum(map(packets_to_controller, switches))
    # Five nodes, and each was learned with a frame or two, and asked for some addresses.
    assert before < 100
    for _ in range(5):
        assert everybody_reaches_everybody(emulation)
    assert sum(map(packets_to_controller, switches)) - before < 10
