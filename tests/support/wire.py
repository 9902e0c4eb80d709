"""A wire between a client and a server that can be cut without a word to either."""

import asyncio


class Wire:
    """Clients dial ``address`` instead of the server's. Once cut, nothing gets through, and connections stay open."""

    def __init__(self, server_address: str) -> None:
        self._host, _, self._port = server_address.rpartition(":")
        self._cut = False
        self._writers: list[asyncio.StreamWriter] = []
        self._pipes: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Wire":
        self._listening = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        for each in (*self._pipes, *self._writers):
            each.cancel() if isinstance(each, asyncio.Task) else each.close()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def cut(self) -> None:
        self._cut = True

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._writers += [writer, far_writer]
        self._pipes += [
            asyncio.create_task(self._pass_on(reader, far_writer)),
            asyncio.create_task(self._pass_on(far_reader, writer)),
        ]

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self._cut:
                writer.write(data)
