"""Protection of a circuit: a standby generation on a path that does not fail together with the working one.

A second word beside the circuit's state, with a table of its own: a circuit may be ACTIVE and unprotected, or have
switched to its standby without ever having been without power.
"""

from enum import StrEnum

import msgspec


class Against(StrEnum):
    """What the working path and its standby must not have in common; links they never have.

    ROUTER: routers between the ends too, and the first where another source can serve. RISK: shared risk groups too.
    """

    LINK = "link"
    ROUTER = "router"
    RISK = "risk"


class Protection(StrEnum):
    NONE = "none"  # not asked for, or the circuit has ended
    PENDING = "pending"  # a standby is looked for, or fills its buffers
    PROTECTED = "protected"  # the standby would deliver at once
    SWITCHED = "switched"  # the sink runs the standby, or is about to, and that is not adopted yet
    LOST = "lost"  # there is no way for a standby now


class ProtectionEvent(StrEnum):
    """What moves a protection from word to word."""

    WANTED = "wanted"
    CHARGED = "charged"  # the sink says that the standby's buffers are full at every hop
    STANDBY_LOST = "standby lost"  # down, discharged, given up, or not disjoint any more
    SWITCHED = "switched"  # the sink says so, or the working path is down and it is about to
    RETURNED = "returned"  # the working path is up again before anybody left it
    PROMOTED = "promoted"  # the standby is the working generation now
    NO_WAY = "no way"
    FOUND = "found"  # a way for a standby, where there was none
    ENDED = "ended"


P, E = Protection, ProtectionEvent
PROTECTIONS: dict[tuple[Protection, ProtectionEvent], Protection] = {
    (P.NONE, E.WANTED): P.PENDING,
    (P.PENDING, E.CHARGED): P.PROTECTED,
    (P.PROTECTED, E.STANDBY_LOST): P.PENDING,
    (P.SWITCHED, E.STANDBY_LOST): P.PENDING,
    (P.SWITCHED, E.RETURNED): P.PENDING,
    (P.SWITCHED, E.PROMOTED): P.PENDING,
    **{(word, E.SWITCHED): P.SWITCHED for word in (P.PENDING, P.PROTECTED, P.LOST)},
    (P.PENDING, E.NO_WAY): P.LOST,
    (P.LOST, E.FOUND): P.PENDING,
    **{(word, E.ENDED): P.NONE for word in (P.PENDING, P.PROTECTED, P.SWITCHED, P.LOST)},
}
del P, E


class Guard(msgspec.Struct, gc=False):
    """How a circuit is protected: against what, if anything, and where that stands. ``reason`` says why it is not.

    A ``dedicated`` standby has room of its own; others share theirs with standbys that no single failure needs as well.
    """

    against: Against | None = None
    dedicated: bool = False
    word: Protection = Protection.NONE
    reason: str = ""
    # Routers that refused its standby; not asked again until something changes.
    excluded_ids: frozenset[str] = frozenset()

    def apply(self, event: ProtectionEvent, reason: str = "") -> None:
        """Move along the table; an event that the word does not know is a bug, and raised."""
        following = PROTECTIONS.get((self.word, event))
        if following is None:
            raise ValueError(f"{event.value!r} is not possible while {self.word.value!r}")
        self.word = following
        self.reason = reason

    def apply_if_possible(self, event: ProtectionEvent, reason: str = "") -> bool:
        """The same where the word knows the event; whether it does."""
        known = (self.word, event) in PROTECTIONS
        if known:
            self.apply(event, reason)
        return known

    def explain(self, reason: str) -> bool:
        """Say why it is not protected, as that is known by now; whether that is another reason than before."""
        changed, self.reason = self.reason != reason, reason
        return changed
