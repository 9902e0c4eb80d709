"""What whoever runs the router should know; the device is pure, and leaves logging to its edge."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remark:
    """For the log. ``level`` is one of :mod:`logging`; of a ``kind``, which names the line, few are shown a minute."""

    level: int
    kind: str
    text: str
