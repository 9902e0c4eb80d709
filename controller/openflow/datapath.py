"""os-ken's connection to one switch, made to end when it ends."""

import threading
from typing import Any

from os_ken.controller.controller import Datapath
from os_ken.lib import hub

# Between two echoes (s): a switch that is gone is noticed after two, and routers notice a line by themselves.
ECHO_INTERVAL_S = 5.0
# os-ken asks for no echoes by default: a half-open connection is then never noticed.
MAX_UNREPLIED_ECHOES = 1
# os-ken's 16 would let one switch that reads slowly hold up the messages to all others.
MAX_QUEUED_MESSAGES = 4096


class SwitchConnection(Datapath):  # type: ignore[misc]  # os-ken carries no types
    """A :class:`Datapath` whose end is known at once, and whose threads end with it.

    As it comes, ``serve`` waits, once the switch is gone, for a sender that waits for a message: the
    switch counts as connected, and its threads stay, until something else is sent to it.
    """

    def __init__(self, socket: Any, address: Any) -> None:
        super().__init__(socket, address)
        self.send_q = hub.Queue(MAX_QUEUED_MESSAGES)
        self._send_q_sem = hub.BoundedSemaphore(MAX_QUEUED_MESSAGES)
        self._ended = threading.Event()

    def _recv_loop(self) -> None:
        try:
            super()._recv_loop()
        finally:
            self.close()
            self._ended.set()
            self.send(b"", close_socket=True)

    def _echo_request_loop(self) -> None:
        while len(self.unreplied_echo_requests) <= MAX_UNREPLIED_ECHOES:
            request = self.ofproto_parser.OFPEchoRequest(self)
            self.unreplied_echo_requests.append(self.set_xid(request))
            self.send_msg(request)
            if self._ended.wait(ECHO_INTERVAL_S):
                return
        self.close()
