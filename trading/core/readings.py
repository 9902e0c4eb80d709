"""Readings: what both ends' registers say together, and what counts where one is missing or they contradict.

Nothing is paid for what no meter saw, and a reading that never came is not a reading of zero.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum

import msgspec

from trading.core.orders import PPM
from trading.core.units import MJ_PER_WH, Millijoule

# What both ends may differ from the path's formula by: this part of what is injected, and a Wh. Line losses go with the
# square of the power, so a load that draws unevenly loses a little more than one that does not.
_TOLERANCE_PPM = 5_000
_TOLERANCE = MJ_PER_WH


class Reading(msgspec.Struct, frozen=True):
    """A register of one end, as a router said it: ``boot_id`` and ``seq`` say which of two was said later."""

    boot_id: int
    seq: int
    register: Millijoule


class Oddity(StrEnum):
    """Why a reading does not count. It is kept all the same, as evidence."""

    REPEATED = "repeated"
    OUT_OF_ORDER = "out of order"
    BACKWARDS = "backwards"


class Trail(msgspec.Struct, frozen=True):
    """The readings of one register: the last consistent one (None: there is none), and those that do not count."""

    last: Reading | None
    odd: tuple[tuple[Reading, Oddity], ...]


def trail_of(readings: Iterable[Reading]) -> Trail:
    """In the order in which they came. A router that has started anew may go on counting, and never below."""
    last: Reading | None = None
    odd = []
    for reading in readings:
        oddity = None if last is None else _oddity(last, reading)
        if oddity is None:
            last = reading
        else:
            odd.append((reading, oddity))
    return Trail(last, tuple(odd))


def _oddity(last: Reading, reading: Reading) -> Oddity | None:
    place, before = (reading.boot_id, reading.seq), (last.boot_id, last.seq)
    if place == before:
        return Oddity.REPEATED
    if place < before:
        return Oddity.OUT_OF_ORDER
    return Oddity.BACKWARDS if reading.register < last.register else None


class Ends(msgspec.Struct, frozen=True):
    """One generation of a circuit. ``injected_ppm``: what the path's formula injects for a million delivered, as it was
    held; ``seen``: what the controller saw at the sink before, which counts only where neither end says anything.
    """

    source: Sequence[Reading]
    sink: Sequence[Reading]
    injected_ppm: int
    seen: Millijoule | None = None


class Quality(IntEnum):
    """How what counts was come by, the worst last."""

    BOTH_ENDS = 0
    SINK_ONLY = 1
    SOURCE_ONLY = 2
    UNREAD = 3


class Evidence(msgspec.Struct, frozen=True):
    """What counts of all generations together.

    ``is_disputed``: the ends contradict each other in some generation; ``undisputed`` is what can be paid all the same.
    """

    injected: Millijoule
    delivered: Millijoule
    undisputed: Millijoule
    quality: Quality
    is_disputed: bool
    odd: int

    @property
    def is_estimated(self) -> bool:
        return self.quality >= Quality.SOURCE_ONLY

    @property
    def is_metered(self) -> bool:
        """Whether any meter saw it: else nobody is blamed for what is missing."""
        return self.quality < Quality.UNREAD

    @property
    def windows(self) -> int:
        """How many usual times the parties have to dispute it."""
        return 2 if self.is_estimated else 1


def evidence_of(generations: Iterable[Ends]) -> Evidence:
    """A circuit that moved has several generations: energy is the sum over them, at both ends."""
    found = [_one(ends) for ends in generations]
    return Evidence(
        Millijoule(sum(each.injected for each in found)),
        Millijoule(sum(each.delivered for each in found)),
        Millijoule(sum(each.undisputed for each in found)),
        max((each.quality for each in found), default=Quality.UNREAD),
        any(each.is_disputed for each in found),
        sum(each.odd for each in found),
    )


def _one(ends: Ends) -> Evidence:
    source, sink = trail_of(ends.source), trail_of(ends.sink)
    odd = len(source.odd) + len(sink.odd)
    if sink.last is not None and source.last is not None:
        return _both(source.last.register, sink.last.register, ends.injected_ppm, odd)
    if sink.last is not None:
        delivered = sink.last.register
        injected = Millijoule(delivered * ends.injected_ppm // PPM)
        return Evidence(injected, delivered, delivered, Quality.SINK_ONLY, False, odd)
    if source.last is not None:
        injected = source.last.register
        delivered = _inverse(injected, ends.injected_ppm)
        return Evidence(injected, delivered, delivered, Quality.SOURCE_ONLY, False, odd)
    seen = ends.seen or Millijoule(0)
    injected = Millijoule(seen * ends.injected_ppm // PPM)
    return Evidence(injected, seen, seen, Quality.UNREAD, False, odd)


def _both(injected: Millijoule, delivered: Millijoule, injected_ppm: int, odd: int) -> Evidence:
    expected = _inverse(injected, injected_ppm)
    tolerance = injected * _TOLERANCE_PPM // PPM + _TOLERANCE
    is_disputed = delivered > injected or abs(delivered - expected) > tolerance
    undisputed = Millijoule(min(delivered, expected)) if is_disputed else delivered
    return Evidence(injected, delivered, undisputed, Quality.BOTH_ENDS, is_disputed, odd)


def _inverse(injected: Millijoule, injected_ppm: int) -> Millijoule:
    """What arrives of it by the path's formula."""
    return Millijoule(injected * PPM // injected_ppm)
