"""The configuration of the daemon, ``dgc serve``: one YAML file, in which every key may be left out."""

import logging
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from os import PathLike
from pathlib import Path
from typing import Literal

from digitalgrid.yaml_schema import ID_PATTERN, InvalidValue, bounds, check_bounds, load

_log = logging.getLogger(__name__)

_HOST_AND_PORT = r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+):[0-9]{1,5}"
_ADDRESS = bounds(pattern=_HOST_AND_PORT)
_MILLISECONDS = bounds(minimum=10, maximum=600_000)


@dataclass(frozen=True, slots=True)
class NorthboundConfig:
    """Where clients reach the API; loopback, as there is no authentication yet. ``advertise`` is the address that a
    standby tells clients of this controller while it leads; ``listen`` where it is empty, which must then be one.
    """

    listen: str = field(default="127.0.0.1:50051", metadata=_ADDRESS)
    advertise: str = field(default="", metadata=bounds(pattern=f"({_HOST_AND_PORT})?"))

    def __post_init__(self) -> None:
        check_bounds(self)
        _check_port("listen", address=self.listen)
        if self.advertise:
            _check_port("advertise", address=self.advertise)

    @property
    def address(self) -> str:
        """Where clients are sent to."""
        return self.advertise or self.listen


@dataclass(frozen=True, slots=True)
class SouthboundConfig:
    """Where routers dial in."""

    listen: tuple[str, ...] = field(default=("127.0.0.1:50052",), metadata=_ADDRESS)

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.listen:
            raise InvalidValue("listen", message="is empty; routers need an address to dial")
        for index, address in enumerate(self.listen):
            _check_port("listen", index, address=address)


@dataclass(frozen=True, slots=True)
class OpenFlowConfig:
    """Whether the daemon also runs the communication network that joins the routers."""

    enabled: bool = False
    listen: str = field(default="127.0.0.1:6653", metadata=_ADDRESS)

    def __post_init__(self) -> None:
        check_bounds(self)
        _check_port("listen", address=self.listen)


@dataclass(frozen=True, slots=True)
class EtcdConfig:
    """A cluster's store, for several controllers of which one leads: any of its members' client addresses, the prefix
    of all keys, and for how long the lead outlives a leader that says nothing.
    """

    endpoints: tuple[str, ...] = field(default=(), metadata=_ADDRESS)
    prefix: str = field(default="/digitalgrid", metadata=bounds(pattern=r"(/[A-Za-z0-9_.-]+)+"))
    lease_ttl_s: int = field(default=2, metadata=bounds(minimum=1, maximum=60))

    def __post_init__(self) -> None:
        check_bounds(self)
        for index, address in enumerate(self.endpoints):
            _check_port("endpoints", index, address=address)


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where promises are kept: a file, relative to the working directory, or etcd where that has endpoints."""

    path: str = ".run/controller.sqlite"
    etcd: EtcdConfig = field(default_factory=EtcdConfig)

    def __post_init__(self) -> None:
        if not self.path:
            raise InvalidValue("path", message="is empty; name a file")
        if self.path.endswith("/") or Path(self.path).is_dir():
            message = f"is {self.path!r}, which is a directory; name a file"
            raise InvalidValue("path", message=message)


@dataclass(frozen=True, slots=True)
class TimeoutsConfig:
    """How long the controller waits for one step of a circuit, on all its hops, before it takes the error edge."""

    stage_ms: int = field(default=1000, metadata=_MILLISECONDS)
    commit_ms: int = field(default=1000, metadata=_MILLISECONDS)
    actuate_ms: int = field(default=5000, metadata=_MILLISECONDS)
    # Each hop on the way delivers what it holds, a tick and some more, after the one before it.
    drain_ms: int = field(default=5000, metadata=_MILLISECONDS)
    withdraw_ms: int = field(default=2000, metadata=_MILLISECONDS)


@dataclass(frozen=True, slots=True)
class ReoptimisationConfig:
    """How often circuits are moved to better paths by themselves (0: only when asked), how many at a time, and what
    a move must save at least of all that its circuit loses.
    """

    interval_s: float = field(default=0.0, metadata=bounds(minimum=0, maximum=86_400))
    most_moves: int = field(default=8, metadata=bounds(minimum=1, maximum=10_000))
    least_gain_fraction: float = field(default=0.02, metadata=bounds(minimum=0, maximum=1))

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """All of it. Staged transactions expire at the routers after ``lease_ms``; advertisements that were not
    refreshed for ``lsa_max_age_s`` admit nothing new; routers are read back every ``reconcile_interval_s``.
    """

    # What this controller is called among those of its cluster.
    name: str = field(default="dgc", metadata=bounds(pattern=ID_PATTERN))
    northbound: NorthboundConfig = field(default_factory=NorthboundConfig)
    southbound: SouthboundConfig = field(default_factory=SouthboundConfig)
    openflow: OpenFlowConfig = field(default_factory=OpenFlowConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    timeouts: TimeoutsConfig = field(default_factory=TimeoutsConfig)
    reoptimisation: ReoptimisationConfig = field(default_factory=ReoptimisationConfig)
    lease_ms: int = field(default=2000, metadata=_MILLISECONDS)
    lsa_max_age_s: float = field(default=90.0, metadata=bounds(minimum=1, maximum=86_400))
    reconcile_interval_s: float = field(default=10.0, metadata=bounds(minimum=0.1, maximum=86_400))
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.lease_ms <= self.timeouts.stage_ms:
            limit_ms = self.timeouts.stage_ms
            message = f"is {self.lease_ms}; it must outlast timeouts.stage_ms, which is {limit_ms}"
            raise InvalidValue("lease_ms", message=message)
        if self.store.etcd.endpoints:
            self._check_advertised()

    def _check_advertised(self) -> None:
        """Others of a cluster send clients there, so it must be one machine's."""
        address = self.northbound.address
        if _is_any(address):
            key = "advertise" if self.northbound.advertise else "listen"
            message = (
                f"is {address!r}, which leads clients of other controllers nowhere; set"
                " northbound.advertise to the address of this machine that clients can reach"
            )
            raise InvalidValue("northbound", key, message=message)

    @property
    def advice(self) -> str:
        """What is allowed and most likely not meant; empty where nothing is."""
        endpoints = self.store.etcd.endpoints
        if not _is_loopback(self.northbound.address) or all(map(_is_loopback, endpoints)):
            return ""
        return (
            f"other controllers of the etcd at {', '.join(endpoints)} will send clients to"
            f" {self.northbound.address}, which is their own machine; set northbound.advertise to the"
            " address of this one"
        )


def load_config(path: str | PathLike[str] | None = None) -> ControllerConfig:
    """Reads the daemon's file; without one, the defaults. Raises ConfigError, which names the line."""
    if path is None:
        return ControllerConfig()
    config = load(ControllerConfig, path)
    if config.advice:
        _log.warning("%s: %s", path, config.advice)
    return config


def _check_port(*path: str | int, address: str) -> None:
    port = int(address.rpartition(":")[2])
    if port > 65_535:
        raise InvalidValue(*path, message=f"is {address!r}; the highest port is 65535")


def _is_any(address: str) -> bool:
    """Whether it is all addresses of the machine: one to listen on, and none to dial."""
    host = _ip(address)
    return host is not None and host.is_unspecified


def _is_loopback(address: str) -> bool:
    host = _ip(address)
    return address.startswith("localhost:") if host is None else host.is_loopback


def _ip(address: str) -> IPv4Address | IPv6Address | None:
    """None for a name, which only the network can tell."""
    try:
        return ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return None
