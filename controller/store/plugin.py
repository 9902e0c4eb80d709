"""Interface of stores as plug-ins, version 1: how one is opened by a daemon, by tools, and looked at beforehand.

What an opened store promises is in :mod:`controller.store.protocol`; ``tests/conformance`` is what it must pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from controller.store.protocol import Membership, Store, StoreAccess

INTERFACE_VERSION = 1


@dataclass(frozen=True, slots=True)
class StoreSetting:
    """What is configured: ``at`` for plug-ins, in whatever words they understand, the rest for what is built in.

    ``name`` is what this controller is called in its cluster, ``northbound`` where clients reach it (host:port).
    """

    name: str
    northbound: str
    path: str = ""
    endpoints: tuple[str, ...] = ()
    prefix: str = ""
    lease_ttl_s: int = 0
    at: str = ""


class StorePlugin(Protocol):
    """What an entry point of group ``digitalgrid.stores`` names: an instance, or a class that is called without
    arguments. It runs in the daemon's own process, on the way of every decision. It raises StoreError, with a message
    that says what, where, and what to do.
    """

    @property
    def interface_version(self) -> int:
        """1."""

    def open(self, setting: StoreSetting) -> Store | Membership:
        """A store that this controller alone leads with, or its place in a cluster that shares one."""

    def access(self, setting: StoreSetting) -> StoreAccess:
        """For `dgc store`, beside a daemon that may be using it."""

    def problems(self, setting: StoreSetting) -> Iterator[tuple[str, str]]:
        """What would keep :meth:`open` from it, without changing anything: a key below ``store``, and what is wrong."""

    def described(self, setting: StoreSetting) -> str:
        """Which store it is, in logs and on the page."""
