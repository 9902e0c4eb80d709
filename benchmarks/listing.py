"""How long ``dgctl list`` takes, from typing it until 10,000 circuits stand in a table.

The controller is whole (see `benchmarks.durable_admit`), and has nothing else to do. ``ours_s`` is the best of a few
by the clock on the wall, interpreter and imports included; its peer ``allowed`` is what is promised. ``cpu_s`` is the
processor time of the client, ``served_s`` that of the controller. ``listing-sorted`` chooses columns and sorts by one,
``listing-json`` is what programs read. ``agree``: each circuit has its line.

``top`` is the share of a core that ``dgctl top`` takes at a terminal of 50 lines, with as many circuits, of which 20
change in each second; its peer ``allowed`` is 5 %. ``agree``: it shows all of them.
"""

import asyncio
import fcntl
import os
import pty
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from benchmarks.durable_admit import Ask, Client, controller_on
from benchmarks.harness import Row
from benchmarks.null_routers import load_ids, mesh_lsas
from controller.computing.warm_up import warm_up_search
from controller.runtime.runtime import Runtime
from digitalgrid.garbage_collector import freeze_loaded
from topologies.emulator.ports import free_ports

# That of this environment, which need not be in anybody's path.
_DGCTL = str(Path(sys.executable).with_name("dgctl"))
_SIZE = 1_000
# Whole batches, beyond what is promised of a listing.
_ASK = Ask(64, 4, 10_240, "", 1)
_CIRCUITS = 10_000
_TIMES = 3
_ALLOWED_S = 3.0
# Seconds until ``top`` has all that is there at first, and during which it is looked at.
_TOP_BEGINS_S, _TOP_S = 5.0, 15.0
_CHANGES_PER_S = 20
_ALLOWED_SHARE = 0.05
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
        rows = [await _row(way, options, address, standing) for way, options in _WAYS.items()]
        return [*rows, await _top(runtime, address, standing)]


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


async def _top(runtime: Runtime, address: str, standing: int) -> Row:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    program = await asyncio.create_subprocess_exec(
        *(_DGCTL, "--server", address, "top"), stdin=theirs, stdout=theirs
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = bytearray()

    def read() -> None:
        # Where the program has ended there is no terminal any more.
        with suppress(OSError):
            shown.extend(os.read(ours, 1 << 16))

    asyncio.get_running_loop().add_reader(ours, read)
    changing = asyncio.ensure_future(_change_some(runtime))
    await asyncio.sleep(_TOP_BEGINS_S)
    before_s, begin_s = _processor_s(program.pid), time.monotonic()
    await asyncio.sleep(_TOP_S)
    share = (_processor_s(program.pid) - before_s) / (time.monotonic() - begin_s)
    changing.cancel()
    os.write(ours, b"q")
    await program.wait()
    asyncio.get_running_loop().remove_reader(ours)
    os.close(ours)
    return Row(
        "top",
        _CIRCUITS,
        f"mesh n={_SIZE} seed=1, {standing} circuits",
        share,
        {"allowed": _ALLOWED_SHARE},
        f"circuits {standing}:".encode() in shown,
        {"unit": "of a core"},
    )


async def _change_some(runtime: Runtime) -> None:
    ids = sorted(each.circuit_id for each in runtime.questions.standing)
    for number in count():
        runtime.feeds.circuits.publish(ids[number * 7919 % len(ids)])
        await asyncio.sleep(1 / _CHANGES_PER_S)


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _list(address: str, options: tuple[str, ...]) -> tuple[float, float, float, bytes]:
    """Seconds on the wall, of the client's processor and of ours; and what was written."""
    before, served_s, begin_s = os.times(), time.process_time(), time.monotonic()
    program = await asyncio.create_subprocess_exec(
        *(_DGCTL, "--server", address, "--timeout", "60", "list", *options),
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
