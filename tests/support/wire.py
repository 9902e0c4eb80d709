"""A wire between a client and a server that can be cut without a word to either."""

import asyncio
import time
from collections.abc import Iterable


class Wire:
    """Clients dial ``address`` instead of the server's."""

    def __init__(self, server_address: str) -> None:
        self._host, _, self._port = server_address.rpartition(":")
        self._cuts = 0
        self._held_until_s = 0.0
        self._writers: list[asyncio.StreamWriter] = []
        self._pipes: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Wire":
        self._listening = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for pipe in self._pipes:
            pipe.cancel()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def cut(self) -> None:
        """Connections stay open, and nothing gets through; new ones are as before."""
        self._cuts += 1

    def hold(self, seconds: float) -> None:
        """What either end says meanwhile comes late, and comes."""
        self._held_until_s = time.monotonic() + seconds

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, far_writer]
        self._pipes += [
            asyncio.create_task(self._pass_on(reader, far_writer)),
            asyncio.create_task(self._pass_on(far_reader, writer)),
        ]

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cuts = self._cuts
        while data := await reader.read(65536):
            await asyncio.sleep(self._held_until_s - time.monotonic())
            if self._cuts == cuts:
                writer.write(data)


def noticed_within_a_second(options: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """A program's own gRPC options, with less patience for who does not answer."""
    return [
        (name, 400 if "keepalive_time" in name or "ping_timeout" in name else value)
        for name, value in options
    ]


def in_a_tenth_of_the_time(options: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """A program's own gRPC options, with a tenth of all its intervals and patience."""
    return [(name, value // 10 if name.endswith("_ms") else value) for name, value in options]
