"""Watches that both directions of a power link together never carry more than its ampacity."""

from collections import deque
from typing import NamedTuple

from router_agent.device.meters import LinkBooks

# Relative: reservations are sums of floats.
_TOLERANCE = 1e-6
# Millijoules of rounding in a record: its energy is rounded to whole ones, at most twice.
_ROUNDING_MJ = 2.0
# Of each direction: a segment of one overlaps at most a few of the other.
_SEGMENTS_KEPT = 8


class _Segment(NamedTuple):
    start_ns: int
    end_ns: int
    current_a: float
    rounding_a: float


class LineLoad:
    """Average currents of the last few stretches of time in either direction."""

    def __init__(self, voltage_v: float, ampacity_a: float, books: LinkBooks) -> None:
        self._voltage_v = voltage_v
        self._limit_a = ampacity_a * (1.0 + _TOLERANCE)
        self._books = books
        self._sent: deque[_Segment] = deque(maxlen=_SEGMENTS_KEPT)
        self._received: deque[_Segment] = deque(maxlen=_SEGMENTS_KEPT)

    @property
    def limit_w(self) -> float:
        """The most that may arrive over the line, both ways together."""
        return self._limit_a * self._voltage_v

    def add_sent(self, start_ns: int, end_ns: int, energy_mj: int, records: int) -> None:
        """``energy_mj`` arrives at the far end of what was sent between two instants."""
        self._add(self._sent, self._received, self._segment(start_ns, end_ns, energy_mj, records))

    def add_received(self, start_ns: int, end_ns: int, energy_mj: int, records: int) -> None:
        segment = self._segment(start_ns, end_ns, energy_mj, records)
        if self._received and self._received[-1][:2] == (start_ns, end_ns):
            # A further part of the same frame.
            part = self._received.pop()
            segment = _Segment(
                start_ns,
                end_ns,
                part.current_a + segment.current_a,
                part.rounding_a + segment.rounding_a,
            )
        self._add(self._received, self._sent, segment)

    def _segment(self, start_ns: int, end_ns: int, energy_mj: int, records: int) -> _Segment:
        # A frame's interval is never empty where it carries energy; a foreign one may say so.
        amperes_per_mj = 1e6 / (max(1, end_ns - start_ns) * self._voltage_v)
        return _Segment(
            start_ns,
            end_ns,
            energy_mj * amperes_per_mj,
            _ROUNDING_MJ * records * amperes_per_mj,
        )

    def _add(self, own: deque[_Segment], other: deque[_Segment], new: _Segment) -> None:
        own.append(new)
        excess_a = new.current_a - new.rounding_a - self._limit_a
        against_a = max(
            (
                segment.current_a - segment.rounding_a
                for segment in other
                if segment.start_ns < new.end_ns and new.start_ns < segment.end_ns
            ),
            default=0.0,
        )
        if excess_a + max(0.0, against_a) > 0.0:
            self._books.oversubscribed_instants += 1
