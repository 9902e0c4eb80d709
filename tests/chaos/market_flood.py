"""One party floods an exchange: how long others wait for their tenders meanwhile, beside how long they do in peace."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from digitalgrid.market.v1 import market_pb2 as pb
from tests.chaos.report import Report
from tests.support.floods import FLOODS
from tests.support.market_daemon import market_daemon, tender
from tests.support.programs import DIES_WITH_PARENT
from trading.client.blocking import MarketClient

# Of the party that is measured, in each of the times of peace and flood, which take turns; how often (s) it tenders.
_TENDERS, _EACH_S = 200, 0.02
# How much longer others may wait for a flood, at p99: the median of several turns, as of one it is about the third
# slowest tender, beside another such.
_MOST = 3.0
# Nobody decides where a controller is asked for nothing.
_NOBODY = "127.0.0.1:9"
# How long (s) tenders took in peace, and then under a flood.
Turn = tuple[list[float], list[float]]
_MARKET = {"interval_s": 3600, "gate_s": 2, "ahead": 2, "orders_per_party": 100_000}


async def market_flood(rounds: int, seed: int, report: Report) -> None:
    """Of each kind of flood: others' p99, beside that of peace, in so many turns."""
    await asyncio.to_thread(_market_flood, rounds, seed, report)


def _market_flood(rounds: int, seed: int, report: Report) -> None:
    for kind in FLOODS:
        with (
            TemporaryDirectory(prefix="chaos-") as name,
            market_daemon(Path(name), _NOBODY, market=_MARKET) as dgm,
            dgm.client("ann") as ann,
        ):
            turns = [_turn(ann, dgm.server, kind, number) for number in range(rounds)]
        report.progress(rounds, f"flooded by {kind}")
        figure = _figure(turns)
        report.figures[f"market_flood_{kind}"] = figure
        if figure["ratio"] > _MOST:
            report.missed.append(f"others wait {figure['ratio']} times as long under {kind}")


def _figure(turns: Sequence[Turn]) -> dict[str, Any]:
    """Medians over turns of peace and flood."""
    quiet, flooded = ([_p99(each) for each in side] for side in zip(*turns, strict=True))
    ratios = [under / in_peace for in_peace, under in zip(quiet, flooded, strict=True)]
    all_flooded = [each for _, took in turns for each in took]
    return {
        "turns": len(turns),
        "tenders": len(all_flooded),
        "quiet_p99_ms": round(1e3 * statistics.median(quiet), 1),
        "flooded_p50_ms": round(1e3 * statistics.median(all_flooded), 1),
        "flooded_p99_ms": round(1e3 * statistics.median(flooded), 1),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(each, 2) for each in ratios],
        "limit": _MOST,
    }


def _turn(ann: MarketClient, server: str, kind: str, number: int) -> Turn:
    quiet = _tendered(ann, f"quiet {number}")
    with _flood(kind, server):
        return quiet, _tendered(ann, f"flooded {number}")


def _tendered(ann: MarketClient, name: str) -> list[float]:
    """How long each took (s); nobody sells for so little."""
    interval = ann.market().intervals[-1].interval
    took = []
    for number in range(_TENDERS):
        wanted = tender(pb.SIDE_BUY, "ann", interval, f"{name} {number}", wh=1)
        wanted.limit_micro_per_kwh = 1
        began_s = time.monotonic()
        ann.create_tender(wanted)
        took.append(time.monotonic() - began_s)
        time.sleep(_EACH_S)
    return took


@contextmanager
def _flood(kind: str, server: str) -> Iterator[None]:
    command = (*DIES_WITH_PARENT, sys.executable, "-m", "tests.support.floods", kind, server)
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        assert process.poll() is None, "the flood has ended"
    finally:
        process.kill()
        process.communicate()


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]
