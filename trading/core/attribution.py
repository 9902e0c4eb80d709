"""Attribution: who failed to deliver. Energy that a circuit was to carry and did not, by cause, and whose that is."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from trading.core.orders import Interval
from trading.core.units import Millijoule


class Cause(StrEnum):
    """Why a circuit carried less than it was to, as the controller tells it of an interval."""

    SOURCE_SHORT = "source short"
    LINK_DOWN = "link down"
    ROUTER_DOWN = "router down"
    PREEMPTED = "preempted"
    OPERATOR = "operator"
    LATE_START = "late start"
    SINK_REFUSED = "sink refused"


class Blame(StrEnum):
    SELLER = "seller"
    NETWORK = "network"
    BUYER = "buyer"


BLAME: dict[Cause, Blame] = {
    Cause.SOURCE_SHORT: Blame.SELLER,
    Cause.LINK_DOWN: Blame.NETWORK,
    Cause.ROUTER_DOWN: Blame.NETWORK,
    Cause.PREEMPTED: Blame.NETWORK,
    Cause.OPERATOR: Blame.NETWORK,
    Cause.LATE_START: Blame.NETWORK,
    Cause.SINK_REFUSED: Blame.BUYER,
}


class Missed(msgspec.Struct, frozen=True):
    """From one moment to another, so much was missing for one cause; a circuit has one of a cause at a time."""

    from_ns: int
    to_ns: int
    cause: Cause
    missing_mj: Millijoule


def all_missed(before: Iterable[Missed], said: Iterable[Missed]) -> tuple[Missed, ...]:
    """What was told before and now, in whichever order both came: of what began at one time, the one that is longer."""
    found: dict[tuple[int, Cause], Missed] = {}
    for each in (*before, *said):
        known = found.setdefault((each.from_ns, each.cause), each)
        if (each.to_ns, each.missing_mj) > (known.to_ns, known.missing_mj):
            found[each.from_ns, each.cause] = each
    return tuple(found.values())


def within(missed: Iterable[Missed], interval: Interval) -> tuple[Missed, ...]:
    """Of what was missing, the part of the interval that was bought: a circuit is told to carry a little before it, and
    may be let go a little after. What lasted over an end of it counts by its time.
    """
    parts = [_part(each, interval) for each in missed]
    return tuple([each for each in parts if each is not None])


def _part(each: Missed, interval: Interval) -> Missed | None:
    from_ns, to_ns = max(each.from_ns, interval.start_ns), min(each.to_ns, interval.end_ns)
    length_ns = each.to_ns - each.from_ns
    if length_ns <= 0:
        # At one moment: what was never promised has no time of its own.
        return each if interval.start_ns <= each.from_ns <= interval.end_ns else None
    if to_ns <= from_ns:
        return None
    missing_mj = Millijoule(each.missing_mj * (to_ns - from_ns) // length_ns)
    return Missed(from_ns, to_ns, each.cause, missing_mj)


class Shares(msgspec.Struct, frozen=True):
    """What of a contract was not delivered, parted: all of it, and nothing twice.

    ``unknown`` is what no meter saw and nobody is known to have caused: nobody pays for it, and nobody is blamed.
    """

    short: Millijoule = Millijoule(0)
    curtailed: Millijoule = Millijoule(0)
    refused: Millijoule = Millijoule(0)
    unknown: Millijoule = Millijoule(0)


def shares_of(
    undelivered: Millijoule, missed: Iterable[Missed], *, is_metered: bool = True
) -> Shares:
    """The network's causes count first, then the buyer's; what nobody else caused is the seller's.

    ``undelivered`` is what is lacking at the sink. A cause can be told for more than that, since what was missing at
    one time may have come at another; it is never counted for more. ``is_metered`` False: no meter saw any of it.
    """
    by_blame = dict.fromkeys(Blame, 0)
    for each in missed:
        by_blame[BLAME[each.cause]] += each.missing_mj
    left = max(0, undelivered)
    curtailed = min(left, by_blame[Blame.NETWORK])
    refused = min(left - curtailed, by_blame[Blame.BUYER])
    rest = Millijoule(left - curtailed - refused)
    short, unknown = (rest, Millijoule(0)) if is_metered else (Millijoule(0), rest)
    return Shares(short, Millijoule(curtailed), Millijoule(refused), unknown)
