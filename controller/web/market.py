"""A market on the page: calls that read, of the exchange that the configuration names, passed on as JSON.

Nothing that changes anything can be asked: whoever tenders signs it, and the page has nobody's key.
"""

import asyncio
from collections import OrderedDict
from functools import partial

import grpc
from aiohttp import web
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from controller.web.calls import failure, json_of, message_of, perhaps_in_thread
from digitalgrid.channels import asyncio_channel, proxy_note
from digitalgrid.http import body_of
from digitalgrid.market.v1 import ledger_service_pb2, market_pb2

# What pages may ask, by service: reads, and of those what their views show.
READS = {
    "MarketService": (
        "GetMarket",
        "GetBook",
        "ListClearings",
        "ListTransactions",
        "ListTenders",
    ),
    "SettlementService": ("GetSettlement",),
    "LedgerService": ("GetBalance",),
}
# A page asks anew each second (s): what takes much longer is of no use to it.
_DEADLINE_S = 3.0
# Pages that ask the same within so long (s) have one answer, so that many cost an exchange hardly more than one.
_SHARED_S = 0.5
# Answers that are kept for that, at most.
_MOST_SHARED = 256
_CHANNEL_OPTIONS: tuple[tuple[str, object], ...] = (
    # Some clearings of some thousand orders.
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # An exchange that is started again is seen again within a second or two.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.min_reconnect_backoff_ms", 1000),
)
_LATE = (grpc.StatusCode.DEADLINE_EXCEEDED,)
# CANCELLED is a server's word here: one that ends breaks off what it has not begun.
_SILENT = (*_LATE, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
_DETAILS_KEY = "grpc-status-details-bin"


class MarketLook:
    """``address`` is where the exchange answers. It is dialled when somebody asks, and not before."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = asyncio_channel(address, _CHANNEL_OPTIONS)
        self._methods = _methods()
        # The oldest first: until when, by the loop's clock, and the answer as JSON or why there is none.
        self._shared: OrderedDict[tuple[str, bytes], tuple[float, asyncio.Task[str | Status]]] = (
            OrderedDict()
        )

    async def answer(self, request: web.Request) -> web.Response:
        """POST ``/api/v1/market/<Service>/<Method>``."""
        method = self._methods.get((request.match_info["service"], request.match_info["method"]))
        if method is None:
            raise web.HTTPNotFound(text=f"the page reads no such thing; it may ask {_READABLE}\n")
        asked = message_of(method, await body_of(request))
        if isinstance(asked, DecodeError):
            return failure(Status(code=Code.INVALID_ARGUMENT, message=str(asked)))
        told = await asyncio.shield(self._perhaps_shared(method, asked))
        if isinstance(told, Status):
            return failure(told)
        return web.Response(text=told, content_type="application/json")

    async def close(self, _app: web.Application) -> None:
        await self._channel.close()

    def _perhaps_shared(
        self, method: MethodDescriptor, asked: Message
    ) -> "asyncio.Task[str | Status]":
        loop, key = asyncio.get_running_loop(), (method.full_name, asked.SerializeToString())
        while self._shared and (
            len(self._shared) >= _MOST_SHARED or next(iter(self._shared.values()))[0] <= loop.time()
        ):
            self._shared.popitem(last=False)
        if key not in self._shared:
            task = loop.create_task(self._told(method, asked))
            self._shared[key] = (loop.time() + _SHARED_S, task)
        return self._shared[key][1]

    async def _told(self, method: MethodDescriptor, asked: Message) -> str | Status:
        call = self._channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        try:
            answer = await call(asked, timeout=_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            return self._why(error)
        return str(await perhaps_in_thread(answer.ByteSize(), partial(json_of, answer)))

    def _why(self, error: grpc.aio.AioRpcError) -> Status:
        """What the exchange refused, or that it is silent."""
        code = error.code()
        if code in _SILENT:
            late = f" within {_DEADLINE_S:.0f} s" if code in _LATE else ""
            message = (
                f"the exchange at {self._address} does not answer{late}{proxy_note(self._address)};"
                " see whether dgm runs, and listens there"
            )
            return Status(code=Code.UNAVAILABLE, message=message)
        for name, value in error.trailing_metadata() or ():
            if name == _DETAILS_KEY:
                return Status.FromString(value)
        return Status(code=code.value[0], message=error.details() or code.name)


def _methods() -> dict[tuple[str, str], MethodDescriptor]:
    """Those of :data:`READS`, by service and name."""
    files = (market_pb2.DESCRIPTOR, ledger_service_pb2.DESCRIPTOR)
    services = {name: service for file in files for name, service in file.services_by_name.items()}
    return {
        (service, name): services[service].methods_by_name[name]
        for service, names in READS.items()
        for name in names
    }


_READABLE = ", ".join(f"{service}/{name}" for service, names in READS.items() for name in names)
