"""The configuration of the daemon, ``dgc serve``: one YAML file, in which every key may be left out."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal

from controller.core.settings import Timeouts
from controller.plugins import LEAST_LOSS
from controller.store.plugin import StoreSetting
from digitalgrid.addresses import HOST_AND_PORT, Address, bad_ports
from digitalgrid.bounds import ID_PATTERN, InvalidValue, bounds, check, check_bounds
from digitalgrid.metrics.config import MetricsConfig
from digitalgrid.tracing.config import TracingConfig
from digitalgrid.units import NS_PER_MS
from digitalgrid.yaml_schema import load

_log = logging.getLogger(__name__)

_ADDRESS = bounds(pattern=HOST_AND_PORT)
# Of the operator's page, where nothing else is said; and where that is taken.
DEFAULT_PAGE, ANY_PAGE = "127.0.0.1:50080", "127.0.0.1:0"
_MILLISECONDS = bounds(minimum=10, maximum=600_000)
# The one place where defaults stand.
_TIMEOUTS = Timeouts()


@dataclass(frozen=True, slots=True)
class NorthboundConfig:
    """Where clients reach the API; loopback, as there is no authentication yet. ``advertise`` is the address that a
    standby tells clients of this controller while it leads; ``listen`` where it is empty, which must then be one.
    """

    listen: str = field(default="127.0.0.1:50051", metadata=_ADDRESS)
    advertise: str = field(default="", metadata=bounds(pattern=f"({HOST_AND_PORT})?"))

    def __post_init__(self) -> None:
        advertise = [("advertise", self.advertise)] * bool(self.advertise)
        check(self, bad_ports(("listen", self.listen), *advertise))

    @property
    def address(self) -> str:
        """Where clients are sent to."""
        return self.advertise or self.listen


@dataclass(frozen=True, slots=True)
class SouthboundConfig:
    """Where routers dial in."""

    listen: tuple[str, ...] = field(default=("127.0.0.1:50052",), metadata=_ADDRESS)

    def __post_init__(self) -> None:
        check(self, self._problems())

    def _problems(self) -> Iterator[InvalidValue]:
        if not self.listen:
            yield InvalidValue("listen", message="is empty; routers need an address to dial")
        yield from bad_ports(*(("listen", index, each) for index, each in enumerate(self.listen)))


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Where the operator's page is served; nowhere where it is empty. Where nothing is said it is at loopback's port
    50080, or another where that is taken. Beyond loopback it asks for a token, which is printed when the daemon starts,
    and kept in ``token_file``, by default beside the store; whoever would rather choose one puts it there.

    ``names`` are what browsers call it beside loopback's own names, as behind a proxy that says who may. ``emulation``
    is the control socket of the emulation that this daemon is part of, if it is: faults can be made from the page then.
    ``market`` is where an exchange (`dgm`) answers, if there is one: the page shows its market then. ``network`` is
    what the page is headed by.
    """

    listen: str | None = field(default=None, metadata=bounds(pattern=f"({HOST_AND_PORT})?"))
    names: tuple[str, ...] = field(default=(), metadata=bounds(pattern=r"[A-Za-z0-9.-]{1,253}"))
    emulation: str = ""
    token_file: str = ""
    market: str = field(default="", metadata=bounds(pattern=f"({HOST_AND_PORT})?"))
    # As long as fits at the head of a page; any words, but nothing that is not seen.
    network: str = field(default="", metadata=bounds(pattern=r"[^\x00-\x1f\x7f]{0,60}"))

    def __post_init__(self) -> None:
        check(self, self._problems())

    def _problems(self) -> Iterator[InvalidValue]:
        yield from bad_ports(*[("listen", self.listen or "")] * bool(self.listen))
        yield from bad_ports(*[("market", self.market)] * bool(self.market), lowest=1)

    @property
    def address(self) -> str:
        """Where it is served; empty: nowhere."""
        return DEFAULT_PAGE if self.listen is None else self.listen


@dataclass(frozen=True, slots=True)
class OpenFlowConfig:
    """Whether the daemon also runs the communication network that joins the routers."""

    enabled: bool = False
    listen: str = field(default="127.0.0.1:6653", metadata=_ADDRESS)

    def __post_init__(self) -> None:
        check(self, bad_ports(("listen", self.listen)))


