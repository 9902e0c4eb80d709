"""What a market takes of time, and of its controller: from a match until it is confirmed, and admissions beside it.

A whole controller with null routers runs in a process of its own, and a real ``dgm`` in another. ``market-confirm``:
200 times by turns, a circuit is asked of the controller, and a buyer's tender meets a seller's. ``ours_s`` is the p99
from the match until its circuit is held, the money of both is in escrow, and the signature of the trade is in the
ledger's log, durably each; ``set-up`` is the p99 from a request to the controller until its circuit has power, as the
controller tells it, with routers that answer at once; 0.1 s are allowed.

``market-beside``: the admissions of ``durable-admit-one``, by turns with the market running beside, which hears of
every circuit, and without; the median of the turns' ratios counts. ``agree``: all were confirmed, and all admitted.
"""

import asyncio
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median

from benchmarks.durable_admit import Ask, Client, controller_on
from benchmarks.harness import Row
from benchmarks.null_routers import grid_lsas, load_ids
from controller.computing.warm_up import warm_up_search
from digitalgrid.client import PowerClient, power_request
from digitalgrid.client.errors import PowerError
from digitalgrid.market.v1 import market_pb2 as pb
from topologies.emulator.ports import free_ports
from trading.client.blocking import MarketClient
from trading.client.signing import Signer
from trading.ledger.keys import SigningKey

_ELAN9 = Path(__file__).parents[1] / "topologies" / "elan9.grid.yaml"
_TURNS = 200
_PARTIES = {
    name: SigningKey.of_seed(name.encode().ljust(32)) for name in ("buyer", "seller", "operator")
}
# For one market to begin, or a trade to be confirmed (s): many times what either takes.
_PATIENCE_S = 60.0
_ADMISSIONS = Ask(1, 64, 1_500, "alone", 7)
# At the source's router, of elan9; power enough for all turns (W).
_SOURCE, _SOURCE_ROUTER = "source1", "r1"
_PLENTY_W = 1e6
_DGM = "from trading.cli import main; main()"


def rows(full: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".market-confirm-") as name:
        directory = Path(name)
        with _controller(directory) as address:
            yield _confirmed(directory, address)
            yield asyncio.run(_beside(directory, address))


