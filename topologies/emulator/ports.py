"""Addresses that a controller is to listen on, looked at before anything is started."""

import socket

from topologies.emulator.errors import AlreadyRunning

_PATIENCE_S = 1.0


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
