"""Pacing: of many circuits how many have their turn in one event, in which order, and when they are tried again."""

from controller.core.circuits.circuit import Circuit
from digitalgrid.units import NS_PER_S

# Circuits that are moved or searched for in one event; others have their turn between.
MAX_AT_ONCE = 16
# For how many of those that are searched for in one event it is worked out what binds: up to 30 searches each.
MAX_EXPLAINED = 1
# When what was in vain is tried again: where something has changed that may help, and where nothing has.
RETRY_SOON_NS = 10_000_000
RETRY_LATER_NS = NS_PER_S


def urgency(circuit: Circuit) -> tuple[int, int]:
    """Higher priority first, then the older promise."""
    return (-circuit.priority, circuit.circuit_id)
