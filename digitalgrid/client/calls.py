"""What the blocking and the asyncio client have in common: requests, channel options, waiting for ACTIVE."""

import getpass
import json
import os
import socket
import sys
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import grpc

from digitalgrid.channels import CLIENT_OPTIONS
from digitalgrid.client.errors import NotActive, NotDrained
from digitalgrid.convert_lsa import place_to_pb
from digitalgrid.places import Place
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import (
    OperationsServiceStub,
    OptimisationServiceStub,
    PowerServiceStub,
    TopologyServiceStub,
)

# Until a watch that broke off is opened again (s): soon enough to miss nothing that people look at.
WATCH_AGAIN_S = 0.1

# Retry policy for ABORTED: the circuit is being moved just now, and has settled within a second or so.
_CHANGE = [{"service": "digitalgrid.v1.PowerService", "method": "ChangeCircuit"}]
_CHANGE_BACKOFF = {
    "maxAttempts": 5,
    "initialBackoff": "0.2s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
}
# Every call is idempotent, so it may be retried: requests carry an id, other mutations state what shall be.
_RETRIES = {
    "methodConfig": [
        {
            "name": [
                {"service": "digitalgrid.v1.PowerService"},
                {"service": "digitalgrid.v1.OptimisationService"},
                {"service": "digitalgrid.v1.TopologyService"},
                {"service": "digitalgrid.v1.OperationsService"},
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        },
        {
            "name": _CHANGE,
            "retryPolicy": {
                **_CHANGE_BACKOFF,
                "retryableStatusCodes": ["UNAVAILABLE", "ABORTED"],
            },
        },
    ]
}
_RETRIES_OF_SEVERAL = {
    "methodConfig": [
        {
            "name": _CHANGE,
            "retryPolicy": {**_CHANGE_BACKOFF, "retryableStatusCodes": ["ABORTED"]},
        }
    ]
}


# Against the loss of what a standby is kept.
Protect = Literal["link", "router", "risk"]

# What reserves anew each time that it is asked for without an id.
_Reserving = TypeVar("_Reserving", pb.PowerRequest, pb.DispatchRequest)


def who_asks() -> tuple[tuple[str, str], ...]:
    """Metadata of every call, for the controller's audit log: the user and the program."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # No entry in the passwd database, as in some containers.
        user = str(os.getuid())
    program = Path(sys.argv[0]).name or "python"
    said = f"{user}@{socket.gethostname()} {program}"
    return (("digitalgrid-client", said.encode("ascii", "replace").decode()),)


def with_request_id(request: _Reserving) -> _Reserving:
    """The same with an id, so that a repeated call is known to be one."""
    if request.request_id:
        return request
    known = type(request)(request_id=str(uuid.uuid4()))
    known.MergeFrom(request)
    return known


def place_routers_request(places: Mapping[str, Place | None]) -> pb.PlaceRoutersRequest:
    return pb.PlaceRoutersRequest(
        places=[
            pb.RouterPlace(router_id=router_id, at=place_to_pb(at))
            for router_id, at in places.items()
        ]
    )


class Connection:
    """A channel to one controller, and its services."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.power = PowerServiceStub(channel)
        self.optimisation = OptimisationServiceStub(channel)
        self.topology = TopologyServiceStub(channel)
        self.operations = OperationsServiceStub(channel)


def channel_options(servers: int) -> tuple[tuple[str, object], ...]:
    """Of the only controller, or of one of several: there, the next attempt is for another."""
    retries = _RETRIES_OF_SEVERAL if servers > 1 else _RETRIES
    return (("grpc.service_config", json.dumps(retries)), *CLIENT_OPTIONS)


def power_request(
    sink_id: str,
    power_w: float,
    *,
    source_ids: Iterable[str] = (),
    max_loss_fraction: float | None = None,
    max_hops: int | None = None,
    avoid_ids: Iterable[str] = (),
    packets: bool = False,
    allow_split: bool = False,
    setup_priority: int | None = None,
    hold_priority: int | None = None,
    floor_w: float = 0.0,
    protect: Protect | None = None,
    dedicated: bool = False,
    hold_ms: int | None = None,
    over_link_ids: Iterable[str] | None = None,
    until_unix_ns: int | None = None,
    request_id: str = "",
) -> pb.PowerRequest:
    """A request for ``power_w`` delivered to the load ``sink_id``, of which ``floor_w`` is kept when power is short.

    Without ``source_ids``, any source with spare power may serve it. Without a ``request_id`` it gets one of its
    own, so that a retry after a lost answer reserves nothing twice. With ``protect`` a standby is kept beside it, on a
    path that the loss of a link, of a router, or of a shared risk group of the first one leaves alone; ``dedicated``
    ones have room of their own. With ``hold_ms`` the circuit is only reserved, for so long, until it is activated.
    ``over_link_ids`` is the way that it is set up on, source first. At ``until_unix_ns`` the controller releases it by
    itself, whoever is left to ask for that.
    """
    return pb.PowerRequest(
        request_id=request_id or str(uuid.uuid4()),
        sink_id=sink_id,
        power_w=power_w,
        source_ids=source_ids,
        constraints=pb.Constraints(
            max_loss_fraction=max_loss_fraction,
            max_hops=max_hops,
            avoid_ids=avoid_ids,
            packets=packets,
        ),
        allow_split=allow_split,
        setup_priority=setup_priority,
        hold_priority=hold_priority,
        floor_w=floor_w,
        protect=pb.Protect.Value(
            f"PROTECT_{protect.upper()}" if protect else "PROTECT_UNSPECIFIED"
        ),
        dedicated=dedicated,
        hold=None if hold_ms is None else pb.Hold(ttl_ms=hold_ms),
        explicit_route=None if over_link_ids is None else pb.ExplicitRoute(link_ids=over_link_ids),
        until_unix_ns=until_unix_ns,
    )


def dispatch_request(
    demands: Mapping[str, float | None] | None = None,
    *,
    source_ids: Iterable[str] = (),
    objective: pb.Objective | None = None,
    one_by_one: bool = False,
    dry_run: bool = False,
    request_id: str = "",
) -> pb.DispatchRequest:
    """A dispatch of ``demands``, watts by load id, None for all that a load takes; no demands mean every load.

    Without a ``request_id`` it gets one of its own, so that a retry after a lost answer reserves nothing twice.
    """
    admission = pb.ADMISSION_MODE_ONE_BY_ONE if one_by_one else pb.ADMISSION_MODE_ALL_OR_NONE
    return pb.DispatchRequest(
        request_id=request_id or str(uuid.uuid4()),
        demands=[
            pb.Demand(load_id=load_id, power_w=power_w)
            for load_id, power_w in (demands or {}).items()
        ],
        source_ids=source_ids,
        objective=objective,
        admission=admission,
        dry_run=dry_run,
    )


def one_by_one(
    answer: pb.WatchCircuitsResponse, request_id_prefix: str = ""
) -> Iterable[pb.WatchCircuitsResponse]:
    """The same with a circuit each, where several were told together; of requests whose ids begin so, for a controller
    may tell of all.
    """
    if not answer.circuits and not answer.HasField("circuit"):
        return (answer,)
    return (
        pb.WatchCircuitsResponse(circuit=each)
        for each in answer.circuits or (answer.circuit,)
        if each.request_id.startswith(request_id_prefix)
    )


class ActivationWait:
    """Watches events until the circuits that it was given are all ACTIVE."""

    _ENDED = (
        pb.CIRCUIT_STATE_WITHDRAWING,
        pb.CIRCUIT_STATE_WITHDRAWN,
        pb.CIRCUIT_STATE_FAILED,
    )

    def __init__(self, circuit_ids: Iterable[int]) -> None:
        self._circuit_ids = tuple(circuit_ids)
        self._latest: dict[int, pb.Circuit] = {}

    @property
    def circuits(self) -> tuple[pb.Circuit, ...]:
        """As last seen, in the order in which they were given."""
        return tuple(self._latest[id_] for id_ in self._circuit_ids if id_ in self._latest)

    def done(self, event: pb.WatchCircuitsResponse) -> bool:
        """Takes one event; true once all are ACTIVE. Raises NotActive when one has ended."""
        if event.HasField("circuit") and event.circuit.circuit_id in self._circuit_ids:
            self._latest[event.circuit.circuit_id] = event.circuit
            if event.circuit.state in self._ENDED:
                raise self._not_active(grpc.StatusCode.ABORTED, "ended before power arrived")
        if event.HasField("snapshot_done") and len(self.circuits) < len(self._circuit_ids):
            raise self._not_active(grpc.StatusCode.NOT_FOUND, "are no longer known")
        states = {circuit.state for circuit in self.circuits}
        return len(self.circuits) == len(self._circuit_ids) and states <= {pb.CIRCUIT_STATE_ACTIVE}

    def timed_out(self, timeout_s: float) -> NotActive:
        what = f"are not all ACTIVE after {timeout_s:g} s"
        return self._not_active(grpc.StatusCode.DEADLINE_EXCEEDED, what)

    def _not_active(self, code: grpc.StatusCode, what: str) -> NotActive:
        states = "; ".join(
            f"{circuit.circuit_id} is {pb.CircuitState.Name(circuit.state)}"
            f"{f' ({circuit.reason})' if circuit.reason else ''}"
            for circuit in self.circuits
        )
        ids = ", ".join(str(id_) for id_ in self._circuit_ids)
        return NotActive(code, f"circuits {ids} {what}{f': {states}' if states else ''}")


class DrainWait:
    """Watches topologies until a link or router is drained, as both where both have the id."""

    def __init__(self, id_: str) -> None:
        self._id = id_
        self._words: list[pb.AdminWord] = []

    def done(self, view: pb.Topology) -> bool:
        """Takes one view. Raises NotDrained where it is in service, as after a drain that was given up."""
        links = [each.admin for each in view.links if each.link_id == self._id]
        routers = [each.admin for each in view.routers if each.router_id == self._id]
        self._words = [each for each in (*links, *routers) if each.state]
        if not self._words:
            raise NotDrained(
                grpc.StatusCode.ABORTED,
                f"{self._id} is in service: its drain was given up, or undone",
            )
        return all(each.state == pb.ADMIN_STATE_DRAINED for each in self._words)

    def timed_out(self, timeout_s: float) -> NotDrained:
        why = "; ".join(
            f"circuit {each.circuit_id}: {each.text}" if each.circuit_id else each.text
            for word in self._words
            for each in word.blocks
        )
        return NotDrained(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"{self._id} is not drained after {timeout_s:g} s{f': {why}' if why else ''}",
        )
