"""Addresses that a controller is to listen on, looked at before anything is started; ports that are free."""

import random
import socket
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path

from topologies.emulator.errors import AlreadyRunning
from topologies.emulator.plan import EmulationOptions

# To be answered by whoever listens there (s): on a network that drops what it does not want, nobody is.
_PATIENCE_S = 1.0
# Below those that Linux hands out by itself (net.ipv4.ip_local_port_range begins at 32,768): whoever dials a port of
# theirs that is closed may be given that very port, and keeps its owner from coming back.
_PORTS = range(20_000, 32_000)
# Never seeded: two processes do not draw the same.
_draw = random.SystemRandom()


def require_free(address: str, option: str) -> None:
    """AlreadyRunning where somebody listens there; ``option`` is what gives another address.

    gRPC would share a port with whoever has it, and half of the calls would go astray. Whether this machine has the
    address at all the controller finds out.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()
    except OSError:
        return
    raise AlreadyRunning(
        f"somebody listens on {address} already: stop that first, or give another with {option}"
    )


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """Ports of loopback that nobody uses now, and that nobody who asks for any port is given meanwhile.

    They stand side by side, from anywhere on: of two networks that start at once each draws thirty, and have one in
    common once in two hundred times. Drawn one by one it was once in fourteen.
    """
    ports: list[int] = []
    begin = _draw.randrange(len(_PORTS))
    with ExitStack() as held:
        for port in chain(_PORTS[begin:], _PORTS[:begin]):
            if len(ports) == count:
                break
            probe = held.enter_context(socket.socket(type=kind))
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
    return ports


def options_on_free_ports(run_dir: Path) -> EmulationOptions:
    """Options of an emulation of plain processes, beside whatever else runs: its API, its routers and its page."""
    north, south, page = free_ports(3)
    return EmulationOptions(
        run_dir,
        northbound=f"127.0.0.1:{north}",
        southbound_port=south,
        page=f"127.0.0.1:{page}",
    )
