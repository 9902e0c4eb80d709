"""The part of a configuration, of the controller's as of a router's, that says where metrics are read."""

from dataclasses import dataclass, field

from digitalgrid.addresses import HOST_AND_PORT, bad_ports
from digitalgrid.bounds import bounds, check


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Where Prometheus reads ``/metrics``; nowhere where it is empty. Whoever reaches it may read it."""

    listen: str = field(default="", metadata=bounds(pattern=f"({HOST_AND_PORT})?"))

    def __post_init__(self) -> None:
        check(self, bad_ports(*[("listen", self.listen)] * bool(self.listen)))
