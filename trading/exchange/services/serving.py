"""Serving: what handlers of a market's services raise becomes the status of their call, the same for all of them."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.rpc.status_pb2 import Status

from digitalgrid.garbage_collector import without_frames
from digitalgrid.reasons import Reason, RefusalCode
from digitalgrid.rpc.decoding import MalformedMessage, check_decoded, decoded
from digitalgrid.rpc.statuses import end_with, status_of
from trading.exchange.ports import Unreachable
from trading.exchange.reads import CALLER, Caller
from trading.exchange.runtime import JournalFailed
from trading.exchange.services.turns import Rotation, host_of
from trading.ledger.refusals import LedgerRefused
from trading.reasons import MarketReason, Refused

_log = logging.getLogger(__name__)
Handler = Callable[[Any, grpc.aio.ServicerContext], Any]

# Health checking and reflection answer for themselves.
_OURS = "/digitalgrid."
_PASSING = (MarketReason.OVERLOADED, MarketReason.RATE_LIMIT)


def failed(error: Exception, method: str) -> Status:
    """The status that an exception is. What nobody foresaw is a defect, and says so in the log only."""
    match error:
        case Refused():
            is_passing = error.reason in _PASSING
            return status_of(
                error.reason.code, error.reason, str(error), error.field, is_passing=is_passing
            )
        case LedgerRefused():
            return status_of(error.reason.code, error.reason, str(error), error.field)
        case MalformedMessage():
            reason = Reason.MALFORMED_MESSAGE
            return status_of(reason.code, reason, str(error))
        case Unreachable():
            return status_of(RefusalCode.UNAVAILABLE, MarketReason.NO_ANSWER, str(error))
        case JournalFailed():
            return status_of(RefusalCode.UNAVAILABLE, MarketReason.ENDING, str(error))
        case _:
            _log.error("%s failed: a defect", method, exc_info=error)
            return Status(code=grpc.StatusCode.INTERNAL.value[0], message="a defect; see the log")


class Interceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Guards every handler of our own services, and lets calls in by turns."""

    def __init__(self) -> None:
        self._rotation = Rotation()
        # By method: of ours there are some dozens, and others have no handler.
        self._guarded: dict[str, grpc.RpcMethodHandler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        method = call_details.method
        handler = await continuation(call_details)
        if handler is None or not method.startswith(_OURS):
            return handler
        self._rotation.knock()
        if method in self._guarded:
            return self._guarded[method]
        guarded = self._guarded[method] = self._guard(handler, method)
        return guarded

    def _guard(self, handler: grpc.RpcMethodHandler, method: str) -> grpc.RpcMethodHandler:
        decode, encode = decoded(handler.request_deserializer), handler.response_serializer
        if handler.unary_unary:
            call = _call(handler.unary_unary, method, self._rotation)
            return grpc.unary_unary_rpc_method_handler(call, decode, encode)
        stream = _stream(handler.unary_stream, method, self._rotation)
        return grpc.unary_stream_rpc_method_handler(stream, decode, encode)


async def _come_in(peer: str, rotation: Rotation) -> None:
    """Once it is its turn; what it reads counts as its caller's."""
    await rotation.turn(peer)
    # Each call has a task of its own, and so a context.
    CALLER.set(Caller(peer, host_of(peer)))


def _call(handler: Handler, method: str, rotation: Rotation) -> Handler:
    async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            await _come_in(context.peer(), rotation)
            check_decoded(request)
            return await handler(request, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever called is told
            _end(context, error, method)
            return None

    return call


def _stream(handler: Handler, method: str, rotation: Rotation) -> Handler:
    async def stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        try:
            await _come_in(context.peer(), rotation)
            check_decoded(request)
            async with aclosing(handler(request, context)) as answers:
                async for answer in answers:
                    yield answer
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever called is told
            _end(context, error, method)

    return stream


def _end(context: grpc.aio.ServicerContext, error: Exception, method: str) -> None:
    end_with(context, failed(error, method))
    # Some of those who raise it have a name for it, and their frames would hold it that holds them.
    without_frames(error)
