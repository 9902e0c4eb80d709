"""What whoever runs the router should know; the device is pure, and leaves logging to its edge."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Remark:
    """For the log. ``level`` is one of :mod:`logging`; of a ``kind``, which names the line, few are shown a minute.
    ``fields`` are the ids in it, for logs in JSON.
    """

    level: int
    kind: str
    text: str
    fields: Mapping[str, object] = field(default_factory=dict)
