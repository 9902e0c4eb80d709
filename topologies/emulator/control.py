"""Commands to a running emulation: one JSON object a line, each way, over a socket in the run directory.

A request is ``{"verb": "cut", "target": "r1-r3"}``, for a cloud with the ``share`` of its rating that a source keeps,
and ``for_s``, for how long, if it passes by itself; the answer ``{"done": ...}`` or ``{"error": "..."}``.
"""

import json
import logging
import os
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from topologies.emulator.emulation import Emulation
from topologies.emulator.errors import BadCommand, EmulationError
from topologies.emulator.plan import RunFiles

_log = logging.getLogger(__name__)

# Of an order or an answer: far more than any.
_MAX_LINE_BYTES = 1 << 20
# For an order (s): a router that is started again takes seconds on a busy machine.
_TIMEOUT_S = 60.0

_ON_ONE: dict[str, Callable[[Emulation, str], None]] = {
    "cut": Emulation.cut,
    "restore": Emulation.restore,
    "silence": Emulation.silence,
    "heal": Emulation.heal,
    "clear": Emulation.clear,
    "unplug": Emulation.unplug,
    "plug": Emulation.plug,
    "kill": Emulation.kill_router,
    "restart": Emulation.restart_router,
}
_ON_ALL: dict[str, Callable[[Emulation], Any]] = {
    "kill-controller": Emulation.kill_controller,
    "restart-controller": Emulation.restart_controller,
    "status": lambda emulation: asdict(emulation.status()),
}
_CLOUD = "cloud"
VERBS = (*_ON_ONE, _CLOUD, *_ON_ALL)


def send_command(
    run_dir: Path,
    verb: str,
    target: str | None = None,
    share: float | None = None,
    for_s: float | None = None,
) -> str:
    """Have the emulation of this run directory do something; returns its answer for a person to read.

    BadCommand where the command makes no sense; EmulationError where it is refused, or none runs.
    """
    _check(verb, target, share, for_s)
    command = {"verb": verb, "target": target, "share": share, "for_s": for_s}
    files = RunFiles.under(run_dir)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        try:
            _with_short_path(files.control_socket, connection.connect)
            connection.sendall(json.dumps(command).encode() + b"\n")
            line = connection.makefile("rb").readline(_MAX_LINE_BYTES)
        except OSError as error:
            raise EmulationError(
                f"no emulation answers in {files.root} ({error}); start one with 'dgc emulate'"
            ) from error
    answer = json.loads(line or '{"error": "the emulation ended before it answered"}')
    if "error" in answer:
        raise EmulationError(answer["error"])
    done = answer["done"]
    return done if isinstance(done, str) else json.dumps(done, indent=2)


def obey(
    emulation: Emulation,
    verb: str,
    target: str | None,
    share: float | None = None,
    for_s: float | None = None,
) -> Any:
    """Do what a command says. BadCommand or EmulationError where it cannot be done."""
    _check(verb, target, share, for_s)
    if target and share is not None:
        emulation.cloud(target, share, for_s)
        return f"cloud {target}: {100 * share:.4g} % of its rating is left"
    if target:
        _ON_ONE[verb](emulation, target)
        return f"{verb} {target}: done"
    result = _ON_ALL[verb](emulation)
    return f"{verb}: done" if result is None else result


def _check(verb: str, target: str | None, share: float | None, for_s: float | None) -> None:
    """BadCommand where there is no such verb, or it has not what it needs, or what it does not take."""
    if verb not in VERBS:
        raise BadCommand(f"unknown verb {verb!r}; one of {', '.join(VERBS)}")
    if verb == _CLOUD:
        if not target or share is None:
            raise BadCommand("cloud: say which source and what is left of it, as in 'cloud ID 60%'")
        return
    if share is not None or for_s is not None:
        raise BadCommand(f"{verb} takes neither a share nor a time; a cloud does")
    if verb in _ON_ONE and not target:
        raise BadCommand(f"{verb}: say which link, source, load or router, as in '{verb} ID'")
    if verb in _ON_ALL and target:
        raise BadCommand(f"{verb} takes no id, but {target!r} was given")


class ControlServer:
    """Obeys commands in the thread that calls :meth:`serve`."""

    def __init__(self, emulation: Emulation, path: Path) -> None:
        self._emulation = emulation
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        _with_short_path(path, self._listener.bind)
        path.chmod(0o600)
        self._listener.listen()
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def serve(self, timeout_s: float | None = None) -> None:
        """Handle what has arrived, waiting for it up to the timeout."""
        for key, _ in self._selector.select(timeout_s):
            key.data()

    def close(self) -> None:
        """Close the socket and all its connections."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # only sockets are registered
        self._selector.close()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        received = bytearray()
        self._selector.register(
            connection, selectors.EVENT_READ, lambda: self._read(connection, received)
        )

    def _read(self, connection: socket.socket, received: bytearray) -> None:
        chunk = b""
        with suppress(ConnectionError):
            chunk = connection.recv(65536)
        received += chunk
        *lines, rest = received.split(b"\n")
        received[:] = rest
        if not chunk or len(rest) > _MAX_LINE_BYTES:
            self._selector.unregister(connection)
            connection.close()
            return
        connection.settimeout(_TIMEOUT_S)
        for line in lines:
            with suppress(ConnectionError, TimeoutError):
                connection.sendall(json.dumps(self._answer(bytes(line))).encode() + b"\n")
        connection.setblocking(False)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            verb, target = request["verb"], request.get("target")
            share, for_s = (
                None if request.get(key) is None else float(request[key])
                for key in ("share", "for_s")
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"error": 'not a command; write {"verb": ..., "target": ...} on one line'}
        _log.info("command: %s %s", verb, target or "")
        try:
            return {"done": obey(self._emulation, str(verb), target and str(target), share, for_s)}
        except EmulationError as error:
            return {"error": str(error)}


def _with_short_path(path: Path, call: Callable[[str], None]) -> None:
    """A socket's path may have 107 bytes only; by way of its folder's descriptor it has."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
