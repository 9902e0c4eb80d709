"""What the core wants done by the edges."""

from dataclasses import dataclass

from controller.core.messages import ToRouter
from controller.core.reconcile import Differences
from controller.core.records import StateChange


@dataclass(frozen=True, slots=True)
class Send:
    """To a router's session; dropped where there is none, read-back finds out."""

    router_id: str
    message: ToRouter


@dataclass(frozen=True, slots=True)
class Persist:
    """To the store; once durable, the core is told the ticket."""

    ticket: int
    change: StateChange


@dataclass(frozen=True, slots=True)
class CircuitChanged:
    """To watchers."""

    circuit_id: int


@dataclass(frozen=True, slots=True)
class TopologyChanged:
    """To watchers: the link-state database, a session or a reservation."""


@dataclass(frozen=True, slots=True)
class TableRead:
    """To whoever asked for a router's table: what was found, None where its session ended before it answered."""

    router_id: str
    read_id: int
    found: Differences | None


Effect = Send | Persist | CircuitChanged | TopologyChanged | TableRead
