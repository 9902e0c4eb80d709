"""Whether this machine lets a program listen on an address, tried without staying there."""

import socket

from digitalgrid.addresses import Address


def listening_trouble(address: Address) -> str:
    """Why nobody can listen there; empty where one can."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        return (
            f"{address.host!r} is no address of this machine, nor a name of one ({error.strerror})"
        )
    for family, kind, protocol, _, resolved_address in found:
        try:
            with socket.socket(family, kind, protocol) as listener:
                # As those do who will listen: what a former daemon left half closed is in nobody's way.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(resolved_address)
                listener.listen()
        except OSError as error:
            return f"{error.strerror}; stop what uses it, or take another"
    return ""
