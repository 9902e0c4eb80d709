"""Networks of plain processes in the background, each with its controller, on ports of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.support.left_behind import networks_end_with_us
from topologies import emulator
from topologies.emulator.ports import options_on_free_ports

_TOPOLOGIES = Path(__file__).resolve().parents[2] / "topologies"
ELAN9 = _TOPOLOGIES / "elan9.grid.yaml"
LINE3 = _TOPOLOGIES / "line3.grid.yaml"


@contextmanager
def network(
    run_dir: Path, grid: Path = ELAN9, market: str | None = None
) -> Iterator[emulator.EmulationOptions]:
    """Healthy at first, and removed in the end; its page shows the exchange at ``market``."""
    options = replace(options_on_free_ports(run_dir), market=market)
    with networks_end_with_us(run_dir):
        try:
            emulator.start_in_background(str(grid), "local", options)
            yield options
        finally:
            emulator.stop(run_dir)
