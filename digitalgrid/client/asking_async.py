"""Asking from an asyncio loop, for any service: what :mod:`digitalgrid.client.asking` is for threads."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Concatenate, Generic, Self

import grpc

from digitalgrid.channels import Options, asyncio_channel
from digitalgrid.client.asking import P, T
from digitalgrid.client.conversation import (
    A,
    Ask,
    C,
    Conversation,
    Method,
    Pause,
    Step,
    Stream,
    documented,
)
from digitalgrid.client.errors import PowerError, from_rpc_error
from digitalgrid.client.servers import Attempts, Servers
from digitalgrid.tracing.context import of_caller


class AsyncClient(Generic[C, T]):
    """What clients of a loop have in common; its arguments are those of the blocking one."""

    _talk: T

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

    async def _hold(self, conversation: Conversation[A]) -> A:
        try:
            step = next(conversation)
            while True:
                try:
                    came = await self._take(step)
                except PowerError as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(came)
        except StopIteration as end:
            result: A = end.value
            return result

    async def _take(self, step: Step) -> Any:
        if isinstance(step, Ask):
            return await self._call(step.method, step.request)
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        async with aclosing(self._read(step.stream)) as words:
            async for word in words:
                if step.enough(word):
                    return True
        return False

    async def _read(self, stream: Stream[A]) -> AsyncGenerator[A]:
        answers = self._stream(stream.method, stream.request, stream.timeout_s)
        async with aclosing(answers):
            async for answer in answers:
                for each in stream.read(answer):
                    yield each

    async def _stream(
        self, method: Method[C], request: Any, timeout_s: float | None
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


def awaited(
    make: Callable[Concatenate[T, P], Conversation[A]],
) -> Callable[Concatenate[AsyncClient[Any, T], P], Coroutine[Any, Any, A]]:
    """A client's method, of the conversation that it has."""

    async def call(client: AsyncClient[Any, T], /, *args: P.args, **kwargs: P.kwargs) -> A:
        return await client._hold(make(client._talk, *args, **kwargs))

    return documented(call, make)


def streamed(
    make: Callable[Concatenate[T, P], Stream[A]],
) -> Callable[Concatenate[AsyncClient[Any, T], P], AsyncGenerator[A]]:
    """The same, of a stream."""

    def call(
        client: AsyncClient[Any, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[A]:
        return client._read(make(client._talk, *args, **kwargs))

    return documented(call, make, AsyncIterator)
