"""Principals of northbound calls, made of what the client says of itself (nothing proves it yet), and what each RPC
is in the words of access control.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf.message import Message

from controller.core.access import Action, Call, Principal
from controller.tracing.current import traced_call, traced_id
from digitalgrid.printable import printable

CLIENT_KEY = "digitalgrid-client"
# Characters of a name. Longer ones would fill the audit log.
MAX_NAME_CHARACTERS = 128


class Caller(Protocol):
    """What is known of whoever calls: gRPC's context of the call, or what another way in says of its own."""

    def peer(self) -> str:
        """Its connection."""

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]] | None: ...


@dataclass(frozen=True, slots=True)
class NamedCaller:
    """A caller that another way in than gRPC knows by a name and an address."""

    name: str
    address: str

    def peer(self) -> str:
        return self.address

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return ((CLIENT_KEY, self.name),)


@dataclass(frozen=True, slots=True)
class Rpc:
    """What a method does, and what a message of it is about."""

    action: Action
    subject: Callable[[Any], object] = lambda message: ""

    def fields(self, message: Any) -> dict[str, str]:
        """For the log: the id that a message is about, by its name, and the trace that the call is part of."""
        name = _SUBJECTS.get(self.action)
        subject = str(self.subject(message)) if isinstance(message, Message) else ""
        trace_id = traced_id()
        fields = {name: subject} if name and subject else {}
        return fields | ({"trace_id": trace_id} if trace_id else {})

    def call(self, principal: Principal, message: Any) -> Call:
        """For what is refused before a service has made its own of it."""
        if not isinstance(message, Message):
            return Call(principal, self.action)
        rehearsal = getattr(message, "dry_run", False)
        return Call(principal, self.action, str(self.subject(message)), rehearsal=rehearsal)


# What the subject of an action is, as fields of the log are named.
_SUBJECTS = {
    Action.REQUEST: "request_id",
    Action.DISPATCH: "request_id",
    Action.CHANGE: "circuit_id",
    Action.RELEASE: "circuit_id",
    Action.ACTIVATE: "circuit_id",
    Action.FORGET_ROUTER: "router_id",
    Action.DRAIN: "drained_id",
    Action.UNDRAIN: "drained_id",
}
_POWER = "/digitalgrid.v1.PowerService/"
_OPTIMISATION = "/digitalgrid.v1.OptimisationService/"
_TOPOLOGY = "/digitalgrid.v1.TopologyService/"
_OPERATIONS = "/digitalgrid.v1.OperationsService/"
# Every method of ours; a server with one that is missing here does not start.
RPCS: dict[str, Rpc] = {
    f"{_POWER}RequestPower": Rpc(Action.REQUEST, lambda message: message.request.request_id),
    f"{_POWER}BatchRequestPower": Rpc(Action.REQUEST),
    f"{_POWER}ComputePower": Rpc(Action.COMPUTE),
    f"{_POWER}ComputePaths": Rpc(Action.COMPUTE),
    f"{_POWER}ChangeCircuit": Rpc(Action.CHANGE, lambda message: message.circuit_id),
    f"{_POWER}ReleaseCircuit": Rpc(Action.RELEASE, lambda message: message.circuit_id),
    f"{_POWER}ActivateCircuit": Rpc(Action.ACTIVATE, lambda message: message.circuit_id),
    f"{_POWER}GetCircuit": Rpc(Action.READ),
    f"{_POWER}ListCircuits": Rpc(Action.READ),
    f"{_POWER}WatchCircuits": Rpc(Action.READ),
    f"{_POWER}ListRegisters": Rpc(Action.READ_REGISTERS),
    f"{_OPTIMISATION}Dispatch": Rpc(Action.DISPATCH, lambda message: message.request_id),
    f"{_OPTIMISATION}Reoptimise": Rpc(Action.REOPTIMISE),
    f"{_TOPOLOGY}GetTopology": Rpc(Action.READ),
    f"{_TOPOLOGY}WatchTopology": Rpc(Action.READ),
    f"{_TOPOLOGY}ReadMeters": Rpc(Action.READ),
    f"{_OPERATIONS}Reconcile": Rpc(
        Action.RECONCILE, lambda message: " ".join(sorted(message.router_ids))
    ),
    f"{_OPERATIONS}ForgetRouter": Rpc(Action.FORGET_ROUTER, lambda message: message.router_id),
    f"{_OPERATIONS}Drain": Rpc(Action.DRAIN, lambda message: message.id),
    f"{_OPERATIONS}WhatIf": Rpc(Action.COMPUTE),
    f"{_OPERATIONS}WatchEvents": Rpc(Action.READ),
    f"{_OPERATIONS}ReadAudit": Rpc(Action.AUDIT),
    f"{_OPERATIONS}Undrain": Rpc(Action.UNDRAIN, lambda message: message.id),
    f"{_OPERATIONS}PlaceRouters": Rpc(Action.PLACE),
}


def principal_of(context: Caller) -> Principal:
    """As the client names itself, and its address."""
    named = [value for key, value in context.invocation_metadata() or () if key == CLIENT_KEY]
    return Principal(_name(named[0]) if named else "", context.peer())


def _name(said: str | bytes) -> str:
    """Bounded, and shown with escapes where a terminal would obey."""
    text = said if isinstance(said, str) else said.decode("ascii", "backslashreplace")
    return printable(text[:MAX_NAME_CHARACTERS])[:MAX_NAME_CHARACTERS]


def call_of(
    context: Caller,
    action: Action,
    subject: object = "",
    asked: str = "",
    *,
    rehearsal: bool = False,
) -> Call:
    principal = principal_of(context)
    return Call(principal, action, str(subject), asked, rehearsal, trace=traced_call())
