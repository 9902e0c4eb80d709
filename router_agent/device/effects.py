"""What the device asks of the world around it; carried out in the order given, those for lines first."""

from dataclasses import dataclass

from digitalgrid.model import RouterLsa
from router_agent.device.mutation import Outcome
from router_agent.device.remark import Remark
from router_agent.device.sink import FlowStatus


@dataclass(frozen=True, slots=True)
class SaveBooks:
    """Write the books ahead of sending energy: what is sent and not booked would appear from nowhere after a crash."""


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """Send a datagram onto a power link."""

    link_id: str
    datagram: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the controller whose mutation this was."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Report:
    """Report a change of a flow's state to every controller."""

    status: FlowStatus


@dataclass(frozen=True, slots=True)
class Advertise:
    """Flood a link-state advertisement to every controller."""

    lsa: RouterLsa


Effect = SaveBooks | SendDatagram | Answer | Report | Advertise | Remark
