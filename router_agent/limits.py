"""Limits that hold for now, in files beside the router's state: what a cloud leaves of a source, and what share of its
power a load takes, none where it is unplugged.

Whoever knows that writes ``source-limits.yaml`` or ``load-limits.yaml`` into the router's state directory, whole and by
a rename, and sends SIGHUP. The limits outlive the router; a source that its file does not name has its rating, and a
load takes all that it is brought.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from digitalgrid.bounds import ID_PATTERN, bounds, check_bounds
from digitalgrid.config_file import ConfigError
from digitalgrid.limits import MAX_POWER_W
from digitalgrid.yaml_schema import load
from router_agent.config import RouterConfig

SOURCE_LIMITS = "source-limits.yaml"
LOAD_LIMITS = "load-limits.yaml"


@dataclass(frozen=True, slots=True)
class SourceLimit:
    id: str = field(metadata=bounds(pattern=ID_PATTERN))
    power_w: float = field(metadata=bounds(minimum=0, maximum=MAX_POWER_W))

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class LoadLimit:
    """``share`` of what each of its circuits brings."""

    id: str = field(metadata=bounds(pattern=ID_PATTERN))
    share: float = field(metadata=bounds(minimum=0, maximum=1))

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class SourceLimits:
    sources: tuple[SourceLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadLimits:
    loads: tuple[LoadLimit, ...] = ()


def read_source_limits(config: RouterConfig) -> dict[str, float]:
    """What each source of the router can give now (W). ConfigError names the file and line that do not say it."""
    limits_w = {source.id: source.max_power_w for source in config.sources}
    path = config.state_path / SOURCE_LIMITS
    if path.exists():
        limits = load(SourceLimits, path).sources
        _check_known(config, path, "source", (limit.id for limit in limits), limits_w)
        limits_w |= {limit.id: min(limit.power_w, limits_w[limit.id]) for limit in limits}
    return limits_w


def read_load_limits(config: RouterConfig) -> dict[str, float]:
    """What share each load of the router takes now. Raises as :func:`read_source_limits`."""
    shares = {each.id: 1.0 for each in config.loads}
    path = config.state_path / LOAD_LIMITS
    if path.exists():
        limits = load(LoadLimits, path).loads
        _check_known(config, path, "load", (limit.id for limit in limits), shares)
        shares |= {limit.id: limit.share for limit in limits}
    return shares


def _check_known(
    config: RouterConfig, path: Path, kind: str, ids: Iterable[str], known: dict[str, float]
) -> None:
    for each in ids:
        if each not in known:
            raise ConfigError(
                str(path), None, f"router {config.router_id!r} has no {kind} {each!r}"
            )
