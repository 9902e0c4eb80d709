"""Where gRPC servers listen, and what is said where they cannot: the same words for every address."""

import errno

import grpc


def listen_on(server: grpc.aio.Server, address: str, key: str, whom: str) -> int:
    """The port. ``key`` is where the address stands in the configuration. OSError, which says what to do, where it is
    taken.
    """
    try:
        port: int = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(
            errno.EADDRINUSE,
            f"cannot listen on {address} for {whom}: the address is in use or not this machine's;"
            f" stop what uses it, or set {key} to another",
        ) from error
    return port
