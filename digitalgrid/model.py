"""The words that routers and controllers exchange, as plain values; `digitalgrid.convert` maps them to protobuf."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

import msgspec

from digitalgrid.places import Place
from digitalgrid.profiles import DGR, DeviceProfile

PROTOCOL_VERSION = 1


class ElectionId(NamedTuple):
    """128 bits that order controllers; the higher is obeyed. Zero is never valid."""

    high: int
    low: int


NO_ELECTION_ID = ElectionId(0, 0)


class CircuitGeneration(NamedTuple):
    """One version of a circuit; a reroute or a change of power makes the next."""

    circuit_id: int
    generation: int


class Operation(IntEnum):
    """A mutation of a router's circuit table; numbered as in southbound.proto."""

    STAGE = 1
    COMMIT = 2
    ABORT = 3
    DRAIN = 4
    WITHDRAW = 5
    PROMOTE = 6


class ResultCode(IntEnum):
    """A router's answer to a mutation; numbered as in southbound.proto, which says what each means."""

    OK = 1
    STALE_ELECTION_ID = 2
    STALE_GENERATION = 3
    UNKNOWN_TRANSACTION = 4
    LEASE_EXPIRED = 5
    INVALID_HOP = 6
    LINK_DOWN = 7
    NOT_ATTEMPTED = 8
    NOT_DURABLE = 9


class FlowState(IntEnum):
    """A circuit generation's state at its load; numbered as in southbound.proto, where SILENT is never sent."""

    SILENT = 0
    ARRIVED = 1
    ACTUATED = 2
    STARVED = 3
    DRAINED = 4
    SWITCHED = 5
    CHARGED = 6
    DISCHARGED = 7


class SwitchCause(IntEnum):
    """Why a sink left the generation that it demanded before; numbered as in southbound.proto."""

    UNSPECIFIED = 0
    GRANT_LOST = 1
    POWER_MISSED = 2
    OTHER_LOST = 3


class MissingCause(StrEnum):
    """Why a load did not get what it was promised."""

    START = "start"  # before the circuit's first power
    FAULT = "fault"  # a grant vanished, power packets were missed, or the circuit waits after such a fault
    MOVE = "move"  # a newer generation takes over from one that could go on
    CURTAILMENT = "curtailment"  # less is granted than was promised
    REFUSED = "refused"  # the load did not take it


class MissingEnergy(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a circuit's load was promised, and what of that it did not get, by cause."""

    promised_mj: int = 0
    start_mj: int = 0
    fault_mj: int = 0
    move_mj: int = 0
    curtailment_mj: int = 0
    refused_mj: int = 0

    @property
    def missing_mj(self) -> int:
        return self.start_mj + self.fault_mj + self.move_mj + self.curtailment_mj + self.refused_mj

    def __add__(self, other: "MissingEnergy") -> "MissingEnergy":
        return MissingEnergy(
            self.promised_mj + other.promised_mj,
            self.start_mj + other.start_mj,
            self.fault_mj + other.fault_mj,
            self.move_mj + other.move_mj,
            self.curtailment_mj + other.curtailment_mj,
            self.refused_mj + other.refused_mj,
        )


class FinalMeter(msgspec.Struct, frozen=True):
    """What one router has metered of a circuit generation that has ended there."""

    key: CircuitGeneration
    injected_mj: int = 0
    delivered_mj: int = 0
    # On the line by which it left; of that, charged as line loss. None: not counted, or not from its beginning.
    sent_mj: int | None = 0
    line_loss_mj: int | None = 0


class DownCause(IntEnum):
    """Why a link is down; numbered as in power_link.proto, which says who says what."""

    UNKNOWN = 0
    NOT_HEARD = 1
    CARRIER_LOST = 2
    SILENT = 3
    FAR_END = 4
    ROUTER_GONE = 5
    ENDS_DIFFER = 6


# Those that a router can see at its end.
SEEN_BY_ROUTERS = frozenset(
    {DownCause.NOT_HEARD, DownCause.CARRIER_LOST, DownCause.SILENT, DownCause.FAR_END}
)


@dataclass(frozen=True, slots=True)
class LinkAdvertisement:
    """One end's view of a power link."""

    link_id: str
    neighbor_id: str
    resistance_ohm: float
    voltage_v: float
    ampacity_a: float
    cost_per_mwh: float = 0.0
    up: bool = True
    risk_groups: tuple[str, ...] = ()
    # Its corners on a map, from this end to the other.
    via: tuple[Place, ...] = ()
    # Of one that is not up.
    down_cause: DownCause = DownCause.UNKNOWN


@dataclass(frozen=True, slots=True)
class SourceAdvertisement:
    source_id: str
    max_power_w: float
    cost_per_mwh: float = 0.0
    renewable: bool = False
    carbon_kg_per_mwh: float = 0.0


@dataclass(frozen=True, slots=True)
class LoadAdvertisement:
    load_id: str
    max_power_w: float
    priority: int = 0
    value_per_mwh: float = 0.0


@dataclass(frozen=True, slots=True)
class RouterLsa:
    """All that a router advertises of itself; (boot_id, seq) orders two advertisements of one router."""

    router_id: str
    boot_id: int
    seq: int
    efficiency: float
    links: tuple[LinkAdvertisement, ...] = ()
    sources: tuple[SourceAdvertisement, ...] = ()
    loads: tuple[LoadAdvertisement, ...] = ()
    profile: DeviceProfile = DGR
    at: Place | None = None


class HopSnapshot(msgspec.Struct, frozen=True, gc=False):
    """One router's part of one generation of a circuit, with the power reserved for it.

    Exactly one of ``source_id`` and ``ingress_link_id``, and one of ``load_id`` and ``egress_link_id``, is not empty.
    ``received_power_w`` arrives at the far end of the egress link; at the sink it equals ``egress_power_w``.
    A ``standby`` is idle until the sink selects it. ``trickle_w`` may enter here while the generation is idle, for this
    hop and those below it. Higher priorities are served first, and ``floor_w`` of each before the rest of any.
    ``asked_w`` is what the load was promised where others displaced a part of that; else 0.
    A ``shared_standby`` has no room of its own on its egress link: it shares that link's pool.
    """

    circuit_id: int
    generation: int
    admission_seq: int
    power_w: float
    ingress_power_w: float
    egress_power_w: float
    received_power_w: float
    source_id: str = ""
    ingress_link_id: str = ""
    load_id: str = ""
    egress_link_id: str = ""
    standby: bool = False
    priority: int = 0
    floor_w: float = 0.0
    trickle_w: float = 0.0
    asked_w: float = 0.0
    shared_standby: bool = False

    @property
    def key(self) -> CircuitGeneration:
        return CircuitGeneration(self.circuit_id, self.generation)

    def promoted(self) -> "HopSnapshot":
        """As it is once its generation's role is working: what it takes is its own."""
        return msgspec.structs.replace(self, standby=False, shared_standby=False)


class StandbyPool(msgspec.Struct, frozen=True):
    """What a router's shared standbys may put on one of its links, all together; as it arrives at the far end."""

    link_id: str
    received_power_w: float
