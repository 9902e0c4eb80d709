"""Frame reader of one end of a line: drops what is no frame of the far end, and keeps rates within the line."""

import logging
from collections.abc import Callable

from digitalgrid.units import NS_PER_MS
from digitalgrid.wire import Frame, FrameError, decode, name_hash
from router_agent.config import LinkConfig
from router_agent.device.frame_guard import FrameGuard
from router_agent.device.lateness import MAX_LATE_MS
from router_agent.device.meters import LinkBooks
from router_agent.device.remark import Remark


class FrameReader:
    """``ends_differ``: the neighbour's figures of this line are others than this end's."""

    def __init__(
        self, link: LinkConfig, guard: FrameGuard, books: LinkBooks, tell: Callable[[Remark], None]
    ) -> None:
        self._link = link
        self._guard = guard
        self._books = books
        self._tell = tell
        self._link_hash = name_hash(link.id)
        self._neighbor_hash = name_hash(link.neighbor)
        self.ends_differ = False

    def frame_of(self, datagram: bytes) -> Frame | None:
        try:
            frame = decode(datagram)
        except FrameError as error:
            self.remark(logging.DEBUG, "malformed", f"dropped a datagram: {error}")
            return None
        if frame.link_hash != self._link_hash or frame.sender_hash != self._neighbor_hash:
            self.remark(logging.DEBUG, "foreign", "dropped a frame of another line or router")
            return None
        return frame

    def refuse(self, why: str) -> None:
        """Nothing of the frame counts: of a neighbour that sends only such, the line goes down as of a silent one."""
        self._books.frames_refused += 1
        self.remark(logging.WARNING, "refused", f"refused a frame of {self._link.neighbor}: {why}")

    def clamped(self, frame: Frame) -> Frame:
        """Rates that the line does not carry are taken as the most that it does: the far end may have other figures."""
        within = self._guard.clamped(frame)
        if within is not frame:
            self.ends_differ = True
            self._books.frames_clamped += 1
            self.remark(
                logging.WARNING,
                "clamped",
                f"clamped what {self._link.neighbor} wants or grants to what the line carries;"
                " compare voltage_v and ampacity_a of its two ends",
            )
        return within

    def remark(self, level: int, kind: str, text: str) -> None:
        id_ = self._link.id
        self._tell(Remark(level, f"{id_} {kind}", f"link {id_} {text}", {"link_id": id_}))


def sender_late_ns(frame: Frame) -> int:
    """What a frame without records says of its sender."""
    return min(frame.part, MAX_LATE_MS) * NS_PER_MS
