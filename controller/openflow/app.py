"""The os-ken application: a thin skin that turns os-ken's events into the fabric's.

All of the fabric happens in the one thread of the application's event loop. The loop and its queue
are ours: os-ken's own loop, with native threads, ends silently at the first exception of a handler,
and its queue of 128 then blocks every sender.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, ClassVar

from os_ken.base.app_manager import OSKenApp
from os_ken.controller import ofp_event
from os_ken.controller.handler import (
    CONFIG_DISPATCHER,
    DEAD_DISPATCHER,
    MAIN_DISPATCHER,
    set_ev_cls,
)
from os_ken.ofproto import ofproto_v1_3

from controller.openflow.fabric import (
    Event,
    Fabric,
    FabricSnapshot,
    FrameReceived,
    PortDown,
    PortUp,
    SwitchDown,
    SwitchUp,
)
from controller.openflow.flows import Effect
from controller.openflow.frames import PortId
from controller.openflow.messages import new_cookie, to_messages
from controller.tallies import ControlNetwork, ControlTraffic
from digitalgrid.units import NS_PER_S

_log = logging.getLogger(__name__)

# Load shedding: where more events wait, frames are dropped; what switches say of themselves and their ports never is.
MAX_WAITING_EVENTS = 4096
# Where still more wait, of whatever kind, the switch that has another is read no further for a while.
MAX_WAITING_AT_ALL = 4 * MAX_WAITING_EVENTS
_WAIT_S = 0.01
# Of a switch that has not finished its handshake; the fabric takes fewer.
_MAX_PORTS_DESCRIBED = 4096


@dataclass(frozen=True, slots=True)
class OpenFlowSnapshot:
    """The fabric, and how the application that runs it fares."""

    fabric: FabricSnapshot
    handler_errors: int
    frames_shed: int


class FabricApp(OSKenApp):  # type: ignore[misc]  # os-ken carries no types
    """Runs a :class:`Fabric` on the switches that connect."""

    OFP_VERSIONS: ClassVar[list[int]] = [ofproto_v1_3.OFP_VERSION]

    def __init__(self, fabric: Fabric, clock: Callable[[], int] = time.monotonic_ns) -> None:
        super().__init__()
        self._fabric = fabric
        self._clock = clock
        self._inbox: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self._datapaths: dict[int, Any] = {}
        # Of the flows that each has been told since it connected.
        self._cookies: dict[int, int] = {}
        self._ports_described: dict[Any, dict[int, bool]] = {}
        self._loop_thread: threading.Thread | None = None
        self._handler_errors = 0
        self._frames_shed = 0
        self._shed_lock = threading.Lock()

    @property
    def size(self) -> ControlNetwork:
        """From any thread, at once."""
        return self._fabric.size

    @property
    def traffic(self) -> ControlTraffic:
        """Likewise."""
        frames, flow_mods = self._fabric.traffic
        return ControlTraffic(frames, self._frames_shed, flow_mods)

    def snapshot(self, timeout_s: float = 5.0) -> OpenFlowSnapshot:
        """What is known now, asked from any thread; TimeoutError where the loop does not answer."""
        request: Future[OpenFlowSnapshot] = Future()
        self._inbox.put((request, None))
        return request.result(timeout_s)

    # os-ken's two ends of its queue, overridden

    def _send_event(self, event: Any, state: Any) -> None:
        """From the threads of switches: one that says very much of itself waits until the others were heard."""
        is_frame = isinstance(event, ofp_event.EventOFPPacketIn)
        if is_frame and self._inbox.qsize() >= MAX_WAITING_EVENTS:
            with self._shed_lock:
                self._frames_shed += 1
            return
        while self._inbox.qsize() >= MAX_WAITING_AT_ALL and self._may_wait():
            time.sleep(_WAIT_S)
        self._inbox.put((event, state))

    def _may_wait(self) -> bool:
        """Not the loop itself, which would wait for itself, nor anybody once it has ended."""
        return self.is_active and threading.current_thread() is not self._loop_thread

    def _event_loop(self) -> None:
        self._loop_thread = threading.current_thread()
        while self.is_active:
            try:
                self._step()
            except Exception:  # noqa: BLE001 - logged with its traceback, and counted
                self._handler_errors += 1
                _log.exception("the control network's application goes on after an error")

    def _step(self) -> None:
        deadline_ns = self._fabric.next_deadline_ns()
        wait_s = None if deadline_ns is None else max(0.0, (deadline_ns - self._clock()) / NS_PER_S)
        try:
            event, state = self._inbox.get(timeout=wait_s)
        except queue.Empty:
            event, state = None, None
        if isinstance(event, Future):
            snapshot = self._fabric.snapshot()
            event.set_result(OpenFlowSnapshot(snapshot, self._handler_errors, self._frames_shed))
        elif event is not None:
            for handler in self.get_handlers(event, state):
                handler(event)
        if deadline_ns is not None and self._clock() >= deadline_ns:
            self._apply(self._fabric.expire(self._clock()))

    def _tell(self, event: Event) -> None:
        self._apply(self._fabric.handle(event, self._clock()))

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            datapath = self._datapaths.get(effect.dpid)
            if datapath is not None:
                for message in to_messages(datapath, effect, self._cookies[effect.dpid]):
                    datapath.send_msg(message)

    # Events of os-ken

    @set_ev_cls(ofp_event.EventOFPPortDescStatsReply, CONFIG_DISPATCHER)  # type: ignore[untyped-decorator]
    def _ports_arrived(self, event: Any) -> None:
        described = self._ports_described.setdefault(event.msg.datapath, {})
        if len(described) < _MAX_PORTS_DESCRIBED:
            described.update({port.port_no: _is_up(port) for port in event.msg.body})

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])  # type: ignore[untyped-decorator]
    def _switch_changed(self, event: Any) -> None:
        datapath = event.datapath
        ports = self._ports_described.pop(datapath, {})
        if event.state == MAIN_DISPATCHER:
            older = self._datapaths.get(datapath.id)
            self._datapaths[datapath.id], self._cookies[datapath.id] = datapath, new_cookie()
            if older is not None:
                older.close()
            _log.info("switch %016x connected from %s", datapath.id, datapath.address)
            self._tell(SwitchUp(datapath.id, tuple(n for n, up in ports.items() if up)))
        elif self._is_current(datapath):
            del self._datapaths[datapath.id], self._cookies[datapath.id]
            _log.info("switch %016x disconnected", datapath.id)
            self._tell(SwitchDown(datapath.id))

    @set_ev_cls(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _port_changed(self, event: Any) -> None:
        message = event.msg
        if self._is_current(message.datapath):
            port = PortId(message.datapath.id, message.desc.port_no)
            removed = message.reason == message.datapath.ofproto.OFPPR_DELETE
            up = _is_up(message.desc) and not removed
            self._tell(PortUp(port) if up else PortDown(port))

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _frame_arrived(self, event: Any) -> None:
        message = event.msg
        if self._is_current(message.datapath):
            port = PortId(message.datapath.id, message.match["in_port"])
            self._tell(FrameReceived(port, bytes(message.data)))

    @set_ev_cls(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def _switch_refused(self, event: Any) -> None:
        message = event.msg
        _log.warning(
            "switch %016x refused a message: error type %d code %d",
            message.datapath.id,
            message.type,
            message.code,
        )

    def _is_current(self, datapath: Any) -> bool:
        return self._datapaths.get(datapath.id) is datapath


def _is_up(port: Any) -> bool:
    """Whether a port of a switch (not its local one) can carry frames."""
    return (
        port.port_no <= ofproto_v1_3.OFPP_MAX
        and not port.state & ofproto_v1_3.OFPPS_LINK_DOWN
        and not port.config & ofproto_v1_3.OFPPC_PORT_DOWN
    )
