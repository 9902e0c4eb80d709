"""What an emulation will consist of, worked out before anything is made: pure, from a grid and options."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from digitalgrid.gridfile import Grid, Link, Router
from digitalgrid.profiles import DGR, DeviceProfile
from topologies.emulator import addresses
from topologies.emulator.addresses import ControlNetwork

# Of the control network: a network of a hundred has several, so that its fabric has lines between switches.
ROUTERS_PER_SWITCH = 32
# Up to so many routers, two cores keep up with the shorter intervals.
_SMALL_NETWORK = 32

# One end of a power link: (link id, router id).
LineEnd = tuple[str, str]


@dataclass(frozen=True, slots=True)
class EmulationOptions:
    """How to run a grid. 0 switches mean: as many as suit the size of the grid."""

    run_dir: Path = Path(".run")
    # Switches of the control network, in a ring where there are three or more (Mininet only).
    control_switches: int = 0
    northbound: str = addresses.NORTHBOUND_ADDRESS
    southbound_port: int = addresses.SOUTHBOUND_PORT
    # Of the control network (Mininet only).
    openflow_port: int = addresses.OPENFLOW_PORT
    subnet: IPv4Network = addresses.DEFAULT_SUBNET
    # Of the operator's page; None: its usual address, or another where that is taken.
    page: str | None = None
    # Each router tells Prometheus what it does.
    router_metrics: bool = False
    # The collector of their spans, and of the controller's.
    trace: str | None = None
    # An exchange that the page shows.
    market: str | None = None

    def __post_init__(self) -> None:
        if self.control_switches < 0:
            raise ValueError(f"control_switches is {self.control_switches}; give 0 or more")

    def to_plain(self) -> dict[str, str | int | None]:
        """As JSON can say it, with the run directory absolute."""
        return asdict(self) | {"run_dir": str(self.run_dir.absolute()), "subnet": str(self.subnet)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "EmulationOptions":
        """What :meth:`to_plain` made."""
        typed = {"run_dir": Path(plain["run_dir"]), "subnet": IPv4Network(plain["subnet"])}
        return cls(**{**plain, **typed})


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Where an emulation keeps what belongs to it; all paths absolute, and the same by whichever link one came."""

    root: Path

    @classmethod
    def under(cls, run_dir: Path) -> "RunFiles":
        return cls(run_dir.resolve())

    @property
    def state(self) -> Path:
        """What is recorded of a running emulation, for :mod:`topologies.emulator.cleanup`."""
        return self.root / "emulation.json"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def control_socket(self) -> Path:
        return self.root / "control.sock"

    @property
    def emulator_log(self) -> Path:
        return self.root / "emulator.log"

    @property
    def controller_config(self) -> Path:
        return self.root / "controller.yaml"

    @property
    def controller_log(self) -> Path:
        return self.root / "controller.log"

    @property
    def controller_store(self) -> Path:
        return self.root / "controller.sqlite"

    @property
    def router_metrics(self) -> Path:
        """For Prometheus' ``file_sd_configs``: where each router's metrics are."""
        return self.root / "router-metrics.json"

    @property
    def routers(self) -> Path:
        """One folder for each router: its configuration, its log, and what it remembers."""
        return self.root / "routers"

    def router_config(self, router_id: str) -> Path:
        return self.routers / router_id / "router.yaml"

    def router_log(self, router_id: str) -> Path:
        return self.routers / router_id / "router.log"

    def router_state(self, router_id: str) -> Path:
        return self.routers / router_id / "state"


