"""Tests on real interfaces need root and Open vSwitch. In CI they must run; elsewhere they say why they do not."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from topologies.emulator import cleanup, ovs
from topologies.emulator.addresses import MAX_NETWORKS, ControlNetwork
from topologies.emulator.plan import EmulationOptions
from topologies.emulator.ports import free_ports


def _what_is_missing() -> str:
    if os.geteuid() != 0:
        return "not root"
    missing = [p for p in ("ovs-vsctl", "mnexec", "ethtool", "ping") if shutil.which(p) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


@pytest.fixture(scope="session", autouse=True)
def open_vswitch() -> Iterator[None]:
    """Started for the tests where it did not run, and stopped again then."""
    missing = _what_is_missing()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"CI must run the emulation's tests, but: {missing}")
    if missing:
        pytest.skip(missing)
    started = not ovs.is_running()
    if started:
        ovs.start()
    yield
    if started:
        ovs.stop()


def what_there_is() -> dict[str, set[str]]:
    """All of this machine that an emulation could leave something in."""
    return {
        "interfaces": {line.split()[0] for line in _output("ip", "-br", "link").splitlines()},
        "routes": set(_output("ip", "route").splitlines()),
        "namespaces": set(_output("ip", "netns").splitlines()),
        "bridges": set(_output("ovs-vsctl", "list-br").split()),
        "processes": {
            line
            for line in _output("ps", "-eo", "args").splitlines()
            if "mininet:" in line or ("dgc" in line and "10.213" in line) or "dgs" in line
        },
    }


@pytest.fixture
def nothing_left(open_vswitch: None) -> Iterator[None]:
    """Fails a test after which this machine is not as it was before."""
    before = what_there_is()
    yield
    after = what_there_is()
    new = {kind: after[kind] - before[kind] for kind in before if after[kind] - before[kind]}
    if new:
        for number in range(MAX_NETWORKS):
            cleanup.remove_network(ControlNetwork(number))
    assert new == {}


@pytest.fixture
def open_vswitch_by_need(nothing_left: None) -> Iterator[None]:
    """Open vSwitch does not run before the test: an emulation starts it, and the last one stops it."""
    others = _output("ovs-vsctl", "list-br").split()
    assert others == [], "stopping Open vSwitch would cut the bridges of others"
    ovs.stop()
    yield
    if not ovs.is_running():
        ovs.start()


@pytest.fixture
def options(tmp_path: Path, engine_of_controllers: None) -> EmulationOptions:
    """A run directory and northbound address of the test's own."""
    (port,) = free_ports(1)
    return EmulationOptions(run_dir=tmp_path / "run", northbound=f"127.0.0.1:{port}")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
