"""The part of a configuration, of the controller's as of a router's, that says where traces go."""

from dataclasses import dataclass, field

from digitalgrid.addresses import HOST_AND_PORT, bad_ports
from digitalgrid.bounds import bounds, check


@dataclass(frozen=True, slots=True)
class TracingConfig:
    """A collector that takes OTLP over gRPC; nothing is traced where it is empty. ``sample_ratio`` of what nobody else
    traces is traced here: a client, or a controller, that traces decides for who is asked.
    """

    endpoint: str = field(default="", metadata=bounds(pattern=f"({HOST_AND_PORT})?"))
    sample_ratio: float = field(default=1.0, metadata=bounds(minimum=0, maximum=1))

    def __post_init__(self) -> None:
        check(self, bad_ports(*[("endpoint", self.endpoint)] * bool(self.endpoint), lowest=1))