def switch_count(grid: Grid, options: EmulationOptions) -> int:
    """The configuration of one router's agent, as it stands in its file.

    Metrics of each are read at ``metrics``, and spans go to ``trace``.
    """
    return options.control_switches or -(-len(grid.routers) // ROUTERS_PER_SWITCH)


def trunks(switches: int) -> list[tuple[int, int]]:
    """The pairs of switches that are joined: a ring of three or more, a line of two."""
    pairs = [(index, index + 1) for index in range(switches - 1)]
    return [*pairs, (switches - 1, 0)] if switches >= 3 else pairs


def controller_config(
    grid: Grid, files: RunFiles, options: EmulationOptions, mininet: bool
) -> dict[str, Any]:
    """The configuration of ``dgc serve`` in this emulation."""
    host = str(ControlNetwork(subnet=options.subnet).controller_address) if mininet else "127.0.0.1"
    # As much as a page has room for at its head.
    network = "".join(each for each in grid.name if each.isprintable())[:60]
    config: dict[str, Any] = {
        "northbound": {"listen": options.northbound},
        "southbound": {"listen": [f"{host}:{options.southbound_port}"]},
        "store": {"path": str(files.controller_store)},
        "web": {"emulation": str(files.control_socket), "network": network},
        # A file, which people read, and of which the last lines are told when it ends by itself.
        "log_format": "text",
    }
    if options.trace is not None:
        config["tracing"] = {"endpoint": options.trace}
    if options.page is not None:
        config["web"]["listen"] = options.page
    if options.market is not None:
        config["web"]["market"] = options.market
    if mininet:
        listen = f"{addresses.OPENFLOW_HOST}:{options.openflow_port}"
        config["openflow"] = {"enabled": True, "listen": listen}
    return config


def mininet_line_ends(grid: Grid) -> dict[LineEnd, dict[str, str]]:
    """Each end's interface, by the same name on both."""
    names = addresses.line_interfaces(link.id for link in grid.links)
    return {
        (link.id, router): {"interface": names[link.id]}
        for link in grid.links
        for router in (link.a, link.b)
    }


def local_line_ends(
    grid: Grid, ports: list[int], carrier_key: str
) -> dict[LineEnd, dict[str, str]]:
    """Each end's loopback addresses; ``ports`` has two for each power link, whoever has the key may cut it."""
    ends: dict[LineEnd, dict[str, str]] = {}
    for link, a_port, b_port in zip(grid.links, ports[::2], ports[1::2], strict=True):
        a_address, b_address = f"127.0.0.1:{a_port}", f"127.0.0.1:{b_port}"
        key = {"carrier_key": carrier_key}
        ends[link.id, link.a] = {"local": a_address, "remote": b_address, **key}
        ends[link.id, link.b] = {"local": b_address, "remote": a_address, **key}
    return ends


def metrics_targets(metrics: Mapping[str, str]) -> list[dict[str, Any]]:
    """As Prometheus reads them from a file; series of a router bear its id as their instance."""
    return [
        {"targets": [address], "labels": {"job": "dgr", "instance": router_id}}
        for router_id, address in metrics.items()
    ]


def router_config(
    grid: Grid,
    router: Router,
    files: RunFiles,
    controller: str,
    ends: Mapping[LineEnd, Mapping[str, str]],
    metrics: Mapping[str, str],
    trace: str | None = None,
) -> dict[str, Any]:
    """The configuration of one router's agent, as it stands in its file: where its metrics are read, where spans go."""
    small = len(grid.routers) <= _SMALL_NETWORK
    return {
        "router_id": router.id,
        "state_dir": str(files.router_state(router.id)),
        "controllers": [controller],
        "tick_interval_ms": 100 if small else 200,
        # In a large network every state frame is a hello as well, and there are no others: half the wake-ups.
        "hello_interval_ms": 50 if small else 200,
        # There, some of a hundred routers always have to wait for their turn.
        "cushion_ms": 5 if small else 50,
        "efficiency": router.efficiency,
        **_profile(grid.profile_of(router)),
        **({} if router.at is None else {"at": list(router.at)}),
        **({"metrics": {"listen": metrics[router.id]}} if router.id in metrics else {}),
        **({"tracing": {"endpoint": trace}} if trace else {}),
        "links": [
            _line(link, router.id) | dict(ends[link.id, router.id])
            for link in grid.links
            if router.id in (link.a, link.b)
        ],
        "sources": [
            {
                "id": source.id,
                "max_power_w": source.max_power_w,
                "cost_per_mwh": source.cost_per_mwh,
                "renewable": source.renewable,
                "carbon_kg_per_mwh": source.carbon_kg_per_mwh,
            }
            for source in grid.sources
            if source.router == router.id
        ],
        "loads": [
            {
                "id": load.id,
                "power_w": load.power_w,
                "priority": load.priority,
                "value_per_mwh": load.value_per_mwh,
            }
            for load in grid.loads
            if load.router == router.id
        ],
    }


def _profile(profile: DeviceProfile) -> dict[str, Any]:
    """Nothing for a router of which nothing special is said, as older agents take it."""
    return {} if profile == DGR else {"profile": profile.to_plain()}


def _course(link: Link, router_id: str) -> dict[str, Any]:
    """The corners of a line, from this end to the other; nothing for a straight one."""
    corners = [list(each) for each in link.via]
    return {"via": corners if router_id == link.a else corners[::-1]} if corners else {}


def _line(link: Link, router_id: str) -> dict[str, Any]:
    return {
        "id": link.id,
        "neighbor": link.b if router_id == link.a else link.a,
        "resistance_ohm": link.resistance_ohm,
        "voltage_v": link.voltage_v,
        "ampacity_a": link.ampacity_a,
        "cost_per_mwh": link.cost_per_mwh,
        "risk_groups": list(link.risk_groups),
        **_course(link, router_id),
    }
