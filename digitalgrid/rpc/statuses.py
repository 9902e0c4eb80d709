"""Statuses: a refusal as a gRPC status, its canonical code with google.rpc details that a client can act on."""

from collections.abc import Iterator, Mapping

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from digitalgrid.reasons import RefusalCode

DOMAIN = "digitalgrid"
# google.rpc.RetryInfo (ns): a tenth of a second, in which an overloaded controller answers some hundred calls.
_RETRY_AFTER_NS = 100_000_000
_PASSING = (RefusalCode.ABORTED, RefusalCode.UNAVAILABLE)


def status_of(
    code: RefusalCode,
    reason: str,
    message: str,
    field: str = "",
    metadata: Mapping[str, str] | None = None,
    *,
    is_passing: bool = False,
) -> Status:
    """``field``: of the request, where one is wrong. ``is_passing``: also where the code does not say so, whoever asks
    again in a moment may be served.
    """
    status = Status(code=Code.Value(code.value), message=message)
    known = dict(metadata or {})
    for detail in _details(code, reason, message, field, known, is_passing):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def end_with(context: grpc.aio.ServicerContext, status: Status) -> None:
    """Of a call that failed, once its handler returns. What ``abort`` raises is kept by the call and keeps the call,
    with all frames: under a flood of refusals the garbage collector would hold the loop up for them.
    """
    said = rpc_status.to_status(status)
    context.set_code(said.code)
    context.set_details(said.details)
    context.set_trailing_metadata(said.trailing_metadata)


def _details(
    code: RefusalCode,
    reason: str,
    message: str,
    field: str,
    metadata: dict[str, str],
    is_passing: bool,
) -> Iterator[Message]:
    yield details.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)
    if field:
        violation = details.BadRequest.FieldViolation(field=field, description=message)
        yield details.BadRequest(field_violations=[violation])
    if code is RefusalCode.FAILED_PRECONDITION:
        precondition = details.PreconditionFailure.Violation(
            type=reason, subject=field, description=message
        )
        yield details.PreconditionFailure(violations=[precondition])
    if code is RefusalCode.RESOURCE_EXHAUSTED and not is_passing:
        subject = metadata.get("bottleneck_links", "")
        quota = details.QuotaFailure.Violation(subject=subject, description=message)
        yield details.QuotaFailure(violations=[quota])
    if is_passing or code in _PASSING:
        yield details.RetryInfo(retry_delay=Duration(nanos=_RETRY_AFTER_NS))
