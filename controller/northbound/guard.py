"""Guard of every northbound call: load limits, access, and the status of whatever is raised.

Every handler is wrapped by it, whatever way its call comes (by gRPC, or from the page), so that services just raise.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from controller.core.access import Action, judge
from controller.core.errors import Refusal, invalid
from controller.northbound.errors import status_of
from controller.northbound.load_gate import LoadGate
from controller.northbound.principals import RPCS, Caller, Rpc, principal_of
from controller.runtime.durability import StoreFailed
from controller.runtime.runtime import Runtime
from controller.tallies import Tallies
from digitalgrid.garbage_collector import without_frames
from digitalgrid.reasons import Reason
from digitalgrid.rpc.decoding import MalformedMessage, check_decoded

if TYPE_CHECKING:
    from controller.tracing.tracing import Tracing

_log = logging.getLogger(__name__)

# Not logged above DEBUG: a client that looks for the leader asks again and again.
_NOT_HERE = (Reason.NO_LEADER, Reason.NOT_LEADER)
# How long a call waits for an election that goes on, in seconds: sooner than its client could ask again.
_ELECTION_S = 0.5

Handler = Callable[[Any, Caller], Awaitable[Any]]
StreamHandler = Callable[[Any, Caller], AsyncGenerator[Any]]


class CallFailed(Exception):
    """How a call ended that was not answered: the status that its client is told."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


def _check_request(request: Any) -> None:
    """A call whose bytes make no sense is refused like any other."""
    try:
        check_decoded(request)
    except MalformedMessage as error:
        raise invalid("", Reason.MALFORMED_MESSAGE, str(error)) from error


@contextmanager
def _counted(tallies: Tallies, method: str, kind: str) -> Iterator[None]:
    """Counts the call, with its status, and while it is under way."""
    tallies.in_flight[kind] += 1
    begun_s, code = perf_counter(), Code.CANCELLED
    try:
        yield
        code = Code.OK
    except CallFailed as failed:
        code = failed.status.code
        raise
    finally:
        tallies.in_flight[kind] -= 1
        name = method.rpartition(".")[2]
        if kind == "calls":
            tallies.note_call(name, Code.Name(code), perf_counter() - begun_s)
        else:
            tallies.calls[name, Code.Name(code)] += 1


@contextmanager
def failing(
    method: str,
    passing: tuple[type[Exception], ...] = (),
    about: Callable[[], dict[str, str]] = dict,
) -> Iterator[None]:
    """Whatever is raised inside becomes a CallFailed, but for what is ``passing``; what is not foreseen is logged, with
    what the call is ``about`` in fields.
    """
    try:
        yield
    except CallFailed:
        raise
    except passing:
        raise
    except Refusal as refusal:
        level = logging.DEBUG if refusal.reason in _NOT_HERE else logging.INFO
        if _log.isEnabledFor(level):
            fields = about() | {"reason": str(refusal.reason)}
            _log.log(level, "%s refused: %s: %s", method, refusal.reason, refusal, extra=fields)
        # Some of those who raise it have a name for it, and their frames would hold it that holds them.
        raise CallFailed(status_of(refusal)) from without_frames(refusal)
    except StoreFailed as error:
        raise CallFailed(status_of(_undecided(error))) from error
    except Exception as error:
        _log.exception("%s failed", method, extra=about())
        message = "a fault of the controller; its log says more"
        raise CallFailed(Status(code=Code.INTERNAL, message=message)) from error


def _undecided(error: StoreFailed) -> Refusal:
    message = f"whether this is durable is not known: {error}; repeat the call unchanged"
    return Refusal(Reason.OUTCOME_UNKNOWN, message)


@contextmanager
def _allowed(rpc: Rpc, message: Any, caller: Caller, runtime: Runtime) -> Iterator[None]:
    """Judges calls that only read; those that decide are judged by the core, and what is refused before they come
    that far is noted here.
    """
    principal = principal_of(caller)
    if rpc.action in (Action.READ, Action.AUDIT):
        judge(principal, rpc.action)
        yield
        return
    with runtime.noting(rpc.call(principal, message)):
        yield


def _traced(call: Handler, method: str, tracing: "Tracing") -> Handler:
    """The call, as a span of a trace where that is wanted."""
    name = method.rpartition(".")[2]

    async def traced(request: Any, caller: Caller) -> Any:
        span = tracing.begin(name, caller.invocation_metadata() or ())
        if span is None:
            return await call(request, caller)
        with tracing.call(span):
            return await call(request, caller)

    return traced


class Guard:
    """One for all ways in: what is under way is bounded in all of them together."""

    def __init__(self, runtime: Runtime) -> None:
        self.gate = LoadGate(rejected=runtime.tallies.rejected)
        self._runtime = runtime

    def call(self, handler: Handler, method: str) -> Handler:
        """The handler, guarded: it raises CallFailed and nothing else."""
        rpc, runtime, gate = RPCS[method], self._runtime, self.gate

        async def call(request: Any, caller: Caller) -> Any:
            with (
                _counted(runtime.tallies, method, "calls"),
                failing(method, about=lambda: rpc.fields(request)),
                gate.call(caller.peer()),
                _allowed(rpc, request, caller, runtime),
            ):
                _check_request(request)
                try:
                    return await handler(request, caller)
                except Refusal as refusal:
                    if refusal.reason is not Reason.NO_LEADER:
                        raise
                # Nothing was decided, and an election takes a moment: sooner than the client could ask again.
                await runtime.somebody_leads(_ELECTION_S)
                return await handler(request, caller)

        return call if runtime.tracing is None else _traced(call, method, runtime.tracing)

    def stream(self, handler: StreamHandler, method: str) -> StreamHandler:
        """Likewise of one that answers again and again."""
        rpc, runtime, gate = RPCS[method], self._runtime, self.gate

        async def stream(request: Any, caller: Caller) -> AsyncGenerator[Any]:
            with (
                _counted(runtime.tallies, method, "watches"),
                failing(method, about=lambda: rpc.fields(request)),
                gate.watch(caller.peer()),
                _allowed(rpc, request, caller, runtime),
            ):
                _check_request(request)
                async with aclosing(handler(request, caller)) as responses:
                    async for response in responses:
                        yield response

        return stream
