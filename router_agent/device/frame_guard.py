"""Plausibility of frames: a neighbour's figures are checked against what the line can carry before any is used.

Whatever a frame says, a line carries at most its ampacity at its voltage. Energy is a token bucket: it fills with what
the line can carry in the time that passes, and each frame takes what its running total says was sent since the one
before, arrived or not. Of a silence all is kept, for as long again; of a stream ``SLACK_NS``. Energy that the line
cannot have carried is refused. Rates beyond the line are only clamped: the two ends' figures may differ for a while,
as where one was reconfigured before the other, and a rate moves no energy. The losses of a record are the far end's
affair: nothing here is computed from them.
"""

import math

from digitalgrid.limits import MAX_INT64
from digitalgrid.units import MILLIJOULES_PER_J, MILLIWATTS_PER_W, NS_PER_S
from digitalgrid.wire import Frame
from router_agent.config import LinkConfig, RouterConfig

# How late energy may be, beyond a tick and a neighbour's death: routers on a crowded machine have been seconds late.
SLACK_NS = 10 * NS_PER_S
# The two ends' ratings may be rounded differently; reservations are kept to a millionth of them.
_TOLERANCE = 1.01
# Each rate of a record is a whole number, rounded at most twice.
_ROUNDING_MW = 4


class ImplausibleFrameError(ValueError):
    """A well-formed frame with energy that this line cannot have carried."""


class FrameGuard:
    """The bounds of one line; pure, the time passed in."""

    def __init__(self, link: LinkConfig, router: RouterConfig, start_ns: int) -> None:
        capacity_w = _TOLERANCE * link.voltage_v * link.ampacity_a
        self._most_mw = math.ceil(capacity_w * MILLIWATTS_PER_W) + _ROUNDING_MW
        self._mj_per_ns = capacity_w * MILLIJOULES_PER_J / NS_PER_S
        self._burst_mj = self._mj_per_ns * (SLACK_NS + router.tick_ns + router.dead_ns)
        self._left_mj = self._burst_mj
        self._filled_ns = start_ns

    def lost_mj(self, frame: Frame, heard_total_mj: int, first: bool, now_ns: int) -> int | None:
        """What was sent since the frame before and never arrived. Raises ImplausibleFrameError.

        ``heard_total_mj`` is the running total of the frame before. Only the first frame of an adjacency may begin a
        new total, for a neighbour that has lost its books, or of which this end has lost track: None, nothing can be
        told.
        """
        self._fill(now_ns)
        received_mj = frame.received_mj
        lost_mj = frame.total_mj - heard_total_mj - received_mj
        if frame.total_mj == heard_total_mj == MAX_INT64:
            # The neighbour's meter is full.
            lost_mj = 0
        if first and not 0 <= lost_mj <= self._left_mj - received_mj:
            self._draw(received_mj)
            return None
        if lost_mj < 0:
            raise ImplausibleFrameError(
                f"its running total is {frame.total_mj} mJ, {received_mj} mJ of them new, after {heard_total_mj} mJ"
            )
        self._draw(received_mj + lost_mj)
        return lost_mj

    def draw(self, claimed_mj: int, now_ns: int) -> None:
        """So much is said to have been sent. Raises ImplausibleFrameError where the line cannot have carried it."""
        self._fill(now_ns)
        self._draw(claimed_mj)

    def clamped(self, frame: Frame) -> Frame:
        """The frame with no demand or grant above what the line carries; itself where there is none."""
        most_mw = self._most_mw
        power, demands = frame.power, frame.demands
        if max([record.grant_mw for record in power], default=0) > most_mw:
            power = tuple(each._replace(grant_mw=min(each.grant_mw, most_mw)) for each in power)
        if max([record.demand_mw for record in demands], default=0) > most_mw:
            demands = tuple(
                each._replace(demand_mw=min(each.demand_mw, most_mw)) for each in demands
            )
        if power is frame.power and demands is frame.demands:
            return frame
        return frame._replace(power=power, demands=demands)

    def _draw(self, claimed_mj: int) -> None:
        if claimed_mj > self._left_mj:
            raise ImplausibleFrameError(
                f"it says that {claimed_mj} mJ were sent, and the line can have carried {self._left_mj:.0f} mJ"
            )
        self._left_mj -= claimed_mj

    def _fill(self, now_ns: int) -> None:
        """What a silence has left beyond the burst melts as fast as the line could use it, not at once.

        After it, frames of all that time may come one by one.
        """
        gained_mj = (now_ns - self._filled_ns) * self._mj_per_ns
        kept_mj = max(min(self._left_mj, self._burst_mj), self._left_mj - 2.0 * gained_mj)
        self._left_mj = kept_mj + gained_mj
        self._filled_ns = now_ns
