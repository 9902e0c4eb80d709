"""``make mesh``: how large a network two cores carry; exit code 0 only if all is well and nothing is left."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
from rich.console import Console

from digitalgrid.client import AsyncPowerClient, PowerError, power_request
from digitalgrid.command_line import OutputType, Tool
from digitalgrid.gridfile import Grid
from digitalgrid.v1 import northbound_pb2 as pb
from topologies.demo.books import Powers, add_up, powers_w
from topologies.demo.figures import LoadFigure
from topologies.demo.meters import whole_reading
from topologies.demo.missing import Lacking
from topologies.demo.observer import Observer
from topologies.demo.performance import chosen, narrator
from topologies.emulator import cleanup
from topologies.emulator.addresses import ControlNetwork
from topologies.emulator.backends import make_emulation
from topologies.emulator.emulation import Emulation
from topologies.emulator.errors import EmulationError
from topologies.emulator.health import wait_until_healthy
from topologies.emulator.plan import EmulationOptions
from topologies.generated import mesh_grid

# For whatever is waited for (s): a hundred routers share a few cores.
_PATIENCE_S = 60.0
# What the README promises of the time until all is up (s).
_UP_WITHIN_S = 30.0
# Between two readings of meters (s): many ticks.
_WINDOW_S = 5.0
# Between two looks at whether all is at rest (s).
_QUIET_POLL_S = 1.0
# A hundred routers share this machine's cores, and one that is late by more than its cushion is felt.
_MISSING_MS = 20.0


@dataclass(slots=True)
class MeshFigures:
    """The keys of ``mesh.json``; what was not reached stays None."""

    backend: str
    routers: int
    links: int
    up_s: float | None = None
    circuits: int = 0
    circuits_active: int = 0
    active_s: float | None = None
    loads_right: int = 0
    loads_unmeasured: int | None = None
    # The largest deviation of a load's measured power from what it was to get, as a fraction of that.
    worst_load_error: float | None = None
    oversubscribed_instants: int | None = None
    conservation_error_mj: int | None = None
    lost_in_transit_mj: int | None = None
    lost_to_faults_mj: int | None = None
    interruptions: int = 0
    # The most that a circuit lacked after its start, in milliseconds of its power.
    missing_ms_max: float | None = None
    # Generations after the first: circuits that were moved, or were made again after they had failed.
    reroutes: int = 0
    down_s: float | None = None
    leftovers: list[str] = field(default_factory=list)

    def shortcomings(self) -> list[str]:
        """A sentence on each thing that is not well."""
        found = [f"left behind: {each}" for each in self.leftovers]
        if self.up_s is None or self.up_s > _UP_WITHIN_S:
            found.append(f"up_s: {self.up_s}, not within {_UP_WITHIN_S:g}")
        if not self.circuits == self.circuits_active == self.loads_right:
            found.append(
                f"{self.circuits} circuits, {self.circuits_active} active, {self.loads_right} right"
            )
        if self.missing_ms_max is None or self.missing_ms_max > _MISSING_MS:
            found.append(f"missing_ms_max: {self.missing_ms_max}, more than {_MISSING_MS:g}")
        for name in (
            "oversubscribed_instants",
            "conservation_error_mj",
            "lost_in_transit_mj",
            "lost_to_faults_mj",
            "interruptions",
            "reroutes",
            "loads_unmeasured",
        ):
            if getattr(self, name) != 0:
                found.append(f"{name}: {getattr(self, name)}, not 0")
        return found


@click.command("mesh", cls=Tool)
@click.option("--routers", default=100, show_default=True)
@click.option("--circuits", default=200, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--backend", type=click.Choice(["mininet", "local"]), help="Default: as root mininet."
)
@click.option("--output", type=OutputType(), default=Path("mesh.json"))
def main(routers: int, circuits: int, seed: int, backend: str | None, output: Path) -> None:
    """Brings up a generated mesh, serves circuits on it, and takes it down again."""
    console = Console(stderr=True)
    say = narrator(console)
    grid = mesh_grid(routers, seed)
    backend = chosen(backend, say)
    figures = MeshFigures(backend, len(grid.routers), len(grid.links))
    options = EmulationOptions(run_dir=Path(".run/mesh"))
    began_s = time.monotonic()
    say(f"starting {len(grid.routers)} routers and {len(grid.links)} lines ({backend})")
    emulation = make_emulation(grid, backend, options)
    failure, pids = "", list[int]()
    try:
        emulation.start()
        pids = _pids(emulation)
        asyncio.run(_serve(grid, options.northbound, circuits, figures, began_s, say))
    except (TimeoutError, PowerError, EmulationError) as error:
        failure = str(error)
    finally:
        say("taking the network down")
        stopping_s = time.monotonic()
        emulation.stop()
        figures.down_s = time.monotonic() - stopping_s
    figures.leftovers = [f"process {pid}" for pid in pids if Path(f"/proc/{pid}").exists()]
    if backend == "mininet":
        figures.leftovers += cleanup.leftovers(ControlNetwork())
    shortcomings = ([failure] if failure else []) + figures.shortcomings()
    for shortcoming in shortcomings:
        console.print(f"[red]not well:[/red] {shortcoming}")
    output.write_text(json.dumps(asdict(figures), indent=2) + "\n")
    print(json.dumps(asdict(figures)))  # noqa: T201 - the last line is for machines
    sys.exit(1 if shortcomings else 0)


def _pids(emulation: Emulation) -> list[int]:
    """Of the controller and the routers that run."""
    status = emulation.status()
    controller = [status.controller_pid] if status.controller_pid else []
    return controller + list(status.router_pids.values())


async def _serve(
    grid: Grid,
    northbound: str,
    circuits: int,
    figures: MeshFigures,
    began_s: float,
    say: Callable[[str], None],
) -> None:
    async with AsyncPowerClient(northbound, timeout_s=_PATIENCE_S) as client:
        await wait_until_healthy(client, grid, _PATIENCE_S)
        figures.up_s = time.monotonic() - began_s
        say("all sessions, all advertisements and all lines are up")
        async with Observer(client) as observer:
            ids = await _request(client, observer, grid, circuits, figures, say)
            say("reading the meters")
            before = await whole_reading(client, _PATIENCE_S)
            await asyncio.sleep(_WINDOW_S)
            after = await whole_reading(client, _PATIENCE_S)
            _note_loads(figures, [observer.circuits[key] for key in ids], powers_w(before, after))
            lacking = Lacking.of(after)
            figures.missing_ms_max = max(
                lacking.in_all(key, observer.circuits[key].power_w) for key in ids
            )
            figures.interruptions = sum(observer.circuits[key].interruptions for key in ids)
            figures.reroutes = sum(observer.circuits[key].generation - 1 for key in ids)
            await _release(client, observer, ids, figures, say)


def _note_loads(figures: MeshFigures, circuits: Sequence[pb.Circuit], powers: Powers) -> None:
    """Each load has one circuit here."""
    loads = [
        LoadFigure(each.sink_id, each.power_w, powers.delivered_w.get(each.sink_id))
        for each in circuits
    ]
    errors = [load.error for load in loads if load.error is not None]
    figures.loads_right = sum(load.right for load in loads)
    figures.loads_unmeasured = len(loads) - len(errors)
    figures.worst_load_error = max(errors, default=None)


async def _request(
    client: AsyncPowerClient,
    observer: Observer,
    grid: Grid,
    circuits: int,
    figures: MeshFigures,
    say: Callable[[str], None],
) -> list[int]:
    asked_s = time.monotonic()
    answer = await client.batch_request_power(
        [power_request(load.id, load.power_w) for load in grid.loads[:circuits]]
    )
    ids = [circuit.circuit_id for outcome in answer.outcomes for circuit in outcome.circuits]
    figures.circuits = len(answer.outcomes)
    say(f"{len(ids)} circuits admitted of {figures.circuits} requests")
    try:
        await observer.until(
            lambda: observer.all_active(ids), _PATIENCE_S, "all circuits are active"
        )
    finally:
        figures.circuits_active = sum(observer.all_active([key]) for key in ids)
    figures.active_s = time.monotonic() - asked_s
    return ids


async def _release(
    client: AsyncPowerClient,
    observer: Observer,
    ids: list[int],
    figures: MeshFigures,
    say: Callable[[str], None],
) -> None:
    say("releasing all")
    for key in ids:
        await client.release_circuit(key)
    withdrawn = {pb.CIRCUIT_STATE_WITHDRAWN}
    await observer.until(
        lambda: observer.states(ids) <= withdrawn, _PATIENCE_S, "all circuits are withdrawn"
    )
    last_injected_mj = -1
    while True:
        books = add_up(await whole_reading(client, _PATIENCE_S))
        figures.oversubscribed_instants = books.oversubscribed_instants
        figures.conservation_error_mj = books.conservation_error_mj
        figures.lost_in_transit_mj = books.lost_in_transit_mj
        figures.lost_to_faults_mj = books.lost_to_faults_mj
        if (books.demand_mw, books.buffered_mj, books.injected_mj) == (0, 0, last_injected_mj):
            return
        last_injected_mj = books.injected_mj
        await asyncio.sleep(_QUIET_POLL_S)


if __name__ == "__main__":
    main()
