"""``make market``: a day of trade on an emulated network, with faults; exit code 0 only if every check holds."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import click
from rich.console import Console

from digitalgrid.client import AsyncPowerClient
from digitalgrid.command_line import Tool
from digitalgrid.gridfile import load_grid
from topologies.demo.observer import Observer
from topologies.demo.performance import Say, chosen, narrator, perform, run_options
from topologies.emulator.backends import make_emulation
from topologies.emulator.plan import EmulationOptions, RunFiles
from topologies.emulator.spawner import Spawner
from topologies.market_day.checks import Check, check_ledger, checks_of
from topologies.market_day.day import Day
from topologies.market_day.exchange import MECHANISMS, Exchange
from topologies.market_day.lying_router import AGENT
from topologies.market_day.plot import NoPlot, plot
from topologies.market_day.prosumers import PROSUMERS
from topologies.market_day.report import show, to_json
from topologies.market_day.story import MarketDay

_GRID = Path(__file__).parents[1] / "prosumers9.grid.yaml"
# The second exchange's gate (s), after the first has its circuits.
_LATE_GATE_S = 1.5


@click.command("market", cls=Tool)
@click.option("--seed", default=1, show_default=True, help="Of clouds, habits and limits.")
@click.option(
    "--rotation",
    type=click.IntRange(0, len(MECHANISMS) - 1),
    default=0,
    show_default=True,
    help="By how many mechanisms the day begins later: others meet each fault.",
)
@click.option("--quiet-day", is_flag=True, help="Nothing goes wrong.")
@run_options("market")
def main(
    backend: str | None,
    seed: int,
    rotation: int,
    quiet_day: bool,
    output: Path,
    run_dir: Path,
    northbound: str,
    southbound_port: int,
) -> None:
    """Lets ten parties trade for twelve intervals of ten seconds, breaks what can break, and makes their bills."""
    console = Console(stderr=True)
    say = narrator(console)
    exchange = _exchange(run_dir / "market", "village", northbound)
    rival = _exchange(run_dir / "rival", "rival", northbound, _LATE_GATE_S)
    # Whoever watches sees the market on the operator's page.
    options = EmulationOptions(
        run_dir=run_dir,
        northbound=northbound,
        southbound_port=southbound_port,
        market=exchange.server,
    )
    emulation = make_emulation(load_grid(_GRID), chosen(backend, say), options)
    # Its routers are like all others until one is told to lie.
    emulation.agents.spawner.close()
    emulation.agents.spawner = Spawner(AGENT)
    files = RunFiles.under(run_dir)
    told: list[Day] = []

    async def story(client: AsyncPowerClient, observer: Observer) -> None:
        for each in (exchange, rival):
            each.start()
        for each in (exchange, rival):
            await asyncio.to_thread(each.wait_listening)
        market_day = MarketDay(
            *(emulation, client, exchange, rival, files.router_state, PROSUMERS, say),
            *(seed, rotation),
        )
        told.append(market_day.day)
        await market_day.live(faults=not quiet_day)

    try:
        failure = perform(emulation, northbound, story, say)
    finally:
        for each in (exchange, rival):
            each.stop()
    _report(console, say, told, exchange, failure, output)


def _exchange(root: Path, name: str, controller: str, gate_s: float | None = None) -> Exchange:
    """With nothing left of another day."""
    shutil.rmtree(root, ignore_errors=True)
    gate = {} if gate_s is None else {"gate_s": gate_s}
    return Exchange(root, name, PROSUMERS, controller, **gate)


def _report(
    console: Console, say: Say, told: list[Day], exchange: Exchange, failure: str, output: Path
) -> None:
    checks: list[Check] = []
    day = told[0] if told else None
    if day is not None and not failure:
        scratch = exchange.files.root / "altered.sqlite"
        checks = checks_of(day) + check_ledger(exchange.files.ledger, day, scratch)
        show(console, day, checks)
        picture = output.with_suffix(".svg")
        try:
            plot(day, picture)
            say(f"prices, energy, and who traded with whom: {picture}")
        except NoPlot as error:
            say(str(error))
    if failure:
        console.print(f"[red]not well:[/red] {failure}")
    document = to_json(day, checks, failure) if day is not None else {"failure": failure}
    output.write_text(json.dumps(document, indent=2) + "\n")
    say(f"all of it: {output}")
    sys.exit(0 if document.get("ok") else 1)


if __name__ == "__main__":
    main()