@contextmanager
def _controller(directory: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    context = multiprocessing.get_context("spawn")
    is_up, stop = context.Event(), context.Event()
    process = context.Process(
        target=_serve_controller, args=(directory, address, is_up, stop), daemon=True
    )
    process.start()
    try:
        if not is_up.wait(_PATIENCE_S):
            raise TimeoutError("the controller does not begin")
        yield address
    finally:
        stop.set()
        process.join()


def _serve_controller(directory: Path, address: str, is_up: Event, stop: Event) -> None:
    async def serve() -> None:
        async with controller_on(grid_lsas(str(_ELAN9)), directory, address=address):
            is_up.set()
            await asyncio.to_thread(stop.wait)

    warm_up_search()
    asyncio.run(serve())


@contextmanager
def _market(directory: Path, controller: str) -> Iterator[str]:
    """Its address, once its worker is warm."""
    server = f"127.0.0.1:{free_ports(1)[0]}"
    path = directory / "market.yaml"
    path.write_text(json.dumps(_market_file(directory, controller, server)))
    process = subprocess.Popen([sys.executable, "-c", _DGM, "run", "--config", str(path)])
    try:
        _until(lambda: _is_ready(server))
        yield server
    finally:
        process.terminate()
        process.wait()


def _is_ready(server: str) -> bool:
    try:
        with MarketClient(server, timeout_s=_PATIENCE_S) as client:
            client.preview_clearing(mechanism="call")
    except PowerError:
        return False
    return True


def _market_file(directory: Path, controller: str, server: str) -> dict[str, object]:
    load, router = next(
        (load.load_id, lsa.router_id)
        for lsa in grid_lsas(str(_ELAN9))
        for load in lsa.loads
        if lsa.router_id != _SOURCE_ROUTER
    )
    source = {"source": _SOURCE, "router": _SOURCE_ROUTER, "max_injected_w": _PLENTY_W}
    meters = {
        "buyer": {"meter": "buyer", "router": router, "load": load, "max_drawn_w": _PLENTY_W},
        "seller": {"meter": "seller", **source},
    }
    keys = {name: key.public_key.hex() for name, key in _PARTIES.items()}
    return {
        "market": {
            "name": "bench",
            "interval_s": 10_000,
            "ahead": 2,
            "mechanisms": ["continuous"],
        },
        "operator": {"public_key": keys["operator"]},
        "parties": [
            {"party": name, "public_key": keys[name], "meters": [meter]}
            for name, meter in meters.items()
        ],
        "controller": [controller],
        "listen": server,
        "state_dir": str(directory / "market"),
        "log_level": "warning",
    }


def _confirmed(directory: Path, controller: str) -> Row:
    with (
        _market(directory, controller) as server,
        PowerClient(controller) as power,
        _client(server, "buyer") as buyer,
        _client(server, "seller") as seller,
    ):
        with _client(server, "operator") as operator:
            for party in _PARTIES:
                operator.deposit(party, 10**15, party)
        interval = buyer.market().intervals[-1].interval
        sinks = load_ids(grid_lsas(str(_ELAN9)))
        took, ids = [], []
        # Of the first turns everything is made that later ones share.
        for turn in range(-10, _TURNS):
            asked = power.request_power(power_request(sinks[turn % len(sinks)], 50.0))
            trade = _trade(buyer, seller, interval, turn)
            if turn >= 0:
                took.append((trade.confirmed_unix_ns - trade.matched_unix_ns) / 1e9)
                ids.append(asked.circuits[0].circuit_id)
        circuits = {each.circuit_id: each for each in power.list_circuits().circuits}
        set_up = [circuits[each].timings.actuated_after_ns / 1e9 for each in ids]
    return Row(
        "market-confirm",
        9,
        f"elan9, {_TURNS} by turns, p99",
        _p99(took),
        {"set-up": _p99(set_up), "allowed": 0.1},
        min(took) > 0.0 and min(set_up) > 0.0,
        {"median_s": median(took), "set_up_median_s": median(set_up)},
    )


def _client(server: str, party: str) -> MarketClient:
    return MarketClient(server, signer=Signer(party, _PARTIES[party]))


def _trade(
    buyer: MarketClient, seller: MarketClient, interval: pb.Interval, turn: int
) -> pb.Transaction:
    tenders = [
        pb.Tender(
            order_id=f"o{turn}",
            meter_id=name,
            side=side,
            wh=200,
            limit_micro_per_kwh=200_000,
            interval=interval,
        )
        for name, side in (("seller", pb.SIDE_SELL), ("buyer", pb.SIDE_BUY))
    ]
    seller.create_tender(tenders[0])
    buyer.create_tender(tenders[1])
    trade = buyer.list_transactions(open_only=True, newest=1)[0]

    def is_confirmed() -> bool:
        nonlocal trade
        trade = buyer.get_transaction(trade.trade_id)
        return trade.confirmed_unix_ns > 0

    _until(is_confirmed)
    return trade


async def _beside(directory: Path, controller: str) -> Row:
    client = Client(load_ids(grid_lsas(str(_ELAN9))))
    beside_s, alone_s, all_admitted = [], [], True
    try:
        await client.ask(controller, _ADMISSIONS)
        for _ in range(_ADMISSIONS.rounds):
            with _market(directory, controller):
                beside = await client.ask(controller, _ADMISSIONS)
            alone = await client.ask(controller, _ADMISSIONS)
            beside_s.append(beside.all_s)
            alone_s.append(alone.all_s)
            all_admitted &= beside.admitted == alone.admitted == _ADMISSIONS.admissions
    finally:
        client.close()
    best_s = min(beside_s)
    ratio = median(alone / beside for alone, beside in zip(alone_s, beside_s, strict=True))
    return Row(
        "market-beside",
        9,
        "elan9, 1 a call, 64 calls in flight",
        best_s / _ADMISSIONS.admissions,
        {"alone": ratio * best_s / _ADMISSIONS.admissions},
        all_admitted,
        {"ours_per_s": _ADMISSIONS.admissions / best_s},
    )


def _until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError("it never came true")
        time.sleep(0.005)


def _p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]
