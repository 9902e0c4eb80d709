"""One party floods an exchange: how long others wait for their tenders meanwhile, beside how long they do in peace."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from digitalgrid.market.v1 import market_pb2 as pb
from tests.chaos.report import Report
from tests.support.floods import FLOODS
from tests.support.market_daemon import market_daemon, tender
from tests.support.programs import DIES_WITH_PARENT
from trading.client.blocking import MarketClient

# Of the party that is measured, in each of the times of peace and flood, which take turns; how often (s) it tenders.
_TENDERS, _EACH_S = 200, 0.02
# How much longer others may wait for a flood, at p99.
_MOST = 3.0
# Nobody decides where a controller is asked for nothing.
_NOBODY = "127.0.0.1:9"
_MARKET = {"interval_s": 3600, "gate_s": 2, "ahead": 2, "orders_per_party": 100_000}


async def market_flood(rounds: int, seed: int, report: Report) -> None:
    """Of each kind of flood: others' p99, beside that of peace."""
    await asyncio.to_thread(_market_flood, rounds, seed, report)


def _market_flood(rounds: int, seed: int, report: Report) -> None:
    for kind in FLOODS:
        with (
            TemporaryDirectory(prefix="chaos-") as name,
            market_daemon(Path(name), _NOBODY, market=_MARKET) as dgm,
            dgm.client("ann") as ann,
        ):
            quiet, flooded = _turns(ann, dgm.server, kind, rounds)
        report.progress(rounds, f"flooded by {kind}")
        ratio = _p99(flooded) / _p99(quiet)
        report.figures[f"market_flood_{kind}"] = {
            "tenders": len(flooded),
            "quiet_p99_ms": round(1e3 * _p99(quiet), 1),
            "flooded_p50_ms": round(1e3 * statistics.median(flooded), 1),
            "flooded_p99_ms": round(1e3 * _p99(flooded), 1),
            "ratio": round(ratio, 2),
            "limit": _MOST,
        }
        if ratio > _MOST:
            report.missed.append(f"others wait {ratio:.1f} times as long under {kind}")


def _turns(
    ann: MarketClient, server: str, kind: str, rounds: int
) -> tuple[list[float], list[float]]:
    quiet: list[float] = []
    flooded: list[float] = []
    for number in range(rounds):
        quiet += _tendered(ann, f"quiet {number}")
        with _flood(kind, server):
            flooded += _tendered(ann, f"flooded {number}")
    return quiet, flooded


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
