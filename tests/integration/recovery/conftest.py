"""A network of real processes on loopback: a daemon with its store, and agents with theirs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from digitalgrid.client import PowerClient
from digitalgrid.gridfile import loads_grid
from tests.support.grids import DIAMOND
from topologies.emulator.health import wait_healthy
from topologies.emulator.local_backend import LocalEmulation
from topologies.emulator.plan import EmulationOptions
from topologies.emulator.ports import options_on_free_ports


@pytest.fixture
def options(tmp_path: Path, engine_of_controllers: None) -> EmulationOptions:
    return options_on_free_ports(tmp_path / "run")


@pytest.fixture
def emulation(options: EmulationOptions) -> Iterator[LocalEmulation]:
    running = LocalEmulation(loads_grid(DIAMOND, "diamond"), options)
    try:
        running.start()
        wait_healthy(running, options.northbound, 90.0)
        yield running
    finally:
        running.stop()


@pytest.fixture
def client(emulation: LocalEmulation, options: EmulationOptions) -> Iterator[PowerClient]:
    with PowerClient(options.northbound) as connected:
        yield connected
