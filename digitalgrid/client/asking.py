"""Asking, blocking, for any service: connections made at the first call, whom to ask, retries, pages and streams."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

import grpc

from digitalgrid.channels import Options, blocking_channel
from digitalgrid.client.errors import from_rpc_error
from digitalgrid.client.servers import Attempts, Servers
from digitalgrid.tracing.context import of_caller


class Connected(Protocol):
    """A channel, beside whatever services there are on it."""

    channel: Any


C = TypeVar("C", bound=Connected)
# A call of one of a connection's services, chosen once it is known whom to ask.
Method = Callable[[C], Callable[..., Any]]


class BlockingClient(Generic[C]):
    """What blocking clients have in common. Every call raises PowerError, within ``timeout_s`` of silence.

    ``server`` is host:port; several of a cluster stand with commas between. Calls go to whoever leads. ``connect`` puts
    services on a channel with options for so many servers; ``metadata`` goes with each call.
    """

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

    def _pages(self, method: Method[C], request: Any) -> Iterator[Any]:
        """How much is given at a time is for the server to say, where the request says nothing."""
        while True:
            page = self._call(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _stream(
        self, method: Method[C], request: Any, timeout_s: float | None = None
    ) -> Iterator[Any]:
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
