"""A whole controller over routers that move no power, served from a thread: for those who only ask it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.durable_admit import controller_on
from benchmarks.null_routers import grid_lsas
from tests.support.networks import LINE3
from topologies.emulator.ports import free_ports


@contextmanager
def null_controller(directory: Path, grid: Path = LINE3) -> Iterator[str]:
    """Its address, while it serves."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    is_up, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with controller_on(grid_lsas(str(grid)), directory, address=address):
            is_up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        assert is_up.wait(60.0), "the controller does not begin"
        yield address
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
