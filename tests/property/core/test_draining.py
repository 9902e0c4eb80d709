"""Drains amid whatever else happens: what is drained is empty, and what is blocked is named truly."""

import hypothesis.strategies as st
import networkx as nx
from hypothesis import settings
from hypothesis.stateful import invariant, precondition, rule

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.network.admin import AdminState, DrainOrder, Hindrance
from digitalgrid.units import NS_PER_S
from tests.property.core import test_promises
from tests.property.core.test_promises import INDEX, POWERS_W
from tests.support.grids import mesh
from tests.support.simulated_network import SimulatedNetwork

# Seconds until a drain is given up; 0: never.
GIVE_UP_AFTER_S = st.sampled_from([0, 0, 1, 30])
# A busy machine is no fault of ours.


def hops_at(network: SimulatedNetwork, id_: str) -> list[tuple[str, int]]:
    """Hops that routers hold at a link or router, whether they have a session or not."""
    return [
        (router_id, hop.circuit_id)
        for router_id, router in network.grid.routers.items()
        for hop in router.table.hops
        if id_ in (router_id, hop.ingress_link_id, hop.egress_link_id)
    ]


def has_a_way(network: SimulatedNetwork, circuit: Circuit) -> bool:
    """Whether any way is left to a circuit's load, however full."""
    view = network.core.questions.view
    graph = nx.Graph()
    graph.add_nodes_from(each.router_id for each in view.routers.values() if each.usable)
    graph.add_edges_from((each.a, each.b) for each in view.links.values() if view.admits(each))
    sink = view.loads[circuit.sink_id][0]
    sources = [view.sources[each][0] for each in circuit.source_ids or view.sources]
    return sink in graph and any(
        each in graph and nx.has_path(graph, each, sink) for each in sources
    )


class Drains(test_promises.Promises):
    """Of the mesh, whose lines are tight."""

    grid = mesh()

    @property
    def elements(self) -> list[str]:
        links = [each.id for each in self.grid.links]
        return links + [each.id for each in self.grid.routers]

    @precondition(lambda self: self.up and len(self.network.core.questions.drains) < 3)
    @rule(
        index=INDEX,
        give_up_after_s=GIVE_UP_AFTER_S,
        emergency_use=st.booleans(),
        curtail=st.booleans(),
    )
    def drain(self, index: int, give_up_after_s: int, emergency_use: bool, curtail: bool) -> None:
        id_ = self._pick(self.elements, index)
        order = DrainOrder(id_, give_up_after_s * NS_PER_S, emergency_use, curtail)
        try:
            self.network.event(lambda core, now_ns: core.drain(order, now_ns))
        except Refusal:
            return

    @precondition(lambda self: self.up and self.network.core.questions.drains)
    @rule(index=INDEX)
    def undrain(self, index: int) -> None:
        id_ = self._pick(sorted(self.network.core.questions.drains), index)
        self.network.event(lambda core, now_ns: core.undrain(id_, now_ns))

    @precondition(lambda self: self.up)
    @rule(sink=INDEX, power_w=POWERS_W)
    def request_with_a_floor(self, sink: int, power_w: float) -> None:
        load_id = self._pick(self.grid.loads, sink).id
        name = f"request-{len(self.sent)}"
        request = PowerRequest(name, load_id, power_w, floor_w=power_w / 2)
        self.sent.append(request)
        self._ask(request)

    @invariant()
    def what_is_drained_is_empty(self) -> None:
        if not self.up:
            return
        for id_, word in self.network.core.questions.drains.items():
            if word.state is AdminState.DRAINED:
                assert hops_at(self.network, id_) == []

    def teardown(self) -> None:
        super().teardown()
        for id_, word in self.network.core.questions.drains.items():
            blocks = self.network.core.questions.drain_blocks(id_)
            if word.state is AdminState.DRAINED:
                assert (hops_at(self.network, id_), blocks) == ([], ())
                continue
            # All is healed, and whoever is left cannot leave.
            assert blocks, f"{id_} is draining without an end, and nobody is named"
            held = {circuit_id for _, circuit_id in hops_at(self.network, id_)}
            assert {each.circuit_id for each in blocks} == held
            for block in blocks:
                circuit = self.network.core.questions.circuits[block.circuit_id]
                assert circuit.state in (CircuitState.ACTIVE, CircuitState.DEGRADED)
                if block.why is Hindrance.NO_ROOM:
                    assert self.network.way_for(circuit) is None, block
                assert block.why not in (Hindrance.UNDER_WAY, Hindrance.ROUTER_AWAY)
                assert block.why.lasts is not has_a_way(self.network, circuit), block


class DrainsAmongProtected(Drains):
    """Most circuits have a standby."""

    protects = (Against.LINK, Against.ROUTER, None)


TestDrains = Drains.TestCase
TestDrainsAmongProtected = DrainsAmongProtected.TestCase
for case in (TestDrains, TestDrainsAmongProtected):
    case.settings = settings(max_examples=80, stateful_step_count=50)
del case, Drains, DrainsAmongProtected
