"""Asking, blocking, for any service: connections made at the first call, whom to ask, retries, pages and streams."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

import grpc

from digitalgrid.channels import Options, blocking_channel
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

P = ParamSpec("P")
# The conversations that a client has.
T = TypeVar("T")


class BlockingClient(Generic[C, T]):
    """What blocking clients have in common. Every call raises PowerError, within ``timeout_s`` of silence.

    ``server`` is host:port; several of a cluster stand with commas between. Calls go to whoever leads. ``connect`` puts
    services on a channel with options for so many servers; ``metadata`` goes with each call. What is asked for each of
    its calls, and how, is said by ``_talk``.
    """

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.channel.close()
        self._connections.clear()

    def _to(self, address: str) -> C:
        """The connection to a server; made at the first call."""
        if address not in self._connections:
            self._connections[address] = self._connect(blocking_channel(address, self._options))
        return self._connections[address]

    def _call(self, method: Method[C], request: Any) -> Any:
        """Ask whoever leads. A call that is repeated elsewhere changes nothing twice."""
        attempts = Attempts(self._servers, self._timeout_s, time.monotonic())
        while True:
            call = method(self._to(self._servers.current))
            try:
                return call(
                    request,
                    timeout=attempts.remaining_s(time.monotonic()),
                    metadata=(*self._metadata, *of_caller()),
                )
            except grpc.RpcError as rpc_error:
                error = from_rpc_error(rpc_error, self._servers.current)
                pause_s = attempts.pause_s(error, time.monotonic())
                if pause_s is None:
                    raise error from rpc_error
            time.sleep(pause_s)

    def _hold(self, conversation: Conversation[A]) -> A:
        try:
            step = next(conversation)
            while True:
                try:
                    came = self._take(step)
                except PowerError as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(came)
        except StopIteration as end:
            result: A = end.value
            return result

    def _take(self, step: Step) -> Any:
        if isinstance(step, Ask):
            return self._call(step.method, step.request)
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        with closing(self._read(step.stream)) as words:
            return any(map(step.enough, words))

    def _read(self, stream: Stream[A]) -> Generator[A]:
        with closing(self._stream(stream.method, stream.request, stream.timeout_s)) as answers:
            for answer in answers:
                yield from stream.read(answer)

    def _stream(self, method: Method[C], request: Any, timeout_s: float | None) -> Generator[Any]:
        call = method(self._to(self._servers.current))(
            request, timeout=timeout_s, metadata=self._metadata
        )
        try:
            yield from call
        except grpc.RpcError as error:
            asked = self._servers.current
            # Who watches again asks another.
            self._servers.next()
            raise from_rpc_error(error, asked) from error
        finally:
            call.cancel()


def asked(
    make: Callable[Concatenate[T, P], Conversation[A]],
) -> Callable[Concatenate[BlockingClient[Any, T], P], A]:
    """A client's method, of the conversation that it has."""

    def call(client: BlockingClient[Any, T], /, *args: P.args, **kwargs: P.kwargs) -> A:
        return client._hold(make(client._talk, *args, **kwargs))

    return documented(call, make)


def streamed(
    make: Callable[Concatenate[T, P], Stream[A]],
) -> Callable[Concatenate[BlockingClient[Any, T], P], Generator[A]]:
    """The same, of a stream."""

    def call(client: BlockingClient[Any, T], /, *args: P.args, **kwargs: P.kwargs) -> Generator[A]:
        return client._read(make(client._talk, *args, **kwargs))

    return documented(call, make, Iterator)
