"""``python -m benchmarks``: runs the benchmarks, prints their table, writes ``bench.json`` and the plot.

Exits with 1 where an answer is not as good as a peer's, or a promised ratio is missed.
"""

import importlib
import json
import logging
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

import benchmarks
from benchmarks.harness import Row
from benchmarks.report import missed, plot, table
from digitalgrid.command_line import OutputType, Tool


def _modules() -> dict[str, str]:
    """Every module here that has rows to give, by the name that it is called on the command line."""
    return {
        info.name.replace("_", "-"): f"benchmarks.{info.name}"
        for info in pkgutil.iter_modules(benchmarks.__path__)
        if not info.name.startswith("_")
        and "\ndef rows("
        in (Path(benchmarks.__path__[0]) / f"{info.name}.py").read_text(encoding="utf-8")
    }


def _run(names: list[str], full: bool, console: Console) -> Iterator[Row]:
    modules = _modules()
    for name in names or sorted(modules):
        with console.status(f"{name} ..."):
            for row in importlib.import_module(modules[name]).rows(full):
                peers = ", ".join(
                    f"{each} {seconds / row.ours_s:.3g}x" for each, seconds in row.peers.items()
                )
                unit = row.extra.get("unit", "s")
                console.print(f"{row.name}  {row.instance}  {row.ours_s:.3g} {unit}  {peers}")
                yield row


@click.command("benchmarks", cls=Tool)
@click.argument("names", nargs=-1, type=click.Choice(sorted(_modules())))
@click.option("--full", is_flag=True, help="All sizes; takes long.")
@click.option("--output", type=OutputType(), default=Path("bench.json"))
@click.option("--plot", "picture", type=OutputType())
def main(names: tuple[str, ...], full: bool, output: Path, picture: Path | None) -> None:
    """Runs all benchmarks, or those NAMED."""
    # Lines that are cut, and what a daemon says of it, are meant.
    logging.basicConfig(level=logging.CRITICAL)
    console = Console(stderr=True)
    rows: list[Row] = []
    try:
        rows.extend(_run(list(names), full, console))
    finally:
        # What was measured before something failed is kept.
        output.write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    Console(width=None if sys.stdout.isatty() else 160).print(table(rows))
    if picture is not None:
        plot(rows, picture)
    failures = missed(rows)
    for failure in failures:
        console.print(f"[bold red]{failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
