"""Asking from an asyncio loop, for any service: what :mod:`digitalgrid.client.asking` is for threads."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from types import TracebackType
from typing import Any, Generic, Self

import grpc

from digitalgrid.channels import Options, asyncio_channel
from digitalgrid.client.asking import C, Method
from digitalgrid.client.errors import from_rpc_error
from digitalgrid.client.servers import Attempts, Servers
from digitalgrid.tracing.context import of_caller


class AsyncClient(Generic[C]):
    """What clients of a loop have in common; its arguments are those of the blocking one."""

    def __init__(
        self,
        server: str,
        timeout_s: float,
        connect: Callable[[Any], C],
        options: Callable[[int], Options],
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._timeout_s = timeout_s
        self._servers = Servers(server)
        self._connect = connect
        self._options = tuple(options(self._servers.count))
        self._metadata = metadata
        self._connections: dict[str, C] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.channel.close()
        self._connections.clear()

    def _to(self, address: str) -> C:
        """The connection to a server; made at the first call."""
        if address not in self._connections:
            self._connections[address] = self._connect(asyncio_channel(address, self._options))
        return self._connections[address]

    async def _call(self, method: Method[C], request: Any) -> Any:
        """Ask whoever leads. A call that is repeated elsewhere changes nothing twice."""
        attempts = Attempts(self._servers, self._timeout_s, time.monotonic())
        while True:
            call = method(self._to(self._servers.current))
            try:
                return await call(
                    request,
                    timeout=attempts.remaining_s(time.monotonic()),
                    metadata=(*self._metadata, *of_caller()),
                )
            except grpc.RpcError as rpc_error:
                error = from_rpc_error(rpc_error, self._servers.current)
                pause_s = attempts.pause_s(error, time.monotonic())
                if pause_s is None:
                    raise error from rpc_error
            await asyncio.sleep(pause_s)

    async def _pages(self, method: Method[C], request: Any) -> AsyncGenerator[Any]:
        """How much is given at a time is for the server to say, where the request says nothing."""
        while True:
            page = await self._call(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def _stream(
        self, method: Method[C], request: Any, timeout_s: float | None = None
    ) -> AsyncGenerator[Any]:
        call = method(self._to(self._servers.current))(
            request, timeout=timeout_s, metadata=self._metadata
        )
        try:
            async for answer in call:
                yield answer
        except grpc.RpcError as error:
            asked = self._servers.current
            # Who watches again asks another.
            self._servers.next()
            raise from_rpc_error(error, asked) from error
        finally:
            call.cancel()
