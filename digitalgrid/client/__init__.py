"""The client library of the northbound API, blocking and for asyncio."""

from digitalgrid.client.aio import AsyncPowerClient
from digitalgrid.client.blocking import PowerClient
from digitalgrid.client.calls import DEFAULT_SERVER, dispatch_request, power_request
from digitalgrid.client.errors import (
    ControllerUnreachable,
    FieldViolation,
    NotActive,
    PowerError,
    RequestRefused,
)

__all__ = [
    "DEFAULT_SERVER",
    "AsyncPowerClient",
    "ControllerUnreachable",
    "FieldViolation",
    "NotActive",
    "PowerClient",
    "PowerError",
    "RequestRefused",
    "dispatch_request",
    "power_request",
]
