"""Staying: which flows are as they were, so that a change costs what it changes, and a look at the others.

A circuit is settled here when all its generations are at rest and at most one of them is demanded: then nothing bears
on their rates but what the neighbours state of them, and the current that others put on a line before them.
"""

from collections.abc import Sequence

from router_agent.device.flow import Flow
from router_agent.device.flow_index import FlowIndex
from router_agent.device.slack import covers


def unsettled(flows: Sequence[Flow]) -> list[Flow]:
    """Those whose rates are to be found, with all other generations of their circuits; none of them is settled now."""
    some = [flow for flow in flows if not flow.settled]
    circuits = {flow.key.circuit_id for flow in some if not flow.alone}
    if circuits:
        some = [flow for flow in flows if not flow.settled or flow.key.circuit_id in circuits]
        for flow in some:
            flow.settled = False
    return some


def restated(flows: Sequence[Flow]) -> list[Flow]:
    """Likewise, once those are no more settled of which a neighbour states something else, or whose line is down."""
    for flow in flows:
        if flow.settled and not _is_stated_as_seen(flow):
            flow.settled = False
    return unsettled(flows)


def settle(found: Sequence[Flow], index: FlowIndex, *, independent: bool) -> bool:
    """The rates of these flows are found, and of all generations of their circuits. Whether all of them are at rest.

    ``independent``: what one circuit needs is none of the others' affair, as far as the converter goes.
    """
    all_rest = True
    restless: set[int] = set()
    demanded: set[int] = set()
    for flow in found:
        circuit_id = flow.key.circuit_id
        rests = flow.at_rest
        all_rest = all_rest and rests
        if not rests or not _is_steady(flow):
            restless.add(circuit_id)
        elif flow.demand_w > 0.0:
            if circuit_id in demanded:
                restless.add(circuit_id)
            demanded.add(circuit_id)
    for flow in found:
        circuit_id = flow.key.circuit_id
        flow.alone = len(index.of_circuit[circuit_id]) == 1
        flow.told_demand = flow.told_grant = None
        flow.settled = independent and circuit_id not in restless
        if flow.settled:
            flow.seen_demand = flow.stated_by_downstream()
            flow.seen_grant = flow.stated_by_upstream()
    return all_rest


def _is_stated_as_seen(flow: Flow) -> bool:
    egress, ingress = flow.egress, flow.ingress
    if egress is not None and (
        not egress.adjacency.up or egress.stated.demands.get(flow.key) != flow.seen_demand
    ):
        return False
    return ingress is None or (
        ingress.adjacency.up and ingress.stated.grants.get(flow.key) == flow.seen_grant
    )


def _is_steady(flow: Flow) -> bool:
    """Of a flow at rest: it shares nothing but its line. A shared standby that is demanded shares a pool."""
    if flow.lender is not None or flow.heir is not None or flow.fills:
        return False
    if flow.idle:
        # What hops below want has to wait where others fill first, and is given to them when those are full.
        return flow.surplus_w == 0.0 and flow.stated_by_downstream_w() == 0.0
    if flow.is_dark and (flow.ingress is None or not covers(flow.asked_w, flow.need_w)):
        # What its source, or the line, has for others is for it too as soon as they want less.
        return False
    return flow.demand_w > 0.0 and not flow.hop.shared_standby
