"""Arrivals: power packets that came over a line are put into the buffers of their flows."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from router_agent.device.arrival import Energy
from router_agent.device.cushion import Cushion
from router_agent.device.flow import Flow
from router_agent.device.flow_index import FlowIndex
from router_agent.device.flow_states import Playout
from router_agent.device.line import Line
from router_agent.device.meters import RouterBooks


@dataclass(slots=True)
class Arrivals:
    """What the energy of one frame has changed."""

    # Flows for which it is the first energy.
    first: list[Flow] = field(default_factory=list)
    # A buffer is full now, so less is wanted than before.
    filled: bool = False
    # A buffer has become too small, or large enough, for how late routers are; or it drains, of which it was empty.
    weighed: bool = False
    # When the first of those begins that hold energy back for now.
    plays_ns: int | None = None


def take(
    energy: Iterable[Energy],
    line: Line,
    index: FlowIndex,
    books: RouterBooks,
    cushion: Cushion,
    advanced_ns: int,
    now_ns: int,
) -> Arrivals:
    """It flowed before its frame arrived, so it counts as there since the books were last advanced."""
    arrivals = Arrivals()
    for key, received_mj in energy:
        flow = index.by_key.get(key)
        if flow is None or flow.ingress is not line:
            books.dissipated_mj += received_mj
            continue
        if flow.heir is not None:
            flow = flow.heir
        if flow.playout is Playout.WAITING and not flow.idle:
            arrivals.first.append(flow)
        lean = flow.lean
        if flow.refilled(received_mj, advanced_ns, now_ns, cushion):
            arrivals.filled = True
        if flow.lean != lean or flow.drains:
            arrivals.weighed, flow.settled = True, False
        if flow.playout is Playout.HOLDING:
            arrivals.plays_ns = min(arrivals.plays_ns or flow.play_ns, flow.play_ns)
        books.buffered_mj += received_mj
    return arrivals
