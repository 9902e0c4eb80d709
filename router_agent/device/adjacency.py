"""Liveness of a power link by hellos, after BFD (RFC 5880): whether its two ends hear each other.

Each end names its own incarnation (the discriminator) and echoes the neighbour's. A line is up while carrier is up,
the neighbour is heard, and it echoes this end's discriminator. Whoever goes down takes a new incarnation, so the
other end sees the fault too, even where only one way of the line is broken.
"""

from enum import Enum, StrEnum, auto

from digitalgrid.model import DownCause

# Of a discriminator: so many incarnations in one boot, so many boots above.
_INCARNATION_BITS = 32


class Verdict(Enum):
    """Whether a frame counts, judged by its header alone."""

    STALE = auto()  # late, repeated, or of a former incarnation: drop it
    HEARD = auto()  # from the neighbour, but the line is not up: take no energy
    TAKEN = auto()  # the line is up and the frame counts


class AdjacencyState(StrEnum):
    NO_CARRIER = "no_carrier"
    DOWN = "down"
    UP = "up"


class AdjacencyEvent(StrEnum):
    CARRIER = "carrier"
    CARRIER_LOST = "carrier lost"
    ECHOED = "echoed"  # the neighbour is heard, and has heard this end
    NOT_ECHOED = "not echoed"  # it is heard, and has not heard this incarnation
    SILENCE = "silence"
    LEAVING = "leaving"


S, E = AdjacencyState, AdjacencyEvent
ADJACENCY_STATES: dict[tuple[AdjacencyState, AdjacencyEvent], AdjacencyState] = {
    (S.NO_CARRIER, E.CARRIER): S.DOWN,
    **{(state, E.CARRIER_LOST): S.NO_CARRIER for state in (S.DOWN, S.UP)},
    **{(state, E.ECHOED): S.UP for state in (S.DOWN, S.UP)},
    **{(state, E.NOT_ECHOED): S.DOWN for state in (S.DOWN, S.UP)},
    (S.UP, E.SILENCE): S.DOWN,
    (S.UP, E.LEAVING): S.DOWN,
}
del S, E

# Of a line with carrier that is not up, by what happened last.
_CAUSES = {
    AdjacencyEvent.CARRIER: DownCause.NOT_HEARD,
    AdjacencyEvent.NOT_ECHOED: DownCause.FAR_END,
    AdjacencyEvent.SILENCE: DownCause.SILENT,
    AdjacencyEvent.LEAVING: DownCause.NOT_HEARD,
}


class Adjacency:
    def __init__(self, boot_id: int, dead_ns: int) -> None:
        self._dead_ns = dead_ns
        self._last_seq = 0
        self._last_heard_ns = 0
        self.discriminator = boot_id << _INCARNATION_BITS | 1
        # 0 until the neighbour was heard.
        self.neighbor_discriminator = 0
        self.state = AdjacencyState.NO_CARRIER
        # What the state means; asked for far more often than it changes.
        self.carrier = False
        self.up = False
        # None while it is up.
        self.down_cause: DownCause | None = DownCause.CARRIER_LOST

    def silent_ns(self, now_ns: int) -> int | None:
        """For how long the neighbour has not been heard; None where it never was."""
        return now_ns - self._last_heard_ns if self.neighbor_discriminator else None

    def deadline_ns(self, leeway_ns: int = 0) -> int | None:
        """When the line goes down unless the neighbour is heard before."""
        return self._last_heard_ns + self._dead_ns + leeway_ns if self.up else None

    def set_carrier(self, carrier: bool) -> None:
        if carrier != self.carrier:
            self._apply(AdjacencyEvent.CARRIER if carrier else AdjacencyEvent.CARRIER_LOST)

    def expire(self, now_ns: int, leeway_ns: int = 0) -> None:
        """Goes down where the neighbour is silent for too long.

        ``leeway_ns``: by how much it may be late without being dead, for this router is as late itself.
        """
        deadline_ns = self.deadline_ns(leeway_ns)
        if deadline_ns is not None and now_ns >= deadline_ns:
            self._apply(AdjacencyEvent.SILENCE)

    def listen_anew(self, now_ns: int) -> None:
        """This end stood still: it did not listen, so that nothing before tells of a silence."""
        if self.up:
            self._last_heard_ns = now_ns

    def restart(self) -> None:
        """Goes down on purpose: the next frame tells the neighbour so."""
        if self.up:
            self._apply(AdjacencyEvent.LEAVING)

    def judge(self, discriminator: int, echoed: int, seq: int, now_ns: int) -> Verdict:
        """What a frame with such a header means; nothing changes before :meth:`hear`."""
        if not self.carrier:
            return Verdict.STALE
        if discriminator != self.neighbor_discriminator:
            if self.up:
                # Newer: with the former incarnation ends this end's too, which it cannot have echoed yet.
                older = discriminator < self.neighbor_discriminator
                return Verdict.STALE if older else Verdict.HEARD
        elif seq <= self._last_seq and (self.up or now_ns < self._last_heard_ns + self._dead_ns):
            # After a silence it may be a neighbour that has lost its state: it counts from the beginning.
            return Verdict.STALE
        return Verdict.TAKEN if echoed == self.discriminator else Verdict.HEARD

    def pulsed(self, discriminator: int, echoed: int, seq: int, now_ns: int) -> bool:
        """The neighbour says under the number of its last frame that it lives; True where it is that one that is heard.

        It changes no state: one that is late in coming says nothing.
        """
        mine = discriminator == self.neighbor_discriminator and echoed == self.discriminator
        if not self.up or not mine or seq < self._last_seq:
            return False
        self._last_heard_ns = now_ns
        return True

    def hear(self, verdict: Verdict, discriminator: int, seq: int, now_ns: int) -> None:
        """Take up a frame that was judged as HEARD or TAKEN."""
        self.neighbor_discriminator = discriminator
        self._last_seq = seq
        self._last_heard_ns = now_ns
        echoed = verdict is Verdict.TAKEN
        self._apply(AdjacencyEvent.ECHOED if echoed else AdjacencyEvent.NOT_ECHOED)

    def _apply(self, event: AdjacencyEvent) -> None:
        was_up, self.state = self.up, ADJACENCY_STATES[self.state, event]
        self.up = self.state is AdjacencyState.UP
        self.carrier = self.state is not AdjacencyState.NO_CARRIER
        self.down_cause = (
            None if self.up else _CAUSES[event] if self.carrier else DownCause.CARRIER_LOST
        )
        if was_up and not self.up:
            self.discriminator += 1
