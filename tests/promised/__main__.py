"""``python -m tests.promised``: properties of the exchange with as many random cases as are promised, in minutes.

``make test`` has some of each. Exits with 1 where one does not hold.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import click
from rich.console import Console
from rich.table import Table

from digitalgrid.command_line import Tool

_TRADING = "tests/property/trading"
_ENTRIES = 1_000


@dataclass(frozen=True, slots=True)
class Promise:
    """``name``: of the variable that says how many cases, see :mod:`tests.support.cases`. ``only``: tests so called."""

    file: str
    name: str
    cases: int
    only: str = ""


PROMISES = {
    "saga": Promise(f"{_TRADING}/test_saga.py", "HISTORIES", 10_000, "every_trade_ends_once"),
    "market": Promise(f"{_TRADING}/test_market.py", "HISTORIES", 10_000, "every_trade_ends_once"),
    "call": Promise(f"{_TRADING}/test_call.py", "BOOKS", 10_000),
    # Of 151 events, for each of three ways to deal with those who would trade with themselves: a million.
    "continuous": Promise(f"{_TRADING}/test_book.py", "BOOKS", 2_208, "what_the_plain_one_does"),
    "nodal": Promise(f"{_TRADING}/test_nodal.py", "NETWORKS", 200, "what_a_cone_program_finds"),
    "admitted": Promise(f"{_TRADING}/test_matches_are_admitted.py", "NETWORKS", 200),
    # And the end of it.
    "log": Promise("tests/attack/trading/test_modification.py", "WHOLE_ENTRIES", _ENTRIES + 1),
}
# Parts of each: so that all processors have some to the end.
_SHARES = 8


@dataclass(slots=True)
class Found:
    """Of a promise: what its tests have counted, how long that took of processors' time, and what does not hold."""

    figures: Counter[str]
    seconds: float = 0.0
    wrong: str = ""


def _share(promise: Promise, at: int) -> Found:
    began_s = time.monotonic()
    with TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        # Of the older family: the newer has no properties.
        told = ["-o", "junit_family=xunit1", f"--junit-xml={report}"]
        command = [sys.executable, "-m", "pytest", "-q", "--timeout=0", *told]
        done = subprocess.run(
            [*command, promise.file, *(("-k", promise.only) if promise.only else ())],
            env=os.environ | {promise.name: str(promise.cases), "SHARE": f"{at}/{_SHARES}"},
            capture_output=True,
            text=True,
            check=False,
        )
        figures = Counter(dict(_figures(report)))
    wrong = f"share {at}/{_SHARES}:\n{done.stdout}{done.stderr}" if done.returncode else ""
    return Found(figures, time.monotonic() - began_s, wrong)


def _figures(report: Path) -> Iterator[tuple[str, int]]:
    """What tests have recorded, added up."""
    found: Counter[str] = Counter()
    if report.exists():
        for each in ElementTree.parse(report).iter("property"):
            found[each.attrib["name"]] += int(each.attrib["value"])
    yield from found.items()


def _together(shares: list[Future[Found]]) -> Found:
    found = Found(Counter())
    for each in shares:
        done = each.result()
        found.figures += done.figures
        found.seconds += done.seconds
        found.wrong += done.wrong
    return found


@click.command("promised", cls=Tool)
@click.argument("names", nargs=-1, metavar="[PROMISE]...", type=click.Choice(sorted(PROMISES)))
@click.option("--jobs", type=click.IntRange(min=1), help="At a time.  [default: processors]")
def main(names: tuple[str, ...], jobs: int | None) -> None:
    """Tries all cases of all promises, or of those NAMED."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(title="promised")
    for column in ("", "cases", "looked at", "s", "holds"):
        table.add_column(column)
    wrong = ""
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        waiting = {
            name: [pool.submit(_share, PROMISES[name], at) for at in range(_SHARES)]
            for name in names or PROMISES
        }
        for name, shares in waiting.items():
            found = _together(shares)
            told = "  ".join(f"{key} {count:,}" for key, count in found.figures.items())
            holds = "no" if found.wrong else "yes"
            cases = f"{PROMISES[name].cases:,} {PROMISES[name].name}"
            table.add_row(name, cases.lower(), told, f"{found.seconds:.0f}", holds)
            console.print(f"{name}: {told}: {'does NOT hold' if found.wrong else 'holds'}")
            wrong += found.wrong
    console.print(table)
    if wrong:
        Console(stderr=True).print(wrong, markup=False, highlight=False)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
