"""What the fabric asks of switches, and how their two tables are laid out.

Table 0 admits frames: probes go to the controller, a trunk's frames and those of hosts known on an
edge port go on to table 1, any other frame of an edge port goes to the controller, once, to be
learned; ports that are neither are closed. Table 1 forwards by destination; what it does not know
goes to the controller, unless a trunk brought it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from controller.openflow.frames import ETH_TYPE_LLDP

ADMISSION_TABLE, FORWARDING_TABLE = 0, 1
_MISS, _FALLBACK, _KNOWN, _PROBES = 0, 10, 20, 30


class Verdict(Enum):
    """An action other than sending the frame out of one port."""

    DROP = "drop"
    TO_CONTROLLER = "controller"
    TO_FORWARDING = "forwarding table"


Action = Verdict | int


class Match(NamedTuple):
    """The frames that a flow covers; None covers every value."""

    table: int
    priority: int
    in_port: int | None = None
    source: bytes | None = None
    destination: bytes | None = None
    eth_type: int | None = None


@dataclass(frozen=True, slots=True)
class RemoveOthersFlows:
    """Remove every flow that the switch had before it connected: another controller's, or ours of before."""

    dpid: int


@dataclass(frozen=True, slots=True)
class AddFlow:
    """Replaces a flow of the same match. ``lifetime_s`` 0 stays for good."""

    dpid: int
    match: Match
    action: Action
    lifetime_s: int = 0


@dataclass(frozen=True, slots=True)
class RemoveFlow:
    dpid: int
    match: Match


@dataclass(frozen=True, slots=True)
class SendFrame:
    dpid: int
    ports: tuple[int, ...]
    frame: bytes


Effect = RemoveOthersFlows | AddFlow | RemoveFlow | SendFrame

PROBES_TO_CONTROLLER = Match(ADMISSION_TABLE, _PROBES, eth_type=ETH_TYPE_LLDP)
UNKNOWN_DESTINATION = Match(FORWARDING_TABLE, _MISS)


def admit_trunk(port: int) -> Match:
    return Match(ADMISSION_TABLE, _KNOWN, in_port=port)


def unknown_from_trunk(port: int) -> Match:
    return Match(FORWARDING_TABLE, _FALLBACK, in_port=port)


def learn_on_edge(port: int) -> Match:
    return Match(ADMISSION_TABLE, _FALLBACK, in_port=port)


def admit_host(port: int, mac: bytes) -> Match:
    return Match(ADMISSION_TABLE, _KNOWN, in_port=port, source=mac)


def towards_host(mac: bytes) -> Match:
    return Match(FORWARDING_TABLE, _KNOWN, destination=mac)
