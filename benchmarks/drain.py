"""Measures what loads miss while links are drained, by the books of their routers: ``python -m benchmarks.drain``.

The network is whole: a daemon, and each router a process of its own, on this machine (backend ``local``, no root).
Forty circuits stand on elan9; its links are drained one after another, each until it is free to work on, and put into
service again. A figure is the energy that a load was promised and did not get, in milliseconds of its power, from the
word until two seconds after the last hop had gone; *fault* is what a router that was late, on a busy machine, cost.
"""

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import click

from digitalgrid.client import PowerClient, missing_ms, power_request
from digitalgrid.gridfile import load_grid
from digitalgrid.model import MissingCause
from digitalgrid.v1 import northbound_pb2 as pb
from topologies.emulator.health import wait_healthy
from topologies.emulator.local_backend import LocalEmulation
from topologies.emulator.ports import options_on_free_ports

_GRID = Path(__file__).parents[1] / "topologies" / "elan9.grid.yaml"
_CIRCUITS = 40
_POWER_W = 1e5
# However slow a machine is, being slow fails nothing.
_LONGEST_S = 600.0
# After the circuits stand, and after each drain: news of what is missing come with the routers' statuses.
_SETTLE_S = 2.0


class Drained:
    """Drains, and gathers what each circuit that moved has missed."""

    def __init__(self, client: PowerClient) -> None:
        self._client = client
        self.missing_ms: dict[MissingCause, list[float]] = {cause: [] for cause in MissingCause}

    def drain(self, link_id: str) -> int:
        """How many circuits have moved."""
        before = self._circuits()
        try:
            self._client.drain(pb.DrainRequest(id=link_id))
            self._client.wait_until_drained(link_id, timeout_s=_LONGEST_S)
        finally:
            time.sleep(_SETTLE_S)
            self._client.undrain(link_id)
        moved = 0
        for circuit_id, circuit in self._circuits().items():
            if circuit.links != before[circuit_id].links:
                moved += 1
                self._note(before[circuit_id], circuit)
        return moved

    def _circuits(self) -> dict[int, pb.Circuit]:
        return {each.circuit_id: each for each in self._client.list_circuits().circuits}

    def _note(self, before: pb.Circuit, after: pb.Circuit) -> None:
        was, now = missing_ms(before), missing_ms(after)
        if was is None or now is None:
            raise click.ClickException(f"circuit {after.circuit_id}: its router counts nothing")
        for cause, values in self.missing_ms.items():
            values.append(now[cause] - was[cause])


@click.command()
def main() -> None:
    """Energy missing at loads whose circuits move from a drained link, in milliseconds of promised power."""
    grid = load_grid(_GRID)
    with ExitStack() as undo:
        directory = undo.enter_context(tempfile.TemporaryDirectory(prefix="drain-"))
        options = options_on_free_ports(Path(directory) / "run")
        emulation = LocalEmulation(grid, options)
        undo.callback(emulation.stop)
        emulation.start()
        wait_healthy(emulation, options.northbound, _LONGEST_S)
        client = undo.enter_context(PowerClient(options.northbound, timeout_s=_LONGEST_S))
        loads = [each.id for each in grid.loads]
        ids = []
        for number in range(_CIRCUITS):
            asked = power_request(loads[number % len(loads)], _POWER_W)
            ids += [each.circuit_id for each in client.request_power(asked).circuits]
        client.wait_until_active(ids, timeout_s=_LONGEST_S)
        time.sleep(_SETTLE_S)
        drained = Drained(client)
        for link in grid.links:
            moved = drained.drain(link.id)
            click.echo(f"{link.id} drained, {moved} circuits moved")
        click.echo(f"load of the machine: {os.getloadavg()[0]:.1f}")
        click.echo(f"{'':12}  median     max")
        for cause, values in drained.missing_ms.items():
            click.echo(f"{cause.name.lower():12}  {median(values):6.2f}  {max(values):6.2f}")


if __name__ == "__main__":
    main()
