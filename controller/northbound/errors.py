"""Statuses: a refusal as a gRPC status, its canonical code with google.rpc details that a client can act on."""

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from controller.core.errors import Refusal
from digitalgrid.reasons import Reason, RefusalCode

DOMAIN = "digitalgrid"
# google.rpc.RetryInfo (ns): a tenth of a second, in which an overloaded controller answers some hundred calls.
_RETRY_AFTER_NS = 100_000_000


def status_of(refusal: Refusal) -> Status:
    """The status that a refusal becomes, details included."""
    status = Status(code=Code.Value(refusal.code.value), message=str(refusal))
    for detail in _details(refusal):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _details(refusal: Refusal) -> list[Message]:
    found: list[Message] = [
        details.ErrorInfo(reason=refusal.reason, domain=DOMAIN, metadata=refusal.metadata)
    ]
    description = str(refusal)
    if refusal.field:
        violation = details.BadRequest.FieldViolation(field=refusal.field, description=description)
        found.append(details.BadRequest(field_violations=[violation]))
    if refusal.code is RefusalCode.FAILED_PRECONDITION:
        precondition = details.PreconditionFailure.Violation(
            type=refusal.reason, subject=refusal.field, description=description
        )
        found.append(details.PreconditionFailure(violations=[precondition]))
    overloaded = refusal.reason is Reason.OVERLOADED
    if refusal.code is RefusalCode.RESOURCE_EXHAUSTED and not overloaded:
        subject = refusal.metadata.get("bottleneck_links", "")
        quota = details.QuotaFailure.Violation(subject=subject, description=description)
        found.append(details.QuotaFailure(violations=[quota]))
    if overloaded or refusal.code in (RefusalCode.ABORTED, RefusalCode.UNAVAILABLE):
        found.append(details.RetryInfo(retry_delay=Duration(nanos=_RETRY_AFTER_NS)))
    return found
