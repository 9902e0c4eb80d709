"""Whether a power link's two ends hear each other, after BFD (RFC 5880).

Each end names its own incarnation (the discriminator) and echoes the neighbour's. A line is up while carrier is up,
the neighbour is heard, and it echoes this end's discriminator. Whoever goes down takes a new incarnation, so the
other end sees the fault too, even where only one way of the line is broken.
"""

from enum import Enum, auto

_INCARNATION_BITS = 32


class Verdict(Enum):
    """What a frame's header means."""

    STALE = auto()  # late, repeated, or of a former incarnation: drop it
    HEARD = auto()  # from the neighbour, but the line is not up: take no energy
    TAKEN = auto()  # the line is up and the frame counts


class Adjacency:
    def __init__(self, boot_id: int, dead_ns: int) -> None:
        self._dead_ns = dead_ns
        self._last_seq = 0
        self._last_heard_ns = 0
        self.discriminator = boot_id << _INCARNATION_BITS | 1
        # 0 until the neighbour was heard.
        self.neighbor_discriminator = 0
        self.carrier = False
        self.up = False

    def deadline_ns(self, leeway_ns: int = 0) -> int | None:
        """When the line goes down unless the neighbour is heard before."""
        return self._last_heard_ns + self._dead_ns + leeway_ns if self.up else None

    def set_carrier(self, carrier: bool) -> None:
        self.carrier = carrier
        if not carrier:
            self._go_down()

    def expire(self, now_ns: int, leeway_ns: int = 0) -> None:
        """Goes down where the neighbour is silent for too long.

        ``leeway_ns``: by how much it may be late without being dead, for this router is as late itself.
        """
        deadline_ns = self.deadline_ns(leeway_ns)
        if deadline_ns is not None and now_ns >= deadline_ns:
            self._go_down()

    def restart(self) -> None:
        """Goes down on purpose: the next frame tells the neighbour so."""
        self._go_down()

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

    def hear(self, verdict: Verdict, discriminator: int, seq: int, now_ns: int) -> None:
        """Take up a frame that was judged as HEARD or TAKEN."""
        self.neighbor_discriminator = discriminator
        self._last_seq = seq
        self._last_heard_ns = now_ns
        if verdict is Verdict.TAKEN:
            self.up = True
        else:
            self._go_down()

    def _go_down(self) -> None:
        if self.up:
            self.up = False
            self.discriminator += 1
