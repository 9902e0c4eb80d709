"""What the device asks of the world around it; carried out in the order given."""

from dataclasses import dataclass

from digitalgrid.model import RouterLsa
from router_agent.device.circuit_table import Outcome
from router_agent.device.remark import Remark
from router_agent.device.sink import FlowStatus


@dataclass(frozen=True, slots=True)
class SaveBooks:
    """Energy moved, and is about to be sent: what is sent and not booked would appear from nowhere after a crash."""


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """Onto a power link."""

    link_id: str
    datagram: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """To the controller whose mutation this was."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Report:
    """To every controller."""

    status: FlowStatus


@dataclass(frozen=True, slots=True)
class Advertise:
    """To every controller."""

    lsa: RouterLsa


Effect = SaveBooks | SendDatagram | Answer | Report | Advertise | Remark
