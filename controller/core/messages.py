"""What controller and routers say to each other, as plain values. The southbound edge maps them to protobuf."""

from dataclasses import dataclass
from enum import Enum

from digitalgrid.model import CircuitGeneration, HopSnapshot


@dataclass(frozen=True, slots=True)
class Stage:
    """Prepare hops under a lease; nothing flows before the Commit."""

    txn_id: int
    lease_ms: int
    hops: tuple[HopSnapshot, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    txn_id: int


@dataclass(frozen=True, slots=True)
class Abort:
    txn_id: int


@dataclass(frozen=True, slots=True)
class Drain:
    """To the sink's router: demand 0, take what is still under way."""

    txn_id: int
    circuits: tuple[CircuitGeneration, ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Remove, and never accept again."""

    txn_id: int
    circuits: tuple[CircuitGeneration, ...]


@dataclass(frozen=True, slots=True)
class ReadTable:
    read_id: int


ToRouter = Stage | Commit | Abort | Drain | Withdraw | ReadTable


class Operation(Enum):
    STAGE = "stage"
    COMMIT = "commit"
    ABORT = "abort"
    DRAIN = "drain"
    WITHDRAW = "withdraw"


class ResultCode(Enum):
    OK = "ok"
    STALE_ELECTION_ID = "stale election id"
    STALE_GENERATION = "stale generation"
    UNKNOWN_TRANSACTION = "unknown transaction"
    LEASE_EXPIRED = "lease expired"
    INVALID_HOP = "invalid hop"
    LINK_DOWN = "link down"
    NOT_ATTEMPTED = "not attempted"


@dataclass(frozen=True, slots=True)
class TransactionResult:
    """A router's answer to one mutation: all of it was done, or nothing."""

    txn_id: int
    operation: Operation
    code: ResultCode
    message: str = ""


@dataclass(frozen=True, slots=True)
class CircuitTable:
    """What a router really runs."""

    read_id: int
    table_version: int
    hops: tuple[HopSnapshot, ...]
    staged_txn_ids: frozenset[int] = frozenset()


class FlowState(Enum):
    ARRIVED = "arrived"
    ACTUATED = "actuated"
    STARVED = "starved"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class CircuitStatus:
    """What the sink's router measures of one generation."""

    key: CircuitGeneration
    state: FlowState
    delivered_w: float = 0.0
    interruption_ns: int = 0
    arrived_at_ns: int = 0
