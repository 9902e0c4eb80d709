"""Configuration of one router: itself, its lines and its cell; frozen once read.

Every key but the ids has a default that works. Intervals are milliseconds, everything else SI.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from digitalgrid.bounds import ID_PATTERN, InvalidValue, bounds, check_bounds
from digitalgrid.limits import (
    MAX_ADVERTISED,
    MAX_AMPACITY_A,
    MAX_CARBON_KG_PER_MWH,
    MAX_POWER_W,
    MAX_PRICE_PER_MWH,
    MAX_RESISTANCE_OHM,
    MAX_VOLTAGE_V,
    MIN_EFFICIENCY,
    MIN_VOLTAGE_V,
)
from digitalgrid.metrics.config import MetricsConfig
from digitalgrid.physics import line_fault
from digitalgrid.places import Place, check_place, check_via
from digitalgrid.profiles import DGR, DeviceProfile
from digitalgrid.tracing.config import TracingConfig
from digitalgrid.units import NS_PER_MS
from digitalgrid.wire import DEFAULT_FRAME_BYTES, MAX_FRAME_BYTES, MIN_FRAME_BYTES
from digitalgrid.yaml_schema import load

_ID = bounds(pattern=ID_PATTERN)
_POSITIVE = bounds(exclusive_minimum=0)
_VOLTAGE = bounds(minimum=MIN_VOLTAGE_V, maximum=MAX_VOLTAGE_V)
_AMPACITY = bounds(exclusive_minimum=0, maximum=MAX_AMPACITY_A)
_PRICE = bounds(minimum=-MAX_PRICE_PER_MWH, maximum=MAX_PRICE_PER_MWH)
_CARBON = bounds(minimum=0, maximum=MAX_CARBON_KG_PER_MWH)
_RESISTANCE = bounds(minimum=0, maximum=MAX_RESISTANCE_OHM)
# Linux allows 15 characters and neither '/' nor space in an interface's name.
_INTERFACE = bounds(pattern=r"|[^/\s]{1,15}")
_KEY = bounds(pattern=r"|[0-9A-Za-z]{16,64}")
_POWER = bounds(minimum=0, maximum=MAX_POWER_W)


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """This router's end of one power link; frames go over an interface, or over UDP on loopback."""

    id: str = field(metadata=_ID)
    neighbor: str = field(metadata=_ID)
    resistance_ohm: float = field(default=0.5, metadata=_RESISTANCE)
    voltage_v: float = field(default=20e3, metadata=_VOLTAGE)
    ampacity_a: float = field(default=300.0, metadata=_AMPACITY)
    cost_per_mwh: float = field(default=0.0, metadata=_PRICE)
    risk_groups: tuple[str, ...] = field(default=(), metadata=_ID)
    interface: str = field(default="", metadata=_INTERFACE)
    local: str = ""
    remote: str = ""
    # Whoever on this machine knows it can take a loopback line's carrier away; empty: nobody can. Emulations set it.
    carrier_key: str = field(default="", metadata=_KEY)
    # Its corners on a map, from here to the neighbour.
    via: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(self)
        check_via(self.via)
        if fault := line_fault(self.resistance_ohm, self.voltage_v, self.ampacity_a):
            raise InvalidValue(
                "voltage_v", message=f"makes no line with the other figures: {fault}"
            )
        if bool(self.interface) == bool(self.local or self.remote):
            raise InvalidValue("id", message="needs either an interface, or both local and remote")
        if not self.interface:
            for name in ("local", "remote"):
                _require_loopback(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class SourceConfig:
    id: str = field(metadata=_ID)
    max_power_w: float = field(default=1e6, metadata=_POWER)
    cost_per_mwh: float = field(default=0.0, metadata=_PRICE)
    renewable: bool = False
    carbon_kg_per_mwh: float = field(default=0.0, metadata=_CARBON)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class LoadConfig:
    id: str = field(metadata=_ID)
    power_w: float = field(default=1e6, metadata=_POWER)
    priority: int = 0
    value_per_mwh: float = field(default=0.0, metadata=_PRICE)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class RouterConfig:
    router_id: str = field(metadata=_ID)
    # Here stand the boot counter, the promises that outlive a crash, and the meters. Empty: .run/<router_id>.
    state_dir: str = ""
    controllers: tuple[str, ...] = ("127.0.0.1:50052",)
    tick_interval_ms: int = field(default=100, metadata=bounds(minimum=10, maximum=10_000))
    hello_interval_ms: int = field(default=50, metadata=bounds(minimum=5, maximum=10_000))
    # A neighbour is dead after three missed hellos and this much more.
    hello_slack_ms: int = field(default=20, metadata=bounds(minimum=0, maximum=10_000))
    # Energy is held back until packets may be this much late without the stream that they make running dry.
    cushion_ms: int = field(default=5, metadata=bounds(minimum=1, maximum=10_000))
    # While a circuit's power begins, packets go so often instead of once a tick, and hops hold back so much less.
    prime_interval_ms: int = field(default=10, metadata=bounds(minimum=1, maximum=10_000))
    lsa_refresh_s: float = field(default=30.0, metadata=_POSITIVE)
    frame_bytes: int = field(
        default=DEFAULT_FRAME_BYTES,
        metadata=bounds(minimum=MIN_FRAME_BYTES, maximum=MAX_FRAME_BYTES),
    )
    efficiency: float = field(default=0.97, metadata=bounds(minimum=MIN_EFFICIENCY, maximum=1))
    # What kind of device it is; nothing said: a digital grid router without limits.
    profile: DeviceProfile = DGR
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    tracing: TracingConfig = field(default_factory=TracingConfig)
    # Where it stands on a map: [x, y].
    at: Place | None = None
    links: tuple[LinkConfig, ...] = ()
    sources: tuple[SourceConfig, ...] = ()
    loads: tuple[LoadConfig, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(self)
        check_place(self.at)
        for name in ("links", "sources", "loads"):
            if len(getattr(self, name)) > MAX_ADVERTISED:
                message = f"is one of more than {MAX_ADVERTISED}, the most that a router advertises"
                raise InvalidValue(name, MAX_ADVERTISED, message=message)
        _require_unique("links", [link.id for link in self.links])
        _require_unique("sources", [source.id for source in self.sources])
        _require_unique("loads", [load.id for load in self.loads])
        for index, link in enumerate(self.links):
            if link.neighbor == self.router_id:
                raise InvalidValue("links", index, "neighbor", message="is this router itself")
        if problem := self.profile.efficiency_problem(self.efficiency):
            raise InvalidValue("efficiency", message=problem)
        for index, link in enumerate(self.links):
            if found := self.profile.line_problem(index, link.voltage_v):
                key, message = found
                raise InvalidValue("links", index, *((key,) if key else ()), message=message)
        for index, address in enumerate(self.controllers):
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise InvalidValue("controllers", index, message=f"{address!r}: write HOST:PORT")

    @property
    def state_path(self) -> Path:
        return Path(self.state_dir or f".run/{self.router_id}")

    @property
    def tick_ns(self) -> int:
        return self.tick_interval_ms * NS_PER_MS

    @property
    def hello_ns(self) -> int:
        return self.hello_interval_ms * NS_PER_MS

    @property
    def cushion_ns(self) -> int:
        return self.cushion_ms * NS_PER_MS

    @property
    def prime_ns(self) -> int:
        """Never longer than a tick."""
        return min(self.prime_interval_ms, self.tick_interval_ms) * NS_PER_MS

    @property
    def hello_slack_ns(self) -> int:
        return self.hello_slack_ms * NS_PER_MS

    @property
    def dead_ns(self) -> int:
        return 3 * self.hello_ns + self.hello_slack_ns


def load_config(path: str | Path) -> RouterConfig:
    """Raises :class:`digitalgrid.config_file.ConfigError` naming the file and the line."""
    return load(RouterConfig, path)


def parse_loopback(address: str) -> tuple[str, int]:
    """``127.0.0.1:41001`` as (host, port); raises ValueError for anything that is not on loopback."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536 or not ip_address(host).is_loopback:
        raise ValueError(f"{address!r} is not a loopback address and port")
    return host, int(port)


def _require_loopback(name: str, address: str) -> None:
    try:
        parse_loopback(address)
    except ValueError as error:
        raise InvalidValue(
            name, message=f"is {address!r}; write a loopback address and port, as 127.0.0.1:41001"
        ) from error


def _require_unique(name: str, ids: Iterable[str]) -> None:
    known: set[str] = set()
    for index, each in enumerate(ids):
        if each in known:
            raise InvalidValue(name, index, "id", message=f"{each!r} stands there twice")
        known.add(each)
