"""``python -m benchmarks``: runs the benchmarks, prints their table, writes ``bench.json`` and the plot.

Each runs in a process of its own, one after another. Exits with 1 where one did not come to its end, an answer is not
as good as a peer's, or a promised ratio is missed.
"""

import json
import pkgutil
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import click
from rich.console import Console

import benchmarks
from benchmarks.apart import Died, Missing, rows_apart
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


class Measuring:
    """One benchmark after another; what was measured, who died, and what was skipped for what it needs."""

    def __init__(self, console: Console) -> None:
        self.rows: list[Row] = []
        self.died: list[str] = []
        self.skipped: list[str] = []
        self._console = console

    def run(self, name: str, module: str, full: bool) -> None:
        before = len(self.rows)
        with self._console.status(f"{name} ..."):
            try:
                with closing(rows_apart(module, full)) as rows:
                    for row in rows:
                        self.rows.append(row)
                        self._tell(row)
            except Missing as missing:
                self.skipped.append(f"{name} is skipped: {missing}")
            except Died as died:
                self.died.append(f"{name} {died}")
            else:
                if len(self.rows) == before:
                    self.skipped.append(f"{name} is skipped: it only runs with --full")

    def _tell(self, row: Row) -> None:
        peers = ", ".join(
            f"{each} {seconds / row.ours_s:.3g}x" for each, seconds in row.peers.items()
        )
        unit = row.extra.get("unit", "s")
        self._console.print(
            f"{row.name}  {row.instance}  {row.ours_s:.3g} {unit}  {peers}", soft_wrap=True
        )


@click.command("benchmarks", cls=Tool)
@click.argument("names", nargs=-1, type=click.Choice(sorted(_modules())))
@click.option("--full", is_flag=True, help="All sizes; takes long.")
@click.option("--output", type=OutputType(), default=Path("bench.json"))
@click.option("--plot", "picture", type=OutputType())
def main(names: tuple[str, ...], full: bool, output: Path, picture: Path | None) -> None:
    """Runs all benchmarks, or those NAMED."""
    modules = _modules()
    chosen = {name: modules[name] for name in names or sorted(modules)}
    sys.exit(0 if measure(chosen, full, output, picture) else 1)


def measure(modules: dict[str, str], full: bool, output: Path, picture: Path | None = None) -> bool:
    """Whether all came to their end, and kept what is promised."""
    console = Console(stderr=True)
    measuring = Measuring(console)
    try:
        with _interrupted_by(signal.SIGTERM, signal.SIGHUP):
            for name, module in modules.items():
                measuring.run(name, module, full)
    finally:
        # What was measured before somebody interrupted is kept.
        output.write_text(json.dumps([row.as_json() for row in measuring.rows], indent=1) + "\n")
    Console(width=None if sys.stdout.isatty() else 160).print(table(measuring.rows))
    if picture is not None:
        plot(measuring.rows, picture)
    _say(console, measuring.skipped, "yellow")
    failures = [*measuring.died, *missed(measuring.rows)]
    _say(console, failures, "bold red")
    return not failures


@contextmanager
def _interrupted_by(*signals: signal.Signals) -> Generator[None]:
    """As by Ctrl-C: the benchmark that runs is not in our group, and nobody else would end it."""
    before = {each: signal.signal(each, signal.default_int_handler) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _say(console: Console, sentences: Sequence[str], style: str) -> None:
    for sentence in sentences:
        console.print(sentence, style=style, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
