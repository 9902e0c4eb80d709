"""Durable tenders through gRPC: a client in a process of its own tenders, and is answered once the journal has them.

The exchange is whole: its server, signatures that are checked, the desk with positions and funds, a journal in SQLite
on a disk that is flushed for each commit, and a ledger; no controller is there, as tenders wait for their gate.
``batch`` has 64 tenders a call and 4 calls in flight, ``one`` a tender a call and 64 in flight. Their peer is a bare
server beside it, before the same disk and the same client, a round of its own after each of ours: it takes the same
requests off the wire, adds them to a file with one flush for all that came while the last was under way, and answers
with messages as long as ours. Rates are of the best round; the peer's time is that times the median of peer to ours
over rounds. ``agree``: all were taken.
"""

import asyncio
import json
import multiprocessing
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter, time_ns

import grpc

from benchmarks.bare import BareGroupCommit
from benchmarks.harness import Row
from digitalgrid.channels import asyncio_channel
from digitalgrid.garbage_collector import freeze_loaded
from digitalgrid.interpreter_lock import share_promptly
from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.market.v1.market_pb2_grpc import (
    MarketServiceServicer,
    MarketServiceStub,
    add_MarketServiceServicer_to_server,
)
from trading.exchange.clearer import WorkerClearer
from trading.exchange.config import ExchangeConfig, load_config
from trading.exchange.daemon import open_exchange
from trading.exchange.services.server import start_server
from trading.ledger.keys import SigningKey
from trading.ledger.mandates import sign

# As many as calls are in flight: each has nonces of its own, in whatever order calls arrive.
_PARTIES = 64
_KEYS = [SigningKey.of_seed(number.to_bytes(32)) for number in range(1, _PARTIES + 1)]
# On each account, in nanos: nobody is short of it.
_MONEY = 10**15


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client does in one round: so many tenders, ``batch`` in a call."""

    batch: int
    in_flight: int
    tenders: int
    rounds: int


_ASKS = {"batch": Ask(64, 4, 7_680, 5), "one": Ask(1, _PARTIES, 1_536, 7)}


@dataclass(slots=True)
class _Rounds:
    ours_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)
    all_taken: bool = True

    @property
    def bare_to_ours(self) -> float:
        turns = zip(self.ours_s, self.bare_s, strict=True)
        return median(bare / ours for ours, bare in turns)


def rows(full: bool) -> Iterator[Row]:
    freeze_loaded()
    share_promptly()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".market-tenders-") as directory:
        yield from asyncio.run(_rows(Path(directory)))


async def _rows(directory: Path) -> list[Row]:
    rounds = {way: _Rounds() for way in _ASKS}
    client = _Client()
    try:
        async with exchange_on(directory) as ours, _bare_on(directory) as bare:
            # Of the first call everything is made that later ones share.
            await client.ask(ours, Ask(1, 1, 1, 1))
            turns = ((way, ask) for way, ask in _ASKS.items() for _ in range(ask.rounds))
            for way, ask in turns:
                took_s, taken = await client.ask(ours, ask)
                rounds[way].ours_s.append(took_s)
                rounds[way].all_taken &= taken == ask.tenders
                rounds[way].bare_s.append((await client.ask(bare, ask))[0])
    finally:
        client.close()
    return [_row(way, _ASKS[way], each) for way, each in rounds.items()]


def _row(way: str, ask: Ask, rounds: _Rounds) -> Row:
    best_s = min(rounds.ours_s)
    return Row(
        f"market-tender-{way}",
        _PARTIES,
        f"{_PARTIES} parties, {ask.batch} a call, {ask.in_flight} calls in flight",
        best_s / ask.tenders,
        {"bare-grpc": rounds.bare_to_ours * best_s / ask.tenders},
        rounds.all_taken,
        {"ours_per_s": ask.tenders / best_s},
    )


@asynccontextmanager
async def exchange_on(directory: Path) -> AsyncIterator[str]:
    """Its address; all parties have money."""
    config = market_config(directory)
    address = f"unix:{directory}/market.socket"
    async with AsyncExitStack() as stack:
        exchange = await open_exchange(config, WorkerClearer(), _fail, stack)
        server, _ = await start_server(exchange, address)
        stack.push_async_callback(server.stop, None)
        for party in config.parties:
            deposit = ledger_pb2.Deposit(account=party.party, nano=_MONEY)
            await exchange.ledger.write(party.party, ledger_pb2.Entry(deposit=deposit))
        exchange.runtime.start()
        yield address


def market_config(directory: Path) -> ExchangeConfig:
    """Of a market that nobody is near the limits of; an interval is long, so that no gate closes meanwhile."""
    parties = [
        {
            "party": f"p{number}",
            "public_key": key.public_key.hex(),
            "meters": [{"meter": f"m{number}", "router": "r1", "load": f"l{number}", "max_drawn_w": 1e9}],
        }
        for number, key in enumerate(_KEYS)
    ]  # fmt: skip
    content = {
        "market": {
            "name": "bench",
            "interval_s": 10_000,
            "ahead": 2,
            "orders_per_party": 100_000,
            "tenders_per_s": 1e6,
            "tender_burst": 1_000_000,
        },
        "operator": {"public_key": SigningKey.of_seed(bytes(32)).public_key.hex()},
        "parties": parties,
        # Nobody listens there.
        "controller": ["127.0.0.1:9"],
        "state_dir": str(directory / "state"),
    }
    path = directory / "market.yaml"
    path.write_text(json.dumps(content))
    return load_config(path)


def _fail(error: Exception) -> None:
    raise error


class _BareMarket(MarketServiceServicer):
    """Answers once what was asked for is written, and decides nothing."""

    def __init__(self, lines: BareGroupCommit[bytes]) -> None:
        self._lines = lines

    async def GetMarket(
        self, request: pb.GetMarketRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetMarketResponse:
        return pb.GetMarketResponse(intervals=[_interval()])

    async def CreateTenders(
        self, request: pb.CreateTendersRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateTendersResponse:
        await self._lines.commit(request.SerializeToString())
        party = request.mandate.party
        return pb.CreateTendersResponse(
            results=[
                pb.TenderResult(order=pb.Order(seq=1, party=party, tender=each, open_wh=each.wh))
                for each in request.tenders
            ]
        )


def _interval() -> pb.MarketInterval:
    return pb.MarketInterval(interval=pb.Interval(start_unix_ns=time_ns(), length_ns=1))


@asynccontextmanager
async def _bare_on(directory: Path) -> AsyncIterator[str]:
    with (directory / "bare").open("wb", buffering=0) as file:

        def write(calls: Sequence[bytes]) -> None:
            file.write(b"".join(calls))
            os.fdatasync(file.fileno())

        lines = BareGroupCommit(write)
        server = grpc.aio.server()
        add_MarketServiceServicer_to_server(_BareMarket(lines), server)
        address = f"unix:{directory}/bare.socket"
        server.add_insecure_port(address)
        await server.start()
        try:
            yield address
        finally:
            await server.stop(None)
            lines.close()


class _Client:
    """A process that tenders when it is told to."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    async def ask(self, address: str, ask: Ask) -> tuple[float, int]:
        """Seconds until all were answered; how many were taken."""
        self._pipe.send((address, ask))
        answered: tuple[float, int] = await asyncio.to_thread(self._pipe.recv)
        return answered

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join()


