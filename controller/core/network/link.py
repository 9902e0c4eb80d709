"""A link as its two ends advertise it: a value of the grid view."""

from dataclasses import dataclass
from enum import Enum

from controller.core.network.admin import AdminState
from digitalgrid.model import DownCause
from digitalgrid.places import Place


class LinkState(Enum):
    """A link counts only when both ends advertise it up; a missing end is no news, neither good nor bad."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link as both ends advertise it; where they differ, the safer figure."""

    link_id: str
    a: str
    b: str
    resistance_ohm: float
    voltage_v: float
    ampacity_a: float
    cost_per_mwh: float
    state: LinkState
    risk_groups: frozenset[str] = frozenset()
    admin: AdminState = AdminState.IN_SERVICE
    # Its corners on a map, from a to b.
    via: tuple[Place, ...] = ()
    # Why it is down, as its ends see it, a's first.
    down: tuple[DownCause, DownCause] = (DownCause.UNKNOWN, DownCause.UNKNOWN)

    def far_end(self, router_id: str) -> str:
        return self.b if router_id == self.a else self.a
