"""Limits of sources that hold for now, in a file beside the router's state: what a cloud leaves of a plant.

Whoever knows what a source can give writes ``source-limits.yaml`` into the router's state directory, whole and by a
rename, and sends SIGHUP. The limits outlive the router; a source that the file does not name has its rating.
"""

from dataclasses import dataclass, field
from pathlib import Path

from digitalgrid.bounds import ID_PATTERN, bounds, check_bounds
from digitalgrid.config_file import ConfigError
from digitalgrid.limits import MAX_POWER_W
from digitalgrid.yaml_schema import load
from router_agent.config import RouterConfig

FILE_NAME = "source-limits.yaml"


@dataclass(frozen=True, slots=True)
class SourceLimit:
    id: str = field(metadata=bounds(pattern=ID_PATTERN))
    power_w: float = field(metadata=bounds(minimum=0, maximum=MAX_POWER_W))

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class SourceLimits:
    sources: tuple[SourceLimit, ...] = ()


def read_limits(config: RouterConfig) -> dict[str, float]:
    """What each source of the router can give now. ConfigError, which names file and line, where that is not said."""
    limits_w = {source.id: source.max_power_w for source in config.sources}
    path: Path = config.state_path / FILE_NAME
    if path.exists():
        for limit in load(SourceLimits, path).sources:
            if limit.id not in limits_w:
                raise ConfigError(
                    str(path), None, f"router {config.router_id!r} has no source {limit.id!r}"
                )
            limits_w[limit.id] = min(limit.power_w, limits_w[limit.id])
    return limits_w