@dataclass(frozen=True, slots=True)
class EtcdConfig:
    """A cluster's store, for several controllers of which one leads: any of its members' client addresses, the prefix
    of all keys, and for how long the lead outlives a leader that says nothing.
    """

    endpoints: tuple[str, ...] = field(default=(), metadata=_ADDRESS)
    prefix: str = field(default="/digitalgrid", metadata=bounds(pattern=r"(/[A-Za-z0-9_.-]+)+"))
    lease_ttl_s: int = field(default=2, metadata=bounds(minimum=1, maximum=60))

    def __post_init__(self) -> None:
        endpoints = (("endpoints", index, each) for index, each in enumerate(self.endpoints))
        check(self, bad_ports(*endpoints, lowest=1))


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where promises are kept: a file, relative to the working directory, or etcd where that has endpoints.

    ``kind`` names another store, of those that `dgc plugins` lists, and ``at`` is for it to read.
    """

    kind: str = field(default="", metadata=bounds(pattern=f"({ID_PATTERN})?"))
    at: str = ""
    path: str = ".run/controller.sqlite"
    etcd: EtcdConfig = field(default_factory=EtcdConfig)

    def __post_init__(self) -> None:
        if not self.path:
            raise InvalidValue("path", message="is empty; name a file")
        if self.path.endswith("/"):
            message = f"is {self.path!r}, which is a directory; name a file"
            raise InvalidValue("path", message=message)
        if self.kind == "etcd" and not self.etcd.endpoints:
            raise InvalidValue("kind", message="is 'etcd', and store.etcd.endpoints names none")
        if self.at and self.chosen in ("sqlite", "etcd"):
            message = f"is for plug-ins, and the store is {self.chosen!r}; leave it out"
            raise InvalidValue("at", message=message)

    @property
    def chosen(self) -> str:
        """The name of its plug-in."""
        return self.kind or ("etcd" if self.etcd.endpoints else "sqlite")


@dataclass(frozen=True, slots=True)
class TimeoutsConfig:
    """How long the controller waits for one step of a circuit, on all its hops, before it takes the error edge."""

    stage_ms: int = field(default=_TIMEOUTS.stage_ms, metadata=_MILLISECONDS)
    commit_ms: int = field(default=_TIMEOUTS.commit_ms, metadata=_MILLISECONDS)
    actuate_ms: int = field(default=_TIMEOUTS.actuate_ms, metadata=_MILLISECONDS)
    drain_ms: int = field(default=_TIMEOUTS.drain_ms, metadata=_MILLISECONDS)
    withdraw_ms: int = field(default=_TIMEOUTS.withdraw_ms, metadata=_MILLISECONDS)


@dataclass(frozen=True, slots=True)
class ReoptimisationConfig:
    """How often circuits are moved to better paths by themselves (0: only when asked), how many at a time, what a move
    must save at least of all that its circuit loses, and for how long a line that was down must be up again before.
    """

    interval_s: float = field(default=0.0, metadata=bounds(minimum=0, maximum=86_400))
    most_moves: int = field(default=8, metadata=bounds(minimum=1, maximum=10_000))
    least_gain_fraction: float = field(default=0.02, metadata=bounds(minimum=0, maximum=1))
    wait_to_restore_s: float = field(default=30.0, metadata=bounds(minimum=0, maximum=86_400))

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """Which routing algorithm proposes a path for each request, of those that `dgc plugins` lists, and for how long a
    request waits for it. What it proposes is judged as our own is, and our own search goes on where nothing fits.
    """

    algorithm: str = field(default=LEAST_LOSS, metadata=bounds(pattern=ID_PATTERN))
    within_ms: int = field(default=100, metadata=bounds(minimum=1, maximum=10_000))


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What strangers, and routers that have gone wrong, can take up. ``south_connections`` 0: as many as ``routers``
    need, or file descriptors allow.
    """

    north_connections: int = field(default=2000, metadata=bounds(minimum=16, maximum=1_000_000))
    south_connections: int = field(default=0, metadata=bounds(minimum=0, maximum=1_000_000))
    # For a connection's handshake, and a router's hello.
    handshake_s: float = field(default=5.0, metadata=bounds(minimum=0.1, maximum=600))
    # Of one router; of more the latest is taken, later.
    lsa_per_s: float = field(default=20.0, metadata=bounds(minimum=0.1, maximum=10_000))
    routers: int = field(default=20_000, metadata=bounds(minimum=1, maximum=1_000_000))
    # A router that holds nothing and has not come for so long is forgotten, with what it owns; 0: never.
    forget_routers_after_s: float = field(
        default=7 * 86_400.0, metadata=bounds(minimum=0, maximum=1e9)
    )


