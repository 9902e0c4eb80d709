"""The simulated routers in a process of their own, so that neither side waits for the other's turn."""

import asyncio
import multiprocessing
from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import Any, Self

from digitalgrid.gridfile import Grid
from digitalgrid.model import CircuitGeneration
from tests.chaos.fleet import Fleet, History

_ENDS_WITHIN_S = 10.0


class Routers:
    """``async with Routers(grid, addresses) as routers``: all dial all addresses, until the end."""

    def __init__(self, grid: Grid, addresses: Iterable[str]) -> None:
        # A fork of a process with gRPC's threads could hang.
        context = multiprocessing.get_context("spawn")
        self._connection, self._theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(self._theirs, grid, tuple(addresses)), name="routers", daemon=True
        )
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._process.start()
        # Only the routers hold their end now: each side learns when the other is gone.
        self._theirs.close()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connection.close()
        await asyncio.to_thread(self._process.join, _ENDS_WITHIN_S)
        self._process.kill()
        await asyncio.to_thread(self._process.join)
        self._process.close()

    async def held(self) -> set[tuple[str, CircuitGeneration]]:
        """Every hop that is committed at any router."""
        held: set[tuple[str, CircuitGeneration]] = await self._ask("held")
        return held

    async def take_history(self) -> History:
        """What routers were told since this was last asked, and the limits that were exceeded, then or now."""
        history: History = await self._ask("take_history")
        return history

    async def flap(self) -> float:
        """A line goes down, or up again; when that was told, by the monotonic clock."""
        flapped_at_s: float = await self._ask("flap")
        return flapped_at_s

    async def _ask(self, what: str) -> Any:
        async with self._turn:
            return await asyncio.to_thread(self._exchange, what)

    def _exchange(self, what: str) -> Any:
        self._connection.send(what)
        return self._connection.recv()


def _run(connection: Connection, grid: Grid, addresses: tuple[str, ...]) -> None:
    asyncio.run(_serve(connection, grid, addresses))


async def _serve(connection: Connection, grid: Grid, addresses: tuple[str, ...]) -> None:
    """Until whoever started this closes its end, or dies."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    fleet = Fleet(grid, addresses)

    def answer() -> None:
        try:
            connection.send(getattr(fleet, connection.recv())())
        except (EOFError, OSError):
            loop.remove_reader(connection.fileno())
            ended.set()

    loop.add_reader(connection.fileno(), answer)
    running = asyncio.create_task(fleet.run())
    await asyncio.wait(
        [running, asyncio.create_task(ended.wait())], return_when=asyncio.FIRST_COMPLETED
    )
    if running.done():
        running.result()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
