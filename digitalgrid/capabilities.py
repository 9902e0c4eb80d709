"""Capabilities: what a router says in its hello that it can do beyond the least, so that old and new go together."""

from collections.abc import Iterable
from enum import StrEnum


class Capability(StrEnum):
    # Carries circuits: is programmed.
    CIRCUITS = "circuits"
    # Answers reads of its meters.
    METERS = "meters"
    # Wants to be told which of its claims others own.
    CLAIMS = "claims"
    # Charges idle generations, selects them at its sinks, and takes Promote.
    STANDBY = "standby"
    # Holds shared standbys to the pools of its lines.
    POOLS = "pools"


# Of routers that say nothing: what all of protocol version 1 can.
UNSAID = frozenset({Capability.CIRCUITS, Capability.METERS})


def capabilities_of(names: Iterable[str]) -> frozenset[Capability]:
    """Those that are known here; others are of newer devices, and none of our concern."""
    said = frozenset(names)
    return frozenset(each for each in Capability if each in said) if said else UNSAID
