"""Flow changes: a router's flows follow its circuit table, where hops are committed, promoted and withdrawn."""

from collections.abc import Iterable, Mapping, Sequence

from digitalgrid.model import CircuitGeneration, HopSnapshot
from router_agent.device.flow import Flow
from router_agent.device.line import Line
from router_agent.device.meters import RouterBooks
from router_agent.device.mutation import Outcome


def change_flows(
    flows: list[Flow],
    outcome: Outcome,
    lines: Mapping[str, Line],
    books: RouterBooks,
    now_ns: int,
) -> tuple[list[Flow], list[Flow]]:
    """Do to the flows what was done to the table. Returns those that ended, and those that began."""
    ended = [_end(flows, key, books) for key in outcome.removed]
    begun = [_begin(flows, hop, lines, books, now_ns) for hop in outcome.added]
    _promote(flows, outcome.promoted)
    # In order of admission, which is the order in which losses are charged.
    flows.sort(key=lambda flow: (flow.hop.admission_seq, flow.key))
    return ended, begun


def _end(flows: list[Flow], key: CircuitGeneration, books: RouterBooks) -> Flow:
    """Take a flow out; what its buffer holds is lost, but for what others at its load have a use for."""
    ended = next(flow for flow in flows if flow.key == key)
    flows.remove(ended)
    if ended.egress is None:
        _bequeath(ended, flows)
    for other in flows:
        if ended in (other.lender, other.heir):
            other.lender = other.heir = None
    books.buffered_mj -= ended.buffer_mj
    books.dissipated_mj += ended.buffer_mj
    books.end_circuit(key)
    return ended


def _bequeath(ended: Flow, flows: Iterable[Flow]) -> None:
    """To the generation that serves its load, and no more than that one keeps."""
    for other in flows:
        if other.key.circuit_id == ended.key.circuit_id and other.demand_w > 0.0:
            given_mj = min(ended.buffer_mj, max(0, other.kept_mj - other.buffer_mj))
            ended.buffer_mj -= given_mj
            other.buffer_mj += given_mj


def _begin(
    flows: list[Flow],
    hop: HopSnapshot,
    lines: Mapping[str, Line],
    books: RouterBooks,
    now_ns: int,
) -> Flow:
    ingress = lines[hop.ingress_link_id] if hop.ingress_link_id else None
    egress = lines[hop.egress_link_id] if hop.egress_link_id else None
    flow = Flow(hop, ingress, egress, books.begin_circuit(hop.key), committed_ns=now_ns)
    flow.lender = _lender(flows, flow)
    flows.append(flow)
    return flow


def _promote(flows: Sequence[Flow], hops: Iterable[HopSnapshot]) -> None:
    """The role of these hops is working from now on: they come before all other generations of their circuits."""
    promoted = {hop.key: hop for hop in hops}
    for flow in flows:
        if flow.key in promoted:
            flow.hop = promoted[flow.key]
            newest, _ = max(
                each.precedence for each in flows if each.key.circuit_id == flow.key.circuit_id
            )
            flow.precedence = (newest, 1)


def _lender(flows: Sequence[Flow], new: Flow) -> Flow | None:
    """The working generation of its circuit whose buffer a new one gets here: it has the same ingress."""
    older = [
        flow
        for flow in flows
        if flow.key.circuit_id == new.key.circuit_id
        and flow.ingress is new.ingress is not None
        and not flow.hop.standby
        and not flow.draining
    ]
    return None if new.hop.standby else max(older, key=lambda flow: flow.precedence, default=None)
