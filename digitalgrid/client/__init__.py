"""The client library of the northbound API, blocking and for asyncio."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digitalgrid.client.aio import AsyncPowerClient
    from digitalgrid.client.blocking import PowerClient
    from digitalgrid.client.calls import dispatch_request, power_request
    from digitalgrid.client.defaults import DEFAULT_SERVER
    from digitalgrid.client.errors import (
        ControllerUnreachable,
        FieldViolation,
        NotActive,
        NotDrained,
        PowerError,
        RequestRefused,
    )
    from digitalgrid.client.missing_energy import missing_mj, missing_ms

__all__ = [
    "DEFAULT_SERVER",
    "AsyncPowerClient",
    "ControllerUnreachable",
    "FieldViolation",
    "NotActive",
    "NotDrained",
    "PowerClient",
    "PowerError",
    "RequestRefused",
    "dispatch_request",
    "missing_mj",
    "missing_ms",
    "power_request",
]

# Imported when they are asked for: who only blocks needs no asyncio, and who only reads help needs no gRPC.
_MODULES = {
    "AsyncPowerClient": "aio",
    "DEFAULT_SERVER": "defaults",
    "PowerClient": "blocking",
    "dispatch_request": "calls",
    "missing_mj": "missing_energy",
    "missing_ms": "missing_energy",
    "power_request": "calls",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}")
    return getattr(module, name)
