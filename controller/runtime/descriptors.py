"""File descriptors: raised to what this process may have, and shared among those who connect."""

import resource

# What the daemon opens itself: stores, logs, listeners, its worker, connections to etcd, switches; and some browsers.
_OWN = 200
# Routers that reconnect stand there twice for a while.
_PER_ROUTER = 2
_SPARE = 16
# With fewer the daemon is of no use.
_MIN_CONNECTIONS = 16


class TooFewDescriptors(OSError):
    """The limits that are configured do not fit what this process may open."""


def southbound_connections(north: int, south: int, routers: int) -> int:
    """How many connections routers may have: as asked, or (0) as many as they need and descriptors allow.

    Raises TooFewDescriptors, which says what to do.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 30
    left = hard - _OWN - north
    wanted = south or min(_PER_ROUTER * routers + _SPARE, left)
    if wanted > left or wanted < _MIN_CONNECTIONS:
        raise TooFewDescriptors(
            f"this process may open {hard} files, and limits.north_connections {north},"
            f" limits.south_connections {max(wanted, _MIN_CONNECTIONS)} and {_OWN} of its own do not fit;"
            " lower the limits, or raise that of the process (ulimit -n, LimitNOFILE=)"
        )
    return wanted


def raise_limit() -> None:
    """Use all descriptors that this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
