"""Batch files: requests for power, in SI units, that are sent in one call.

::

    requests:
      - {sink_id: load3, power_w: 5e6}
      - {sink_id: load9, power_w: 2e6, source_ids: [source1], max_hops: 4, allow_split: true}
      - {sink_id: load7, power_w: 1e6, setup_priority: 1, hold_priority: 2, floor_w: 0.3e6}
      - {sink_id: load8, power_w: 1e6, protect: router}
"""

from dataclasses import dataclass, field
from typing import Literal

from digitalgrid.bounds import bounds
from digitalgrid.client import power_request
from digitalgrid.config_file import read_text
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.yaml_schema import loads

_PRIORITY = bounds(minimum=-(2**31), maximum=2**31 - 1)


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One request, with the names and meanings of the API's ``PowerRequest``."""

    sink_id: str
    power_w: float
    source_ids: tuple[str, ...] = ()
    max_loss_fraction: float | None = None
    max_hops: int | None = field(default=None, metadata=bounds(minimum=0, maximum=2**32 - 1))
    avoid_ids: tuple[str, ...] = ()
    packets: bool = False
    allow_split: bool = False
    setup_priority: int | None = field(default=None, metadata=_PRIORITY)
    hold_priority: int | None = field(default=None, metadata=_PRIORITY)
    floor_w: float = 0.0
    protect: Literal["link", "router", "risk"] | None = None
    dedicated: bool = False
    hold_ms: int | None = field(default=None, metadata=bounds(minimum=1, maximum=86_400_000))
    over_link_ids: tuple[str, ...] | None = None
    until_unix_ns: int | None = field(default=None, metadata=bounds(minimum=1, maximum=2**63 - 1))
    request_id: str = ""

    def as_request(self, request_id: str = "") -> pb.PowerRequest:
        """Under another id than its own, where one is given."""
        return power_request(
            self.sink_id,
            self.power_w,
            source_ids=self.source_ids,
            max_loss_fraction=self.max_loss_fraction,
            max_hops=self.max_hops,
            avoid_ids=self.avoid_ids,
            packets=self.packets,
            allow_split=self.allow_split,
            setup_priority=self.setup_priority,
            hold_priority=self.hold_priority,
            floor_w=self.floor_w,
            protect=self.protect,
            dedicated=self.dedicated,
            hold_ms=self.hold_ms,
            over_link_ids=self.over_link_ids,
            until_unix_ns=self.until_unix_ns,
            request_id=request_id or self.request_id,
        )


@dataclass(frozen=True, slots=True)
class BatchFile:
    requests: tuple[BatchEntry, ...]


def load_batch(path: str) -> list[pb.PowerRequest]:
    """The requests of a batch file, or of standard input (``-``). Raises ConfigError, which names the line."""
    entries = loads(BatchFile, read_text(path), "<stdin>" if path == "-" else path).requests
    return [entry.as_request() for entry in entries]