@dataclass(frozen=True, slots=True)
class ControllerMetricsConfig(MetricsConfig):
    """``detail``: sums over the network, or each of its links beside, and where its routers are."""

    detail: Literal["totals", "links"] = "totals"


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
    metrics: ControllerMetricsConfig = field(default_factory=ControllerMetricsConfig)
    tracing: TracingConfig = field(default_factory=TracingConfig)
    web: WebConfig = field(default_factory=WebConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    timeouts: TimeoutsConfig = field(default_factory=TimeoutsConfig)
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    reoptimisation: ReoptimisationConfig = field(default_factory=ReoptimisationConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    lease_ms: int = field(default=_TIMEOUTS.lease_ms, metadata=_MILLISECONDS)
    lsa_max_age_s: float = field(default=90.0, metadata=bounds(minimum=1, maximum=86_400))
    reconcile_interval_s: float = field(default=10.0, metadata=bounds(minimum=0.1, maximum=86_400))
    # How routes are computed: "compiled"; "interpreted", which needs no compiler and suits small networks; or "auto",
    # which serves interpreted at once and goes on compiled as soon as kernels are loaded, or compiled.
    engine: Literal["auto", "compiled", "interpreted"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # "text": lines for people; "json": an object a line; "auto": text on a terminal, else JSON.
    log_format: Literal["auto", "text", "json"] = "auto"

    def __post_init__(self) -> None:
        check(self, self._problems())

    def _problems(self) -> Iterator[InvalidValue]:
        stage_ms, timeouts = self.timeouts.stage_ms, self.core_timeouts
        if timeouts.safe_lease_ns <= stage_ms * NS_PER_MS:
            least_ms = Timeouts.least_lease_ms(stage_ms)
            message = (
                f"is {self.lease_ms}, of which {timeouts.safe_lease_ns // NS_PER_MS} ms are relied on, as"
                f" routers count it from receipt; that must outlast timeouts.stage_ms, which is {stage_ms}:"
                f" make it {least_ms} or more"
            )
            yield InvalidValue("lease_ms", message=message)
        yield from self._clashes()
        if self.store.chosen == "etcd":
            yield from self._nowhere()

    @property
    def core_timeouts(self) -> Timeouts:
        """As the core takes them."""
        timeouts = self.timeouts
        return Timeouts(
            lease_ms=self.lease_ms,
            stage_ms=timeouts.stage_ms,
            commit_ms=timeouts.commit_ms,
            actuate_ms=timeouts.actuate_ms,
            drain_ms=timeouts.drain_ms,
            withdraw_ms=timeouts.withdraw_ms,
        )

    @property
    def page_token_file(self) -> Path:
        """Where the token of a page beyond loopback is kept."""
        beside = Path(self.store.path).with_name("page-token")
        return Path(self.web.token_file) if self.web.token_file else beside

    @property
    def store_setting(self) -> StoreSetting:
        """As its store takes it."""
        store = self.store
        return StoreSetting(
            name=self.name,
            northbound=self.northbound.address,
            path=store.path,
            endpoints=store.etcd.endpoints,
            prefix=store.etcd.prefix,
            lease_ttl_s=store.etcd.lease_ttl_s,
            at=store.at,
        )

    def listeners(self) -> Iterator[tuple[tuple[str | int, ...], Address]]:
        """Every address that the daemon listens on, with its key."""
        yield ("northbound", "listen"), Address.of(self.northbound.listen)
        for index, address in enumerate(self.southbound.listen):
            yield ("southbound", "listen", index), Address.of(address)
        if self.openflow.enabled:
            yield ("openflow", "listen"), Address.of(self.openflow.listen)
        if self.metrics.listen:
            yield ("metrics", "listen"), Address.of(self.metrics.listen)
        if self.web.listen:
            yield ("web", "listen"), Address.of(self.web.listen)

    def _clashes(self) -> Iterator[InvalidValue]:
        """Two listeners on one address, or on one port of which one takes all addresses."""
        earlier: list[tuple[str, Address]] = []
        for path, address in self.listeners():
            for name, other in earlier:
                if address.clashes_with(other):
                    yield InvalidValue(
                        *path, message=f"is '{address}', which clashes with {name}, '{other}'"
                    )
            earlier.append((".".join(map(str, path)), address))

    def _nowhere(self) -> Iterator[InvalidValue]:
        """Others of a cluster send clients there, so it must be one machine's."""
        address = self.northbound.address
        if Address.of(address).is_any:
            key = "advertise" if self.northbound.advertise else "listen"
            message = (
                f"is {address!r}, which leads clients of other controllers nowhere; set"
                " northbound.advertise to the address of this machine that clients can reach"
            )
            yield InvalidValue("northbound", key, message=message)

    @property
    def advice(self) -> str:
        """What is allowed and most likely not meant; empty where nothing is."""
        endpoints = self.store.etcd.endpoints
        own = Address.of(self.northbound.address)
        if not own.is_loopback or all(Address.of(each).is_loopback for each in endpoints):
            return ""
        return (
            f"other controllers of the etcd at {', '.join(endpoints)} will send clients to"
            f" {self.northbound.address}, which is their own machine; set northbound.advertise to the"
            " address of this one"
        )


def load_config(
    path: str | PathLike[str] | None = None,
    also: Callable[[ControllerConfig], Iterable[InvalidValue]] | None = None,
) -> ControllerConfig:
    """Reads the daemon's file; without one, the defaults. Raises ConfigError, which names all that is wrong.

    ``also`` finds what is wrong with it on this machine.
    """
    if path is None:
        return ControllerConfig()

    def on_this_machine(config: ControllerConfig) -> Iterator[InvalidValue]:
        if config.store.chosen == "sqlite" and Path(config.store.path).is_dir():
            message = f"is {config.store.path!r}, which is a directory; name a file"
            yield InvalidValue("store", "path", message=message)
        yield from also(config) if also is not None else ()

    config = load(ControllerConfig, path, also=on_this_machine)
    if config.advice:
        _log.warning("%s: %s", path, config.advice)
    return config
