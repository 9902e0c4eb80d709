"""Browsers as a benchmark has them: each reads the operator's page's stream over a connection of its own."""

import asyncio
import json
import zlib
from collections.abc import Callable
from typing import Any

from digitalgrid.v1 import northbound_pb2 as pb

# zlib.decompressobj: with gzip's header.
_GZIP = 16


class Browser:
    """One that ``looks`` decodes what it is told, of circuits as generation and state; ``note`` gets links' rows."""

    def __init__(
        self, address: str, *, looks: bool, note: Callable[["Browser", Any], None]
    ) -> None:
        self._address = address
        self._looks = looks
        self._note = note
        self._columns: dict[str, list[str]] = {}
        self.circuits: dict[int, tuple[int, int]] = {}
        self.answers = 0
        self.ready = asyncio.Event()

    @property
    def looks(self) -> bool:
        return self._looks

    async def watch(self, _downs: object) -> None:
        host, _, port = self._address.removeprefix("http://").rstrip("/").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
        try:
            writer.write(
                b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
            )
            unpacked = zlib.decompressobj(wbits=zlib.MAX_WBITS | _GZIP)
            await reader.readuntil(b"\r\n\r\n")
            while size := int(await reader.readline(), 16):
                chunk = await reader.readexactly(size + 2)
                self._take(unpacked.decompress(chunk[:-2]))
        finally:
            writer.close()

    def _take(self, chunk: bytes) -> None:
        """Events do not cross the borders of chunks: the page's server sends each answer as one."""
        for event in chunk.split(b"\n\n"):
            _, _, named = event.rpartition(b"event: ")
            name, _, said = named.partition(b"\ndata: ")
            if not said:
                continue
            self.answers += 1
            if name == b"ready":
                self.ready.set()
            elif name == b"hello":
                self._columns = json.loads(said)["columns"]
            elif name == b"rows":
                self._rows(said)

    def _rows(self, said: bytes) -> None:
        if b'"links":' in said:
            self._note(self, self._table("links", json.loads(said)))
        if not self._looks:
            return
        for row in self._table("circuits", json.loads(said)):
            state = pb.CircuitState.Value(f"CIRCUIT_STATE_{row['state'].upper()}")
            self.circuits[row["circuit_id"]] = (row["generation"], state)

    def _table(self, table: str, told: dict[str, Any]) -> list[dict[str, Any]]:
        names = self._columns[table]
        return [dict(zip(names, row, strict=True)) for row in told.get(table, [])]
