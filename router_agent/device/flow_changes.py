"""Flow changes: a router's flows follow its circuit table, where hops are committed, promoted and withdrawn."""

from collections.abc import Iterable, Mapping, Sequence

from digitalgrid.model import CircuitGeneration, HopSnapshot
from router_agent.device.flow import Flow
from router_agent.device.flow_index import FlowIndex
from router_agent.device.line import Line
from router_agent.device.meters import RouterBooks
from router_agent.device.mutation import Outcome


def change_flows(
    flows: list[Flow],
    index: FlowIndex,
    outcome: Outcome,
    lines: Mapping[str, Line],
    books: RouterBooks,
    now_ns: int,
) -> tuple[list[Flow], list[Flow]]:
    """Do to the flows what was done to the table; ``index`` is that of the flows before. Returns those that ended, and
    those that began.
    """
    together = _Together(index)
    ended = [_end(together[key.circuit_id], key, books) for key in outcome.removed]
    begun = [_begin(together[hop.circuit_id], hop, lines, books, now_ns) for hop in outcome.added]
    for hop in outcome.promoted:
        _promote(together[hop.circuit_id], hop)
    if ended:
        gone = set(ended)
        flows[:] = [flow for flow in flows if flow not in gone]
    flows += begun
    # In order of admission, which is the order in which losses are charged.
    flows.sort(key=lambda flow: (flow.hop.admission_seq, flow.key))
    return ended, begun


class _Together(dict[int, list[Flow]]):
    """The flows of each circuit that changes, as they are by now: a router has many others."""

    def __init__(self, index: FlowIndex) -> None:
        super().__init__()
        self._index = index

    def __missing__(self, circuit_id: int) -> list[Flow]:
        generations = self[circuit_id] = list(self._index.of_circuit.get(circuit_id, ()))
        return generations


def _end(generations: list[Flow], key: CircuitGeneration, books: RouterBooks) -> Flow:
    """Take a flow out; what its buffer holds is lost, but for what others at its load have a use for."""
    ended = next(flow for flow in generations if flow.key == key)
    generations.remove(ended)
    if ended.egress is None:
        _bequeath(ended, generations)
    for other in generations:
        if ended in (other.lender, other.heir):
            other.lender = other.heir = None
    books.buffered_mj -= ended.buffer_mj
    books.dissipated_mj += ended.buffer_mj
    books.end_circuit(key)
    return ended


def _bequeath(ended: Flow, others: Iterable[Flow]) -> None:
    """To the generation that serves its load, and no more than that one keeps."""
    for other in others:
        if other.demand_w > 0.0:
            given_mj = min(ended.buffer_mj, max(0, other.kept_mj - other.buffer_mj))
            ended.buffer_mj -= given_mj
            other.buffer_mj += given_mj


def _begin(
    generations: list[Flow],
    hop: HopSnapshot,
    lines: Mapping[str, Line],
    books: RouterBooks,
    now_ns: int,
) -> Flow:
    ingress = lines[hop.ingress_link_id] if hop.ingress_link_id else None
    egress = lines[hop.egress_link_id] if hop.egress_link_id else None
    flow = Flow(hop, ingress, egress, books.begin_circuit(hop.key), committed_ns=now_ns)
    flow.lender = _lender(generations, flow)
    generations.append(flow)
    return flow


def _promote(generations: Sequence[Flow], hop: HopSnapshot) -> None:
    """The role of this hop is working from now on: it comes before all other generations of its circuit."""
    newest, _ = max(flow.precedence for flow in generations)
    for flow in generations:
        if flow.key == hop.key:
            flow.hop = hop
            flow.precedence = (newest, 1)


def _lender(generations: Sequence[Flow], new: Flow) -> Flow | None:
    """The working generation of its circuit whose buffer a new one gets here: it has the same ingress."""
    older = [
        flow
        for flow in generations
        if flow.ingress is new.ingress is not None and not flow.hop.standby and not flow.draining
    ]
    return None if new.hop.standby else max(older, key=lambda flow: flow.precedence, default=None)
