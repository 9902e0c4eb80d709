"""Guard of every northbound call: load limits, decoding, access, and the status of whatever is raised.

Every handler of the server is wrapped by an interceptor, so that services just raise.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from inspect import isasyncgen
from time import perf_counter
from typing import Any

import grpc
from grpc_status import rpc_status

from controller.core.access import Action, judge
from controller.core.errors import Refusal, invalid
from controller.northbound.errors import status_of
from controller.northbound.load_gate import LoadGate
from controller.northbound.principals import RPCS, Rpc, principal_of
from controller.rpc.decoding import MalformedMessage, check_decoded, decoded
from controller.rpc.encoding import encoded
from controller.runtime.durability import StoreFailed
from controller.runtime.runtime import Runtime
from controller.tallies import Tallies
from digitalgrid.reasons import Reason

_log = logging.getLogger(__name__)

# Health checking and reflection, served beside our own services, say nothing of the grid: nobody is judged for them.
_OURS = "/digitalgrid."
# Not logged above DEBUG: a client that looks for the leader asks again and again.
_NOT_HERE = (Reason.NO_LEADER, Reason.NOT_LEADER)
# How long a call waits for an election that goes on, in seconds: sooner than its client could ask again.
_ELECTION_S = 0.5

Handler = Callable[[Any, grpc.aio.ServicerContext], Any]


def _check_request(request: Any) -> None:
    """A call whose bytes make no sense is refused like any other."""
    try:
        check_decoded(request)
    except MalformedMessage as error:
        raise invalid("", Reason.MALFORMED_MESSAGE, str(error)) from error


@contextmanager
def _counted(tallies: Tallies, method: str, kind: str, context: Any) -> Iterator[None]:
    """Counts the call, with its status, and while it is under way."""
    tallies.in_flight[kind] += 1
    begun_s, status = perf_counter(), grpc.StatusCode.CANCELLED
    try:
        yield
        status = grpc.StatusCode.OK
    except grpc.aio.AbortError:
        status = context.code()
        raise
    finally:
        tallies.in_flight[kind] -= 1
        name = method.rpartition(".")[2]
        if kind == "calls":
            tallies.note_call(name, status.name, perf_counter() - begun_s)
        else:
            tallies.calls[name, status.name] += 1


@asynccontextmanager
async def _answering(context: grpc.aio.ServicerContext, method: str) -> AsyncIterator[None]:
    """Ends the call with the status of whatever is raised."""
    try:
        yield
    except grpc.aio.AbortError:
        raise
    except Refusal as refusal:
        level = logging.DEBUG if refusal.reason in _NOT_HERE else logging.INFO
        _log.log(level, "%s refused: %s: %s", method, refusal.reason, refusal)
        await _refuse(context, refusal)
    except StoreFailed as error:
        await _refuse(context, _undecided(error))
    except Exception:  # noqa: BLE001 - the last resort of every call
        _log.exception("%s failed", method)
        message = "a fault of the controller; its log says more"
        await context.abort(grpc.StatusCode.INTERNAL, message)


async def _refuse(context: grpc.aio.ServicerContext, refusal: Refusal) -> None:
    status = rpc_status.to_status(status_of(refusal))
    await context.abort(status.code, status.details, status.trailing_metadata)


def _undecided(error: StoreFailed) -> Refusal:
    message = f"whether this is durable is not known: {error}; repeat the call unchanged"
    return Refusal(Reason.OUTCOME_UNKNOWN, message)


@contextmanager
def _allowed(
    rpc: Rpc, message: Any, context: grpc.aio.ServicerContext, runtime: Runtime
) -> Iterator[None]:
    """Judges calls that only read; those that decide are judged by the core, and what is refused before they come
    that far is noted here.
    """
    principal = principal_of(context)
    if rpc.action is Action.READ:
        judge(principal, rpc.action)
        yield
        return
    with runtime.noting(rpc.call(principal, message)):
        yield


def _guarded_call(handler: Handler, method: str, gate: LoadGate, runtime: Runtime) -> Handler:
    rpc = RPCS[method]

    async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
        with _counted(runtime.tallies, method, "calls", context):
            return await answered(request, context)

    async def answered(request: Any, context: grpc.aio.ServicerContext) -> Any:
        async with _answering(context, method):
            with gate.call(context.peer()), _allowed(rpc, request, context, runtime):
                _check_request(request)
                try:
                    return await handler(request, context)
                except Refusal as refusal:
                    if refusal.reason is not Reason.NO_LEADER:
                        raise
                # Nothing was decided, and an election takes a moment: sooner than the client could ask again.
                await runtime.somebody_leads(_ELECTION_S)
                return await handler(request, context)

    return call


def _guarded_stream(handler: Handler, method: str, gate: LoadGate, runtime: Runtime) -> Handler:
    rpc = RPCS[method]

    async def stream(request: Any, context: grpc.aio.ServicerContext) -> None:
        with _counted(runtime.tallies, method, "watches", context):
            await streamed(request, context)

    async def streamed(request: Any, context: grpc.aio.ServicerContext) -> None:
        async with _answering(context, method):
            with gate.watch(context.peer()), _allowed(rpc, request, context, runtime):
                _check_request(request)
                async with aclosing(handler(request, context)) as responses:
                    async for response in responses:
                        await context.write(response)

    return stream


def _checked_call(handler: Handler, method: str, gate: LoadGate) -> Handler:
    async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
        async with _answering(context, method):
            with gate.call(context.peer(), is_check=True):
                return await handler(request, context)

    return call


def _checked_stream(handler: Handler, method: str, gate: LoadGate) -> Handler:
    """``handler`` yields its answers, or writes them."""

    async def stream(request: Any, context: grpc.aio.ServicerContext) -> None:
        async with _answering(context, method):
            with gate.watch(context.peer(), is_check=True):
                answers = handler(request, context)
                if not isasyncgen(answers):
                    await answers
                    return
                async with aclosing(answers):
                    async for answer in answers:
                        await context.write(answer)

    return stream


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Turns what handlers raise into statuses; what is not foreseen is logged and answered INTERNAL."""

    def __init__(self, runtime: Runtime) -> None:
        self._gate = LoadGate()
        self._runtime = runtime
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
        guard = self._guard if method.startswith(_OURS) else self._guard_check
        guarded = self._guarded[method] = guard(handler, method)
        return guarded

    def _guard(self, handler: grpc.RpcMethodHandler, method: str) -> grpc.RpcMethodHandler:
        decode = decoded(handler.request_deserializer)
        encode = encoded(handler.response_serializer)
        if handler.unary_unary:
            call = _guarded_call(handler.unary_unary, method, self._gate, self._runtime)
            return grpc.unary_unary_rpc_method_handler(call, decode, encode)
        if handler.unary_stream:
            stream = _guarded_stream(handler.unary_stream, method, self._gate, self._runtime)
            return grpc.unary_stream_rpc_method_handler(stream, decode, encode)
        return handler

    def _guard_check(self, handler: grpc.RpcMethodHandler, method: str) -> grpc.RpcMethodHandler:
        """A method of health checking or reflection, which answers for itself."""
        decode, encode = handler.request_deserializer, handler.response_serializer
        if handler.unary_unary:
            call = _checked_call(handler.unary_unary, method, self._gate)
            return grpc.unary_unary_rpc_method_handler(call, decode, encode)
        if handler.unary_stream:
            stream = _checked_stream(handler.unary_stream, method, self._gate)
            return grpc.unary_stream_rpc_method_handler(stream, decode, encode)
        both_ways = _checked_stream(handler.stream_stream, method, self._gate)
        return grpc.stream_stream_rpc_method_handler(both_ways, decode, encode)
