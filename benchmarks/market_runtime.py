"""Durable tenders within an exchange: desk, positions, funds, order book and journal, without gRPC and signatures.

Batches of 64, four in flight, on a disk that is flushed for each commit. ``allowed`` is what 15,000 tenders a second
take: three times what is promised to clients, so that the exchange itself is never what they wait for. ``crossing``
has every second batch meet the one before, so that trades are made of all of it; nobody answers for the controller,
whose holds wait. ``agree``: all were taken, and as many trades are there as have to be.
"""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.harness import Row
from digitalgrid.units import NS_PER_S
from trading.core.orders import Interval, MarketRules, Meter, Side, Tender
from trading.core.units import MicroPerKwh, Nano, Wh
from trading.exchange.journal import Journal
from trading.exchange.runtime import Runtime
from trading.market.records import OrderRecord
from trading.market.settings import CONTINUOUS, MarketSettings

_ALLOWED_S = 1 / 15_000
_BATCH, _IN_FLIGHT, _PARTIES = 64, 4, 128
_TENDERS = 64 * 300
_ROUNDS = 5
_NOW_NS = 1_000 * NS_PER_S
_RULES = MarketRules(
    length_ns=900 * NS_PER_S,
    orders_per_party=_TENDERS,
    tenders_per_s=1e9,
    tender_burst=_TENDERS,
)
_SETTINGS = MarketSettings(
    "bench",
    _RULES,
    mechanisms=(CONTINUOUS,),
    meters=tuple([Meter(f"m{each}", f"p{each}", "r1", 1e12, 1e12) for each in range(_PARTIES)]),
)


class _Nobody:
    """A controller that does not answer, and a ledger where everybody is rich."""

    def free(self, account: str) -> Nano:
        return Nano(10**18)

    async def _never(self, *_: object) -> None:
        await asyncio.Event().wait()

    hold = activate = release = read = network = watch = clear = _never
    lock = sign = revoke = pay = close = _never


def rows(full: bool) -> Iterator[Row]:
    for name, crosses in (("market-durable", False), ("market-crossing", True)):
        with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".market-runtime-") as directory:
            took = [
                asyncio.run(_round(Path(directory) / str(number), crosses=crosses))
                for number in range(_ROUNDS)
            ]
        best_s = min(took_s for took_s, _ in took)
        yield Row(
            name,
            _BATCH,
            f"{_PARTIES} parties, {_BATCH} a batch, {_IN_FLIGHT} in flight",
            best_s / _TENDERS,
            {"allowed": _ALLOWED_S},
            all(is_right for _, is_right in took),
            {"ours_per_s": _TENDERS / best_s},
        )


async def _round(path: Path, *, crosses: bool) -> tuple[float, bool]:
    """Seconds, and whether all was taken."""
    nobody = _Nobody()
    runtime = Runtime(
        _SETTINGS,
        Journal(path, _SETTINGS.name),
        nobody,  # type: ignore[arg-type]
        nobody,  # type: ignore[arg-type]
        nobody,  # type: ignore[arg-type]
        lambda: _NOW_NS,
    )
    runtime.start()
    await runtime.durable()
    (interval,) = _RULES.open_intervals(_NOW_NS)
    waiting = iter(_batches(interval, crosses=crosses))
    taken = 0

    async def tender_on() -> None:
        nonlocal taken
        for batch in waiting:
            answers = await runtime.create_tenders(batch, mandate_holds=True)
            taken += sum(isinstance(each, OrderRecord) for each in answers)

    begin_s = perf_counter()
    await asyncio.gather(*[tender_on() for _ in range(_IN_FLIGHT)])
    took_s = perf_counter() - begin_s
    trades = sum(1 for _ in runtime.market.trades())
    await runtime.close()
    return took_s, taken == _TENDERS and trades == (_TENDERS // 2 if crosses else 0)


def _batches(interval: Interval, *, crosses: bool) -> Sequence[Sequence[Tender]]:
    """Of one party each. Buyers are below sellers, or above them."""
    batches = []
    for number in range(_TENDERS // _BATCH):
        side = Side.SELL if number % 2 == 0 else Side.BUY
        above = (side is Side.SELL) != crosses
        batches.append(
            [
                Tender(
                    order_id=f"{number}-{each}",
                    party=f"p{number % _PARTIES}",
                    meter_id=f"m{number % _PARTIES}",
                    side=side,
                    wh=Wh(100),
                    limit=MicroPerKwh(200_000 + (1_000 if above else -1_000) + each),
                    interval=interval,
                    nonce=number * _BATCH + each,
                    signature=bytes(64),
                )
                for each in range(_BATCH)
            ]
        )
    return batches
