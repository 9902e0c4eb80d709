"""Shortfalls of a circuit: intervals in which its load got less than it was promised, by how much, and who failed to
deliver.

Energy is the sink's router's count, exact to the millijoule, and adds up to what is missing. Times are to within a
report of that router, for it counts energy and no intervals; causes are the controller's knowledge at that moment.
"""

from enum import StrEnum

import msgspec

from digitalgrid.model import MissingEnergy
from digitalgrid.units import NS_PER_MS, NS_PER_S

# Intervals that are kept apart of one circuit; of more the oldest are put together.
MOST_KEPT = 64
# Of one cause, what is told with no more than this between is one interval: routers report each second while power is
# short.
_APART_NS = 2 * NS_PER_S


class ShortCause(StrEnum):
    """Why a load got less than it was promised."""

    START = "start"  # set up, until its first power
    LINK_DOWN = "link down"
    ROUTER_DOWN = "router down"
    SOURCE_SHORT = "source short"  # it gives less than is reserved
    LINK_SHORT = "link short"  # it carries less than is reserved
    PREEMPTED = "preempted"  # circuits of a higher priority took the rest
    OPERATOR = "operator"  # a drain took it
    MOVE = "move"  # a newer generation took over from one that could go on
    SINK_REFUSED = "sink refused"  # the load did not take it
    UNKNOWN = "unknown"  # nothing that the controller saw explains it


class Blame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """``by``: the id of what failed, where it has one. ``since_unix_ns`` is 0 where it is not known."""

    cause: ShortCause
    by: str = ""
    since_unix_ns: int = 0


class Shortfall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    from_unix_ns: int
    to_unix_ns: int
    cause: ShortCause
    by: str
    missing_mj: int

    def joined(self, later: "Shortfall") -> "Shortfall":
        """Both as one, of unknown cause where theirs differ."""
        same = (self.cause, self.by) == (later.cause, later.by)
        return Shortfall(
            min(self.from_unix_ns, later.from_unix_ns),
            max(self.to_unix_ns, later.to_unix_ns),
            self.cause if same else ShortCause.UNKNOWN,
            self.by if same else "",
            self.missing_mj + later.missing_mj,
        )


def shortfall(
    blame: Blame, missing_mj: int, power_w: float, told_unix_ns: int, at_unix_ns: int
) -> Shortfall:
    """What a report, made at this time, says is missing beyond that of the one before, which was told at
    ``told_unix_ns``, or 0.

    It began when its cause did, or as late as so much can have been lost of this power.
    """
    latest_ns = at_unix_ns - round(missing_mj / power_w * NS_PER_MS)
    began_ns = latest_ns
    if blame.since_unix_ns:
        began_ns = min(latest_ns, max(told_unix_ns, blame.since_unix_ns))
    return Shortfall(began_ns, at_unix_ns, blame.cause, blame.by, missing_mj)


def with_shortfall(known: tuple[Shortfall, ...], more: Shortfall) -> tuple[Shortfall, ...]:
    """In the order in which they were told; one that goes on is one."""
    for index in range(len(known) - 1, max(-1, len(known) - 1 - len(ShortCause)), -1):
        last = known[index]
        near = more.from_unix_ns - last.to_unix_ns <= _APART_NS
        if near and (last.cause, last.by) == (more.cause, more.by):
            return (*known[:index], last.joined(more), *known[index + 1 :])
    kept = (*known, more)
    if len(kept) > MOST_KEPT:
        kept = (kept[0].joined(kept[1]), *kept[2:])
    return kept


def difference(said: MissingEnergy, before: MissingEnergy | None) -> MissingEnergy:
    """What was counted since."""
    if before is None:
        return said
    return MissingEnergy(
        *(getattr(said, name) - getattr(before, name) for name in MissingEnergy.__struct_fields__)
    )
