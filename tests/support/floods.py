"""Floods: one party, or somebody who only says that he is one, asks an exchange for as much as it can.

``python -m tests.support.floods KIND SERVER`` floods until it is ended, and says on a line of its own once it does.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import grpc

from digitalgrid.channels import asyncio_channel
from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.market_daemon import KEYS, tender
from trading.client.calls import Connection, channel_options
from trading.client.signing import Signer
from trading.ledger.keys import SigningKey

# As a client may have.
_CONNECTIONS, _IN_FLIGHT, _BATCH = 4, 16, 512
# Whoever is measured comes first on a machine of few cores: an attacker has others.
_NICENESS = 10


async def _batches(connection: Connection, market: pb.GetMarketResponse, key: SigningKey) -> None:
    """As large as they may be; each is signed anew."""
    interval, signer = market.intervals[-1].interval, Signer("bob", key)
    asked = 0
    while True:
        asked += _BATCH
        wanted = [
            tender(pb.SIDE_SELL, "bob", interval, f"{id(connection)} {asked + number}", wh=1)
            for number in range(_BATCH)
        ]
        request = pb.CreateTendersRequest(tenders=wanted)
        signer.sign("CreateTenders", request, market.log_id, _BATCH)
        await _whatever(connection.market.CreateTenders(request))


async def batches(connection: Connection, market: pb.GetMarketResponse) -> None:
    await _batches(connection, market, KEYS["bob"])


async def forged(connection: Connection, market: pb.GetMarketResponse) -> None:
    """By another key than that of the party that is named."""
    await _batches(connection, market, KEYS["ann"])


async def singles(connection: Connection, market: pb.GetMarketResponse) -> None:
    """Tenders, one a call, and each is cancelled."""
    interval, signer = market.intervals[-1].interval, Signer("bob", KEYS["bob"])
    number = 0
    while True:
        number += 1
        name = f"{id(connection)} {id(signer)} {number}"
        wanted = tender(pb.SIDE_SELL, "bob", interval, name, wh=1)
        request = pb.CreateTendersRequest(tenders=[wanted])
        await _whatever(
            connection.market.CreateTenders(signer.sign("CreateTenders", request, market.log_id))
        )
        cancel = signer.sign("CancelTender", pb.CancelTenderRequest(order_id=name), market.log_id)
        await _whatever(connection.market.CancelTender(cancel))


async def reads(connection: Connection, market: pb.GetMarketResponse) -> None:
    """The longest lists, which nobody signs for."""
    while True:
        await _whatever(connection.market.ListTenders(pb.ListTendersRequest(page_size=1_000)))


async def watches(connection: Connection, market: pb.GetMarketResponse) -> None:
    """Whoever watches and reads no more than the first word."""
    stream = connection.market.WatchMarket(pb.WatchMarketRequest())
    await stream.read()
    await asyncio.Event().wait()


async def _whatever(call: Awaitable[object]) -> None:
    try:
        await call
    except grpc.aio.AioRpcError as refused:
        if refused.code() is grpc.StatusCode.UNAVAILABLE:
            await asyncio.sleep(0.1)


Flood = Callable[[Connection, pb.GetMarketResponse], Awaitable[None]]
FLOODS: dict[str, Flood] = {
    each.__name__: each for each in (batches, forged, singles, reads, watches)
}


async def main(kind: str, server: str) -> None:
    connections = [
        Connection(asyncio_channel(server, channel_options(1))) for _ in range(_CONNECTIONS)
    ]
    market = await connections[0].market.GetMarket(pb.GetMarketRequest())
    floods = [
        asyncio.ensure_future(FLOODS[kind](each, market))
        for each in connections
        for _ in range(_IN_FLIGHT)
    ]
    sys.stdout.write("floods\n")
    sys.stdout.flush()
    await asyncio.gather(*floods)


if __name__ == "__main__":
    os.nice(_NICENESS)
    asyncio.run(main(*sys.argv[1:]))
