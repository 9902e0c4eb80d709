"""Whatever happens to messages, lines, routers and the controller: protected circuits keep their promises too.

No circuit is active or protected on a dead path, what is reserved is the sum of what is held, and the controller
and its routers agree in the end, also in the role of each generation.
"""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import precondition, rule

from controller.core.circuits.protection import Against, Protection
from controller.core.messages import CircuitStatus
from digitalgrid.model import CircuitGeneration, FlowState
from tests.property.core.test_promises import (
    INDEX,
    MAX_FAULTS,
    Promises,
    PromisesOnDeratedLines,
    PromisesUnderClouds,
)
from tests.support.grids import mesh, roomy_mesh


class Protected(Promises):
    """Sinks also switch without a cause that the controller could see, and strangers say that they do."""

    grid = roomy_mesh()
    protects = (Against.LINK, Against.ROUTER, Against.RISK, None)
    dedicated = (False, False, True, False, False)

    @precondition(lambda self: self._standbys())
    @rule(index=INDEX)
    def miss_power(self, index: int) -> None:
        circuit_id, router_id, key = self._pick(self._standbys(), index)
        router = self.network.grid.routers[router_id]
        if router.told.get(key) is None and self.network.grid.path_is_complete(key, router):
            router.selected[circuit_id] = key
            router.full.pop(key, None)
            status = CircuitStatus(key, FlowState.SWITCHED)
            if router_id in self.network.sessions:
                self.network.sessions[router_id].to_controller.append(status)
            self.network.report()

    @precondition(lambda self: self.up and self._faults < MAX_FAULTS and self._carrying_links())
    @rule(index=INDEX, heard=st.booleans())
    def cut_what_carries(self, index: int, heard: bool) -> None:
        self.network.cut(self._pick(self._carrying_links(), index))
        if heard:
            self.run(20)

    def _carrying_links(self) -> list[str]:
        """Lines of circuits that are protected."""
        return sorted(
            link.link_id
            for circuit in self.network.core.questions.circuits.values()
            if circuit.guard.word is Protection.PROTECTED and (working := circuit.newest())
            for link in working.route.links
            if link.link_id not in self.network.grid.cut
        )

    @precondition(lambda self: self.up and self._standbys())
    @rule(index=INDEX, router=INDEX)
    def hear_a_stranger(self, index: int, router: int) -> None:
        _, sink_router_id, key = self._pick(self._standbys(), index)
        router_id = self._pick(self.grid.routers, router).id
        if router_id != sink_router_id:
            self.network.tell(router_id, CircuitStatus(key, FlowState.SWITCHED))

    def _standbys(self) -> list[tuple[int, str, CircuitGeneration]]:
        return [
            (hop.circuit_id, router_id, hop.key)
            for router_id, router in sorted(self.network.grid.routers.items())
            for hop in router.table.hops
            if hop.standby and hop.load_id and router.alive and hop.key not in router.draining
        ]


class ProtectedOnDeratedLines(Protected, PromisesOnDeratedLines):
    pass


class ProtectedUnderClouds(Protected, PromisesUnderClouds):
    """Where circuits compete for room too."""

    grid = mesh()


class ProtectedOverOldRouters(Protected):
    """One router takes no standby."""

    def __init__(self) -> None:
        super().__init__()
        self.network.grid.routers["r2"].stands_by = False
        self.network.connect("r2")
        self.network.deliver_all()


TestProtected = Protected.TestCase
TestProtectedOnDeratedLines = ProtectedOnDeratedLines.TestCase
TestProtectedUnderClouds = ProtectedUnderClouds.TestCase
TestProtectedOverOldRouters = ProtectedOverOldRouters.TestCase
for case in (
    TestProtected,
    TestProtectedOnDeratedLines,
    TestProtectedUnderClouds,
    TestProtectedOverOldRouters,
):
    case.settings = settings(max_examples=30, stateful_step_count=50)
del case
