"""Standing streams of one line: what flows on while neither end has anything to say, and how the ends agree on it.

An end stands on a state that its neighbour has said it holds whole. From then on its frames say only until when its
grants have flowed; a frame that was lost leaves a gap in time, whose energy both ends can tell to the millijoule.
"""

from collections.abc import Mapping

from digitalgrid.model import CircuitGeneration
from digitalgrid.wire import Frame
from router_agent.device.frame_guard import FrameGuard, ImplausibleFrameError
from router_agent.device.line_load import LineLoad
from router_agent.device.meters import LinkBooks
from router_agent.device.neighbor_state import NeighborState
from router_agent.device.stream import Stream


class OutStream:
    """What this end sends: its state, what the neighbour has of it, and the stream that stands on it."""

    def __init__(self) -> None:
        # The neighbour is of a release that knows standing frames.
        self.neighbor_reads = False
        # The neighbour's word: it has this end's state that ended with this frame.
        self.neighbor_has = 0
        self.stream: Stream | None = None
        # Of the frames that stand: on which state, and the line's total when they began to.
        self.stands_on = 0
        self.total_mj = 0
        self._state_from = 0

    def forget(self) -> None:
        """The adjacency has ended."""
        self.neighbor_reads = False
        self.neighbor_has = 0
        self.stream = None
        self._state_from = 0

    def stated(self, seq: int, *, anew: bool) -> None:
        """The whole state went out, ending with this frame; ``anew``: it is not what was stated before."""
        if anew or not self._state_from:
            self._state_from = seq

    def changed(self) -> None:
        """Something was stated that is not in the last whole state."""
        self._state_from = 0

    @property
    def unfounded(self) -> bool:
        """It stands, and the neighbour says that it has not got the state any more on which it does."""
        return self.stream is not None and self.neighbor_has < self.stands_on

    @property
    def may_stand(self) -> bool:
        """The neighbour has this end's state as it is now."""
        return 0 < self._state_from <= self.neighbor_has

    def begin(self, rates_mw: Mapping[CircuitGeneration, int], now_ns: int, total_mj: int) -> None:
        self.stream = Stream(rates_mw, now_ns)
        self.stands_on = self.neighbor_has
        self.total_mj = total_mj


class InStream:
    """What the neighbour's standing frames bring, and its energy that no flow has been given yet."""

    def __init__(
        self, books: LinkBooks, load: LineLoad, guard: FrameGuard, stated: NeighborState
    ) -> None:
        self._books = books
        self._load = load
        self._guard = guard
        self._stated = stated
        self.stream: Stream | None = None
        self._total_mj = 0
        self._arrived: list[tuple[CircuitGeneration, int]] = []

    def take(self, frame: Frame, first: bool, now_ns: int) -> bool:
        """Take up a standing frame; True where energy was lost before it. Raises ImplausibleFrameError."""
        if not self._stated.is_as_in(frame.stands_on):
            self._stated.mistrust()
            raise ImplausibleFrameError(f"it stands on state {frame.stands_on}, which is not here")
        if self.stream is None or self.stream.since_ns != frame.stands_since_ns:
            lost_mj = self._begin(frame, first, now_ns)
        elif frame.total_mj != self._total_mj:
            raise ImplausibleFrameError("its total is another than when it began to stand")
        else:
            lost_mj = 0
        return bool(lost_mj + self._go_on(frame, now_ns))

    def end(self) -> None:
        """What comes next is no standing frame of this stream."""
        if self.stream is not None:
            self._settle(self.stream)
            self.stream = None

    @property
    def has_arrived(self) -> bool:
        """Energy is in the line's books that no flow was given."""
        return bool(self._arrived)

    def take_arrived(self) -> list[tuple[CircuitGeneration, int]]:
        """The energy that has come and that no flow has been given, by flow; it is in the line's books from now on."""
        if self.stream is not None:
            self._settle(self.stream)
        arrived, self._arrived = self._arrived, []
        return arrived

    def _begin(self, frame: Frame, first: bool, now_ns: int) -> int:
        self.end()
        lost_mj = self._guard.lost_mj(frame, self._books.heard_total_mj, first, now_ns)
        if lost_mj is None:
            raise ImplausibleFrameError(
                "it stands, and its total is another than that of its state"
            )
        self._books.lost_in_transit_mj += lost_mj
        self._books.heard_total_mj = self._total_mj = frame.total_mj
        grants = self._stated.grants
        rates_mw = {key: grant.power_mw for key, grant in grants.items() if grant.power_mw}
        self.stream = Stream(rates_mw, frame.stands_since_ns)
        return lost_mj

    def _go_on(self, frame: Frame, now_ns: int) -> int:
        """Returns what was lost since the standing frame before."""
        stream, until_ns = self.stream, frame.origin_ns
        start_ns = until_ns - frame.interval_ns
        if stream is None or start_ns < stream.until_ns:
            raise ImplausibleFrameError("it says of a time what it has said of it before")
        self._guard.draw(stream.about_mj(until_ns), now_ns)
        lost_mj = 0
        if start_ns > stream.until_ns:
            self._settle(stream)
            lost_mj = stream.skip(start_ns)
            self._books.lost_in_transit_mj += lost_mj
            self._books.heard_total_mj += lost_mj
        if until_ns > start_ns:
            about_mj = stream.about_mj(until_ns)
            self._load.add_received(start_ns, until_ns, about_mj, stream.circuits)
        stream.until_ns = until_ns
        return lost_mj

    def _settle(self, stream: Stream) -> None:
        moved = stream.settle()
        received_mj = sum(mj for _, mj in moved)
        self._books.received_mj += received_mj
        self._books.heard_total_mj += received_mj
        self._arrived += moved
