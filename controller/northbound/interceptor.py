"""Interceptor of the gRPC server: every handler of it is guarded, and what it raises is the call's status."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from inspect import isasyncgen
from typing import Any

import grpc

from controller.northbound.guard import CallFailed, Guard, failing
from digitalgrid.rpc.decoding import decoded
from digitalgrid.rpc.encoding import encoded
from digitalgrid.rpc.statuses import end_with

# Health checking and reflection, served beside our own services, say nothing of the grid: nobody is judged for them.
_OURS = "/digitalgrid."

Handler = Callable[[Any, grpc.aio.ServicerContext], Any]


@asynccontextmanager
async def _aborting(context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
    """Ends the call with the status of how it failed."""
    try:
        yield
    except CallFailed as failed:
        end_with(context, failed.status)


def _call(guarded: Handler) -> Handler:
    async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
        async with _aborting(context):
            return await guarded(request, context)

    return call


def _stream(guarded: Handler) -> Handler:
    async def stream(request: Any, context: grpc.aio.ServicerContext) -> None:
        async with _aborting(context), aclosing(guarded(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return stream


def _checked_call(handler: Handler, method: str, guard: Guard) -> Handler:
    async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
        with (
            failing(method, (grpc.aio.AbortError,)),
            guard.gate.call(context.peer(), is_check=True),
        ):
            return await handler(request, context)

    return _call(call)


def _checked_stream(handler: Handler, method: str, guard: Guard) -> Handler:
    """``handler`` yields its answers, or writes them."""

    async def stream(request: Any, context: grpc.aio.ServicerContext) -> None:
        with (
            failing(method, (grpc.aio.AbortError,)),
            guard.gate.watch(context.peer(), is_check=True),
        ):
            answers = handler(request, context)
            if not isasyncgen(answers):
                await answers
                return
            async with aclosing(answers):
                async for answer in answers:
                    await context.write(answer)

    return _call(stream)


class Interceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Turns what handlers raise into statuses, by a guard that other ways in may share."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        # By the method's name; what guards one call guards all of them.
        self._guarded: dict[str, grpc.RpcMethodHandler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        method = call_details.method
        if method in self._guarded:
            return self._guarded[method]
        handler = await continuation(call_details)
        if handler is None:
            return handler
        guard = self._guard_ours if method.startswith(_OURS) else self._guard_check
        guarded = self._guarded[method] = guard(handler, method)
        return guarded

    def _guard_ours(self, handler: grpc.RpcMethodHandler, method: str) -> grpc.RpcMethodHandler:
        decode = decoded(handler.request_deserializer)
        encode = encoded(handler.response_serializer)
        if handler.unary_unary:
            call = _call(self._guard.call(handler.unary_unary, method))
            return grpc.unary_unary_rpc_method_handler(call, decode, encode)
        if handler.unary_stream:
            stream = _stream(self._guard.stream(handler.unary_stream, method))
            return grpc.unary_stream_rpc_method_handler(stream, decode, encode)
        return handler

    def _guard_check(self, handler: grpc.RpcMethodHandler, method: str) -> grpc.RpcMethodHandler:
        """A method of health checking or reflection, which answers for itself."""
        decode, encode = handler.request_deserializer, handler.response_serializer
        if handler.unary_unary:
            call = _checked_call(handler.unary_unary, method, self._guard)
            return grpc.unary_unary_rpc_method_handler(call, decode, encode)
        if handler.unary_stream:
            stream = _checked_stream(handler.unary_stream, method, self._guard)
            return grpc.unary_stream_rpc_method_handler(stream, decode, encode)
        both_ways = _checked_stream(handler.stream_stream, method, self._guard)
        return grpc.stream_stream_rpc_method_handler(both_ways, decode, encode)