def _serve(pipe: Connection) -> None:
    asyncio.run(_answer_asks(pipe))


async def _answer_asks(pipe: Connection) -> None:
    while (told := await asyncio.to_thread(pipe.recv)) is not None:
        address, ask = told
        async with asyncio_channel(address) as channel:
            await channel.channel_ready()
            pipe.send(await _ask(MarketServiceStub(channel), ask))


async def _ask(stub: MarketServiceStub, ask: Ask) -> tuple[float, int]:
    market: pb.GetMarketResponse = await stub.GetMarket(pb.GetMarketRequest())
    calls = _signed(market, ask)
    shares = [iter(calls[slot :: ask.in_flight]) for slot in range(ask.in_flight)]
    taken = 0

    async def ask_on(share: Iterator[pb.CreateTendersRequest]) -> None:
        nonlocal taken
        for call in share:
            answer = await stub.CreateTenders(call)
            taken += sum(each.HasField("order") for each in answer.results)

    begin_s = perf_counter()
    await asyncio.gather(*(ask_on(share) for share in shares))
    return perf_counter() - begin_s, taken


def _signed(market: pb.GetMarketResponse, ask: Ask) -> list[pb.CreateTendersRequest]:
    """Each slot in flight has a party of its own; all is signed before the clock runs."""
    began_ns, interval = time_ns(), market.intervals[-1].interval
    calls = []
    for number in range(ask.tenders // ask.batch):
        party = number % ask.in_flight
        tenders = [
            pb.Tender(
                order_id=f"{began_ns}-{number}-{each}",
                meter_id=f"m{party}",
                side=pb.SIDE_BUY,
                wh=1,
                limit_micro_per_kwh=200_000 + each,
                interval=interval,
            )
            for each in range(ask.batch)
        ]
        request = pb.CreateTendersRequest(tenders=tenders)
        nonce = began_ns + number * ask.batch
        calls.append(
            sign("CreateTenders", request, f"p{party}", nonce, _KEYS[party], market.log_id)
        )
    return calls
