"""Bare peers of what is durable: the same service behind the same gRPC, deciding nothing, before the same disk.

A machine is as fast as it is: a disk flushes 100 times a second here and 5,000 times there. So a figure of the
controller's is given beside that of a server which does only what no durable server can leave out. It takes the
request off the wire, has it written in a group commit (one flush for all that came while the last one was under way),
and answers with a message as large as the controller's: to a single call after a line in a file, with the same answer
to each, as an echo; to a batch after a row of its own for each request in two tables of SQLite, with a circuit of its
own for each.
"""

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Generic, TypeVar

import grpc
from msgspec.structs import replace

from controller.core.circuits.records import AuditEntry, CircuitRecord
from controller.store.records_codec import encode
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import (
    PowerServiceServicer,
    add_PowerServiceServicer_to_server,
)

T = TypeVar("T")
# As a plain program would keep them, flushed for each commit.
TABLES = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "CREATE TABLE circuits (circuit_id INTEGER PRIMARY KEY, record BLOB NOT NULL)",
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY, entry BLOB NOT NULL)",
)


class BareGroupCommit(Generic[T]):
    """A thread that writes; what comes while it writes is the next group."""

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._inbox: queue.SimpleQueue[tuple[T, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    async def commit(self, item: T) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        self._inbox.put((item, done))
        await done

    def close(self) -> None:
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._inbox.get()) is not None:
            group = [first]
            # Nobody else takes from it.
            while not self._inbox.empty():
                following = self._inbox.get()
                if following is None:
                    self._inbox.put(None)
                    break
                group.append(following)
            self._write([item for item, _ in group])
            self._loop.call_soon_threadsafe(_answer, [done for _, done in group])


def _answer(group: Sequence[asyncio.Future[None]]) -> None:
    for done in group:
        if not done.done():
            done.set_result(None)


class BareServer(PowerServiceServicer):
    """Answers once what was asked for is written."""

    def __init__(
        self,
        circuit: pb.Circuit,
        lines: BareGroupCommit[bytes],
        tables: BareGroupCommit[Sequence[pb.PowerRequest]],
    ) -> None:
        self._circuit, self._lines, self._tables = circuit, lines, tables
        self._one = pb.RequestPowerResponse(request_id=circuit.request_id, circuits=[circuit])

    async def RequestPower(
        self, request: pb.RequestPowerRequest, context: grpc.aio.ServicerContext
    ) -> pb.RequestPowerResponse:
        await self._lines.commit(request.SerializeToString())
        return self._one

    async def BatchRequestPower(
        self, request: pb.BatchRequestPowerRequest, context: grpc.aio.ServicerContext
    ) -> pb.BatchRequestPowerResponse:
        await self._tables.commit(request.requests)
        answer = pb.BatchRequestPowerResponse()
        for each in request.requests:
            outcome = answer.outcomes.add(request_id=each.request_id)
            circuit = outcome.circuits.add()
            circuit.CopyFrom(self._circuit)
            circuit.request_id, circuit.sink_id = each.request_id, each.sink_id
        return answer


class BareTables:
    """The rows of an admission, in a plain SQLite file: a record of the circuit, and an entry of the audit log."""

    def __init__(self, path: Path, record: CircuitRecord, entry: AuditEntry) -> None:
        self._record, self._entry = record, entry
        self._last = 0
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for statement in TABLES:
            self._connection.execute(statement)

    def write(self, batches: Sequence[Sequence[pb.PowerRequest]]) -> None:
        """All in one transaction."""
        asked = list(enumerate((each for batch in batches for each in batch), self._last + 1))
        self._last += len(asked)
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "INSERT INTO circuits VALUES (?, ?)", map(self._record_of, asked)
        )
        self._connection.executemany("INSERT INTO audit VALUES (?, ?)", map(self._entry_of, asked))
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()

    def _record_of(self, numbered: tuple[int, pb.PowerRequest]) -> tuple[int, bytes]:
        number, asked = numbered
        record = replace(
            self._record, circuit_id=number, request_id=asked.request_id, sink_id=asked.sink_id
        )
        return number, encode(record)

    def _entry_of(self, numbered: tuple[int, pb.PowerRequest]) -> tuple[int, bytes]:
        number, asked = numbered
        return number, encode(replace(self._entry, seq=number, subject=asked.request_id))


@asynccontextmanager
async def bare_server(
    directory: Path, circuit: pb.Circuit, record: CircuitRecord, entry: AuditEntry
) -> AsyncIterator[str]:
    """Its address; its answers hold a circuit like this, and its rows are like these."""
    tables = BareTables(directory / "bare.sqlite", record, entry)
    line = encode(record)
    with (directory / "bare").open("wb", buffering=0) as file:

        def write(calls: Sequence[bytes]) -> None:
            file.write(line * len(calls))
            os.fdatasync(file.fileno())

        to_file, to_tables = BareGroupCommit(write), BareGroupCommit(tables.write)
        server = grpc.aio.server()
        add_PowerServiceServicer_to_server(BareServer(circuit, to_file, to_tables), server)
        address = f"unix:{directory}/bare.socket"
        server.add_insecure_port(address)
        await server.start()
        try:
            yield address
        finally:
            await server.stop(None)
            to_file.close()
            to_tables.close()
            tables.close()
