"""Ports of the fabric as a state machine: probing, edge or trunk, and the intervals that move them."""

from dataclasses import dataclass
from enum import Enum

from digitalgrid.units import NS_PER_MS


@dataclass(frozen=True, slots=True)
class FabricTimers:
    """Intervals in nanoseconds."""

    probe_interval_ns: int = 100 * NS_PER_MS
    # A port that heard no switch for so long is an edge.
    edge_after_ns: int = 400 * NS_PER_MS
    trunk_probe_interval_ns: int = 1000 * NS_PER_MS
    edge_probe_interval_ns: int = 5000 * NS_PER_MS
    # For so long a switch goes on with what it forwarded before it connected: ports have become edges by then, and the
    # other switches, which dial once a second, are back. Otherwise a controller that is started anew would cut off
    # everybody until ports are edges, and TCP for twice as long.
    others_flows_ns: int = 2000 * NS_PER_MS
    # A trunk that is silent for so long is closed.
    trunk_lost_after_ns: int = 3500 * NS_PER_MS
    # Our own flood, heard on another port within this time, betrays a loop behind edge ports.
    echo_window_ns: int = 1000 * NS_PER_MS


class PortState(Enum):
    PROBING = "probing"
    EDGE = "edge"
    TRUNK = "trunk"


class PortEvent(Enum):
    HEARD = "heard"  # another switch of ours, by its probe
    QUIET = "quiet"  # for as long as the state waits


PORT_TRANSITIONS: dict[tuple[PortState, PortEvent], PortState] = {
    (PortState.PROBING, PortEvent.QUIET): PortState.EDGE,
    # It is no edge: behind it there was a switch, which may be back.
    (PortState.TRUNK, PortEvent.QUIET): PortState.PROBING,
    **{(state, PortEvent.HEARD): PortState.TRUNK for state in PortState},
}


@dataclass(slots=True)
class Port:
    state: PortState
    next_probe_ns: int
    # When it changes state if nothing is heard; None: never, for an edge, and for a port that was a
    # trunk: while it stays up it becomes no edge.
    expires_ns: int | None

    def apply(self, event: PortEvent) -> None:
        """Move along the table; KeyError for what cannot happen, which is a bug."""
        self.state = PORT_TRANSITIONS[self.state, event]
