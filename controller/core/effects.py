"""What the core wants done by the edges."""

import msgspec

from controller.core.circuits.differences import Differences
from controller.core.circuits.records import StateChange
from controller.core.messages import ToRouter


class Send(msgspec.Struct, frozen=True, gc=False):
    """To a router's session; dropped where there is none, read-back finds out."""

    router_id: str
    message: ToRouter


class Persist(msgspec.Struct, frozen=True, gc=False):
    """To the store; once durable, the core is told the ticket."""

    ticket: int
    change: StateChange


class CircuitChanged(msgspec.Struct, frozen=True, gc=False):
    """To watchers."""

    circuit_id: int


class TopologyChanged(msgspec.Struct, frozen=True, gc=False):
    """To watchers: the link-state database, a session or a reservation."""


class TableRead(msgspec.Struct, frozen=True, gc=False):
    """To whoever asked for a router's table: what was found, None where its session ended before it answered."""

    router_id: str
    read_id: int
    found: Differences | None


class RoomWanted(msgspec.Struct, frozen=True, gc=False):
    """To whoever has a worker process: circuits wait, and moves of others may make room for them."""


Effect = Send | Persist | CircuitChanged | TopologyChanged | TableRead | RoomWanted
