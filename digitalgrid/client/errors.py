"""What the client raises: the controller's refusal, with its google.rpc details, or its silence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2, status_pb2

from digitalgrid.channels import proxy_note
from digitalgrid.units import NS_PER_S

_DETAILS_KEY = "grpc-status-details-bin"
# CANCELLED is a server's word where it was not the caller's: one that ends breaks off what it has not begun.
_UNREACHABLE = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request, and what is wrong with it."""

    field: str
    description: str


class PowerError(Exception):
    """A call that was not done.

    ``reason`` is the controller's constant for it (UPPER_SNAKE_CASE, empty where it gives none), ``violations`` are
    the fields at fault, and ``metadata`` carries ids and figures, such as the bottleneck link and the missing power.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        violations: Iterable[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s


class RequestRefused(PowerError):
    """The controller answered, and said no."""


class NotActive(RequestRefused):
    """Circuits were admitted, but power did not arrive in time, or they ended before it did."""


class NotDrained(RequestRefused):
    """A drain was begun, and has not come to its end in time, or was given up."""


class ControllerUnreachable(PowerError):
    """No answer: the controller is not there, or did not answer in time. What it did is unknown."""


def from_rpc_error(error: grpc.RpcError, address: str) -> PowerError:
    """The typed error of a failed call to ``address``, of grpc's blocking and asyncio flavours alike."""
    code: grpc.StatusCode = error.code()
    kind = ControllerUnreachable if code in _UNREACHABLE else RequestRefused
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            status.ParseFromString(value)
    message = error.details() or code.name
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        # Said by this side's own clock, which knows neither who was asked nor what they do about it.
        message = f"no answer from {address} in time ({message}): a change that was asked for may yet be made"
    if kind is ControllerUnreachable:
        message += proxy_note(address)
    return _from_status(kind, code, message, status)


def _from_status(
    kind: type[PowerError], code: grpc.StatusCode, message: str, status: status_pb2.Status
) -> PowerError:
    info = error_details_pb2.ErrorInfo()
    request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        # Unpack leaves its target alone where the type is another.
        detail.Unpack(info)
        detail.Unpack(request)
        detail.Unpack(retry)
    violations = [FieldViolation(v.field, v.description) for v in request.field_violations]
    return kind(
        code,
        message,
        reason=info.reason,
        violations=violations,
        metadata=dict(info.metadata),
        retry_after_s=retry.retry_delay.ToNanoseconds() / NS_PER_S,
    )
