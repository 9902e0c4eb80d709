"""News of a flow: what its neighbours must be told of it at once, and what they are told."""

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import MILLIWATTS_PER_W
from digitalgrid.wire import MARK_FILLS, DemandRecord
from router_agent.device.flow import Flow
from router_agent.device.neighbor_state import Grant

# A change of a rate by more than this part of the reservation is told at once, smaller ones with the next tick.
_KICK_FRACTION = 1e-3


def is_news_upstream(flow: Flow) -> bool:
    """Whether the need must be told upstream at once."""
    marks = flow.marks
    if (marks ^ flow.stated_marks) & ~MARK_FILLS:
        return True
    stated_mw, need_mw = flow.stated_need_mw, flow.need_mw
    if (marks | flow.stated_marks) & MARK_FILLS:
        # What fills the buffer of a stream that runs is not urgent.
        stated_mw, need_mw = flow.stated_asked_mw, flow.asked_mw
    return _is_news(stated_mw, need_mw, flow.hop.ingress_power_w)


def is_news_downstream(flow: Flow) -> bool:
    grant = flow.grant
    if grant[1:] != flow.stated_grant[1:]:
        return True
    stated_mw, granted_mw = flow.stated_grant.power_mw, grant.power_mw
    if not flow.idle and not flow.primes_below:
        stated_mw, granted_mw = flow.stated_granted_mw, flow.granted_mw
    return _is_news(stated_mw, granted_mw, flow.hop.received_power_w)


def state_demand(flow: Flow) -> DemandRecord:
    """What the upstream neighbour is told now."""
    if flow.told_demand is not None and _stays(flow):
        return flow.told_demand
    flow.stated_asked_mw = flow.asked_mw
    flow.stated_need_mw, flow.stated_marks = flow.need_mw, flow.marks
    flow.told_demand = DemandRecord(flow.key, flow.stated_need_mw, flow.stated_marks)
    return flow.told_demand


def state_grant(flow: Flow) -> tuple[CircuitGeneration, Grant]:
    """What the downstream neighbour is told now."""
    if flow.told_grant is not None and _stays(flow):
        return flow.told_grant
    flow.stated_granted_mw = flow.granted_mw
    flow.stated_grant = flow.grant
    flow.told_grant = (flow.key, flow.stated_grant)
    return flow.told_grant


def _stays(flow: Flow) -> bool:
    """Time changes nothing of what is stated of it; an idle one is full, or is so no more."""
    return flow.settled and flow.demand_w > 0.0


def _is_news(stated_mw: int, current_mw: int, reserved_w: float) -> bool:
    if (stated_mw == 0) != (current_mw == 0):
        return True
    return abs(current_mw - stated_mw) > _KICK_FRACTION * reserved_w * MILLIWATTS_PER_W
