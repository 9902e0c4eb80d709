"""Readings: what both ends' registers say together, and what counts where one is missing or they contradict.

Nothing is paid for what no meter saw, and a reading that never came is not a reading of zero.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum

import msgspec

from digitalgrid.limits import MAX_INT64
from trading.core.orders import PPM
from trading.core.units import MJ_PER_WH, Millijoule

# What both ends may differ from the path's formula by: this part of what is injected, and a Wh. Line losses go with the
# square of the power, so a load that draws unevenly loses a little more than one that does not.
_TOLERANCE_PPM = 5_000
# And what more may arrive than was sent: registers are whole mJ of routers whose ticks are not at the same time.
_TOLERANCE = MJ_PER_WH
# A circuit carries no more than its contract's power, but may do so for longer than its interval: as long as nobody can
# tell its routers to let go. A register of a thousand times the contract, ten days of quarter hours, is none.
_MOST_CONTRACTS = 1_000
# Of one register, whatever was bought: bills are of 64 bits, and so are 64 generations together.
_MOST_REGISTER = MAX_INT64 // 64


class Reading(msgspec.Struct, frozen=True):
    """A register of one end, as a router said it: ``boot_id`` and ``seq`` say which of two was said later."""

    boot_id: int
    seq: int
    register: Millijoule


def most_register(contract: Millijoule) -> Millijoule:
    """The most that a register of one generation can say; what is above was not metered, whoever says it."""
    return Millijoule(min(_MOST_CONTRACTS * contract, _MOST_REGISTER))


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
    """One generation of a circuit, and its number. ``injected_ppm``: what the path's formula injects for a million
    delivered, as it was held.
    """

    source: Sequence[Reading]
    sink: Sequence[Reading]
    injected_ppm: int
    generation: int = 0


def all_said(before: Iterable[Ends], said: Iterable[Ends]) -> tuple[Ends, ...]:
    """What both ends have said of each generation, before and now: what was said once stays said."""
    found: dict[int, Ends] = {}
    for each in (*before, *said):
        known = found.get(each.generation)
        found[each.generation] = each if known is None else _together(known, each)
    return tuple([found[number] for number in sorted(found)])


def are_same(some: Sequence[Ends], others: Sequence[Ends]) -> bool:
    """Also where some of them have come back from a journal, which makes lists of tuples."""
    encode = msgspec.msgpack.encode
    return encode(some) == encode(others)


def _together(before: Ends, said: Ends) -> Ends:
    return Ends(
        _without_twins(before.source, said.source),
        _without_twins(before.sink, said.sink),
        said.injected_ppm,
        before.generation,
    )


def _without_twins(before: Sequence[Reading], said: Sequence[Reading]) -> tuple[Reading, ...]:
    """A reading that is fetched again is the same one, and no evidence of anything."""
    return tuple(dict.fromkeys((*before, *said)))


class Estimate(msgspec.Struct, frozen=True):
    """What the sink's router said last of all generations together, before it fell silent. ``injected_ppm``: as of the
    path that was held.
    """

    delivered: Millijoule
    injected_ppm: int


class Quality(IntEnum):
    """How what counts was come by, the worst last."""

    BOTH_ENDS = 0
    SINK_ONLY = 1
    SOURCE_ONLY = 2
    LAST_READING = 3
    UNREAD = 4


class Evidence(msgspec.Struct, frozen=True):
    """What counts of all generations together.

    ``is_disputed``: the ends contradict each other; ``undisputed`` is what can be paid all the same.
    """

    injected: Millijoule
    delivered: Millijoule
    undisputed: Millijoule
    quality: Quality
    is_disputed: bool
    odd: int

    @property
    def is_countable(self) -> bool:
        """Whether a bill, which counts in 64 bits, can tell it."""
        return max(self.injected, self.delivered) <= MAX_INT64

    @property
    def is_estimated(self) -> bool:
        return self.quality >= Quality.SOURCE_ONLY

    @property
    def is_metered(self) -> bool:
        """Whether meters saw all of it to its end: else nobody is blamed for what is missing, but for what the network
        or the buyer is known to have caused.
        """
        return self.quality < Quality.LAST_READING

    @property
    def windows(self) -> int:
        """How many usual times the parties have to dispute it."""
        return 2 if self.is_estimated else 1


def evidence_of(generations: Iterable[Ends], before: Estimate | None = None) -> Evidence:
    """A circuit that moved has several generations: energy is the sum over them, at both ends.

    What is in one's buffers passes into another's. So of those that both ends speak of, only the sums are compared,
    while what counts where an end is silent is found for each generation by itself. Of one of which both are silent,
    what was said ``before`` of all generations counts, as far as it is more than others come to.
    """
    both: list[_Sums] = []
    found: list[_Sums] = []
    quality, odd = Quality.BOTH_ENDS, 0
    for ends in generations:
        source, sink = trail_of(ends.source), trail_of(ends.sink)
        odd += len(source.odd) + len(sink.odd)
        each = _quality(source.last, sink.last)
        quality = max(quality, each)
        sums = _sums(ends, source.last, sink.last)
        (both if each is Quality.BOTH_ENDS else found).append(sums)
    if not (both or found):
        quality = Quality.UNREAD
    compared, alone = _added(both), _added(found)
    if quality is Quality.UNREAD and before is not None:
        quality = Quality.LAST_READING
        alone = _added((alone, _beyond(before, compared.delivered + alone.delivered)))
    is_disputed = _contradict(compared)
    sure = min(compared.delivered, compared.expected) if is_disputed else compared.delivered
    return Evidence(
        Millijoule(compared.injected + alone.injected),
        Millijoule(compared.delivered + alone.delivered),
        Millijoule(sure + alone.delivered),
        quality,
        is_disputed,
        odd,
    )


class _Sums(msgspec.Struct, frozen=True):
    """What was injected and delivered; ``expected``: what arrives of the former by the path's formula."""

    injected: int
    delivered: int
    expected: int


def _quality(source: Reading | None, sink: Reading | None) -> Quality:
    if sink is not None:
        return Quality.SINK_ONLY if source is None else Quality.BOTH_ENDS
    return Quality.UNREAD if source is None else Quality.SOURCE_ONLY


def _sums(ends: Ends, source: Reading | None, sink: Reading | None) -> _Sums:
    if source is None:
        delivered = 0 if sink is None else sink.register
        return _Sums(delivered * ends.injected_ppm // PPM, delivered, delivered)
    expected = source.register * PPM // ends.injected_ppm
    return _Sums(source.register, expected if sink is None else sink.register, expected)


def _beyond(before: Estimate, known: int) -> _Sums:
    delivered = max(0, before.delivered - known)
    return _Sums(delivered * before.injected_ppm // PPM, delivered, delivered)


def _added(several: Sequence[_Sums]) -> _Sums:
    return _Sums(
        sum(each.injected for each in several),
        sum(each.delivered for each in several),
        sum(each.expected for each in several),
    )


def _contradict(sums: _Sums) -> bool:
    """More arrives than was sent, or the loss is another than the path's."""
    tolerance = sums.injected * _TOLERANCE_PPM // PPM + _TOLERANCE
    is_made = sums.delivered > sums.injected + _TOLERANCE
    return is_made or abs(sums.delivered - sums.expected) > tolerance
