"""Starts and stops os-ken inside this process, in threads of its own.

os-ken's own launcher (``AppManager.run_apps``) crashes at shutdown, leaves non-daemon threads and an
open listening socket behind, and listens on port 6633 unless told otherwise. Here the listening
socket is ours, and every thread descends from a daemon thread, whose nature it inherits.
"""

import errno
import logging
import secrets
import socket
import threading
import time
from concurrent.futures import Future
from functools import partial
from typing import Any

from os_ken.base.app_manager import SERVICE_BRICKS, AppManager, OSKenApp
from os_ken.controller.ofp_handler import OFPHandler
from os_ken.lib import hub

from controller.openflow.app import FabricApp, OpenFlowSnapshot
from controller.openflow.datapath import SwitchConnection
from controller.openflow.fabric import Fabric
from controller.openflow.ports import FabricTimers
from controller.tallies import ControlNetwork, ControlTraffic
from digitalgrid.counters import COUNTERS
from digitalgrid.rate_limit import LimitedLog
from digitalgrid.supervision import start_thread

_log = logging.getLogger(__name__)

# For the thread of a connection that was shut down to end (s): it takes milliseconds; then it dies with the process.
_STOP_TIMEOUT_S = 10.0
# Until accept() is tried again, in seconds: descriptors that ran out come back when others close.
_ACCEPT_PAUSE_S = 0.2
# Far more switches than a control network has; each connection costs three threads and two descriptors.
MAX_CONNECTIONS = 512


class _Handshake(OFPHandler):  # type: ignore[misc]  # os-ken carries no types
    """os-ken's handshake with switches, without the server that it would start."""

    def start(self) -> None:
        OSKenApp.start(self)


class OpenFlowController:
    """The control network's controller: listens for switches and runs a :class:`Fabric` on them.

    os-ken keeps its applications in globals, so a process runs one of these at a time.
    """

    def __init__(
        self,
        listen_host: str = "127.0.0.1",
        listen_port: int = 6653,
        timers: FabricTimers | None = None,
    ) -> None:
        self._address = (listen_host, listen_port)
        self._timers = timers or FabricTimers()
        self._listener: socket.socket | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._limited_log = LimitedLog(_log)
        self._connections: dict[socket.socket, Any] = {}
        self._connections_lock = threading.Lock()
        self._apps = AppManager()
        self._app: FabricApp | None = None

    @property
    def listen_port(self) -> int:
        """The port that is listened on; differs from the one asked for where that was 0."""
        if self._listener is None:
            raise RuntimeError("the OpenFlow controller is not started")
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Listen for switches. OSError where the address is taken or not this machine's."""
        if SERVICE_BRICKS:
            raise RuntimeError("an OpenFlow controller runs in this process; stop it first")
        self._listener = _listen(self._address)
        ready: Future[FabricApp] = Future()
        self._stopping.clear()
        self._thread = start_thread("openflow-accept", partial(self._run, self._listener, ready))
        try:
            self._app = ready.result()
        except Exception:
            self._thread.join(_STOP_TIMEOUT_S)
            self._listener.close()
            self._listener, self._thread = None, None
            raise

    def stop(self) -> None:
        """Stop listening, close all connections and end all threads."""
        if self._listener is None or self._thread is None:
            return
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(_STOP_TIMEOUT_S)
        self._listener.close()
        with self._connections_lock:
            connections = dict(self._connections)
        for connection in connections:
            _shut_down(connection)
        for serving in connections.values():
            serving.join(_STOP_TIMEOUT_S)
        self._apps.close()
        self._listener, self._thread, self._app = None, None, None

    def size(self) -> ControlNetwork:
        """Beside what runs, from any thread; empty once it is stopped."""
        return self._app.size if self._app is not None else ControlNetwork(0, 0, 0)

    def traffic(self) -> ControlTraffic:
        """Likewise, since the last start."""
        return self._app.traffic if self._app is not None else ControlTraffic(0, 0, 0)

    def snapshot(self, timeout_s: float = 5.0) -> OpenFlowSnapshot:
        """What the fabric knows now."""
        if self._app is None:
            raise RuntimeError("the OpenFlow controller is not started")
        return self._app.snapshot(timeout_s)

    def _run(self, listener: socket.socket, ready: Future[FabricApp]) -> None:
        """Body of the accepting thread; begins again after a failure, with the applications that run."""
        if not ready.done():
            try:
                ready.set_result(self._start_apps())
            except Exception as error:  # noqa: BLE001 - start() raises it
                ready.set_exception(error)
                return
        while not self._stopping.is_set():
            self._accept(listener)

    def _accept(self, listener: socket.socket) -> None:
        """Take one connection; where that is not possible just now, for lack of file descriptors, wait a moment."""
        try:
            connection, address = listener.accept()
        except OSError as error:
            if self._stopping.is_set():
                return
            COUNTERS.add("openflow_accept_failures", errno.errorcode.get(error.errno or 0, "other"))
            now_ns = time.monotonic_ns()
            self._limited_log.warning(
                now_ns, "accept", "cannot accept switches just now: %s; trying again", error
            )
            self._stopping.wait(_ACCEPT_PAUSE_S)
            return
        with self._connections_lock:
            full = len(self._connections) >= MAX_CONNECTIONS
            if not full:
                self._connections[connection] = hub.spawn(self._serve, connection, address)
        if full:
            COUNTERS.add("openflow_connections_refused")
            self._limited_log.warning(
                time.monotonic_ns(),
                "full",
                "switch at %s refused: %d connections are the most",
                address,
                MAX_CONNECTIONS,
            )
            connection.close()

    def _start_apps(self) -> FabricApp:
        handshake = self._apps.instantiate(_Handshake)
        fabric = Fabric(secrets.token_bytes(8), self._timers)
        app: FabricApp = self._apps.instantiate(FabricApp, fabric)
        handshake.start()
        app.start()
        return app

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            SwitchConnection(connection, address).serve()
        except Exception:  # noqa: BLE001 - logged with its traceback
            _log.exception("the connection of the switch at %s ends after an error", address)
        finally:
            connection.close()
            with self._connections_lock:
                self._connections.pop(connection, None)


def _listen(address: tuple[str, int]) -> socket.socket:
    """OSError where the address is taken, or none of this machine's; a name is resolved, IPv4 first."""
    found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, resolved = min(found, key=lambda each: each[0] != socket.AF_INET)
    return socket.create_server(resolved[:2], family=family, backlog=128)


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        _log.debug("already closed: %s", error)
