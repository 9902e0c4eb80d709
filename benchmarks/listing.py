"""How long ``dgctl list`` takes, from typing it until 10,000 circuits stand in a table.

The controller is whole (see `benchmarks.durable_admit`), and has nothing else to do. ``ours_s`` is the best of a few
by the clock on the wall, interpreter and imports included; its peer ``allowed`` is what is promised. ``cpu_s`` is the
processor time of the client, ``served_s`` that of the controller. ``listing-sorted`` chooses columns and sorts by one,
``listing-json`` is what programs read. ``agree``: each circuit has its line.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.durable_admit import Ask, Client, controller_on
from benchmarks.harness import Row
from benchmarks.null_routers import load_ids, mesh_lsas
from controller.computing.warm_up import warm_up_search
from controller.runtime.garbage_collector import freeze_loaded
from topologies.emulator.ports import free_ports

_SIZE = 1_000
# Whole batches, beyond what is promised of a listing.
_ASK = Ask(64, 4, 10_240, "", 1)
_CIRCUITS = 10_000
_TIMES = 3
_ALLOWED_S = 3.0
_WAYS = {
    "listing": (),
    "listing-sorted": ("--columns", "id,state,sink,loss", "--sort", "-loss"),
    "listing-json": ("-o", "json"),
}


def rows(full: bool) -> Iterator[Row]:
    warm_up_search()
    freeze_loaded()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".listing-") as directory:
        yield from asyncio.run(_rows(Path(directory)))


async def _rows(directory: Path) -> list[Row]:
    lsas = mesh_lsas(_SIZE, 1)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    async with controller_on(lsas, directory, address=address) as (runtime, _, _):
        client = Client(load_ids(lsas))
        try:
            await client.ask(address, _ASK)
        finally:
            client.close()
        standing = len(runtime.questions.standing)
        return [await _row(way, options, address, standing) for way, options in _WAYS.items()]


async def _row(way: str, options: tuple[str, ...], address: str, standing: int) -> Row:
    runs = [await _list(address, options) for _ in range(_TIMES)]
    # A head, or what JSON has around a circuit: the same in each run.
    lines = {written.count(b"circuitId") or written.count(b"\n") - 1 for *_, written in runs}
    taken_s, cpu_s, served_s, written = min(runs)
    return Row(
        way,
        _CIRCUITS,
        f"mesh n={_SIZE} seed=1, {standing} circuits",
        taken_s,
        {"allowed": _ALLOWED_S},
        standing >= _CIRCUITS and lines == {standing},
        {"cpu_s": cpu_s, "served_s": served_s, "bytes": len(written)},
    )


async def _list(address: str, options: tuple[str, ...]) -> tuple[float, float, float, bytes]:
    """Seconds on the wall, of the client's processor and of ours; and what was written."""
    before, served_s, begin_s = os.times(), time.process_time(), time.monotonic()
    program = await asyncio.create_subprocess_exec(
        *("dgctl", "--server", address, "--timeout", "60", "list", *options),
        stdout=asyncio.subprocess.PIPE,
    )
    written, _ = await program.communicate()
    taken_s, served_s, after = (
        time.monotonic() - begin_s,
        time.process_time() - served_s,
        os.times(),
    )
    cpu_s = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return taken_s, cpu_s, served_s, written
