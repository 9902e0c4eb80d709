"""Lateness is no fault: what routers, the store and the controller do may come seconds late, and nothing moves."""

import random

import pytest

from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.request import PowerRequest
from controller.core.messages import CircuitStatus
from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork

SMALL_W = 10.0
# No router stands still for longer.
LONGEST_NS = 8 * NS_PER_S
NOBODY = CircuitGeneration(9_999, 1)


class _Late:
    """Each router comes to what it was told when its turn has come; the controller sees what happened meanwhile."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.network = SimulatedNetwork.running(diamond())
        self._awake_ns = dict.fromkeys(self.network.sessions, 0)

    def request(self, batch: list[PowerRequest]) -> None:
        self.network.event(lambda core, now_ns: core.request_batch(batch, now_ns))

    def step(self) -> None:
        network = self.network
        network.now_ns += round(self.random.choice([0.02, 0.2, 1.5]) * NS_PER_S)
        network.event(lambda core, now_ns: core.on_timer(now_ns))
        if self.random.random() < 0.5:
            network.make_durable(self.random.randrange(100))
        for router_id in sorted(network.sessions):
            if network.now_ns >= self._awake_ns[router_id]:
                self._works(router_id)

    def _works(self, router_id: str) -> None:
        network, session = self.network, self.network.sessions[router_id]
        for _ in range(self.random.randrange(1, 9)):
            if session.to_router:
                network.deliver_to_router(router_id)
        for _ in range(self.random.randrange(1, 9)):
            if session.to_controller:
                network.deliver_to_controller(router_id)
        longest_ns = LONGEST_NS if self.random.random() < 0.2 else 200 * NS_PER_MS
        self._awake_ns[router_id] = network.now_ns + self.random.randrange(longest_ns)

    def says_that_it_is_late(self) -> None:
        late = CircuitStatus(NOBODY, FlowState.ACTUATED, late_ns=NS_PER_S)
        self.network.tell("r2", late)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_moves_for_answers_that_come_late(seed: int) -> None:
    late = _Late(seed)
    late.says_that_it_is_late()
    network = late.network
    requests = [
        PowerRequest(f"small-{number}", sink_id, SMALL_W, ("solar",))
        for number in range(40)
        for sink_id in ("town", "pump")
    ]
    for first in range(0, len(requests), 20):
        late.request(requests[first : first + 20])
        for _ in range(10):
            late.step()
    for _ in range(60):
        late.step()
    for _ in range(8):
        network.make_durable(1_000)
        network.deliver_all()
        network.advance(NS_PER_S)
    circuits = network.core.questions.circuits.values()
    assert {each.state for each in circuits} == {CircuitState.ACTIVE}
    assert {each.last_generation for each in circuits} == {1}
    network.check_rest()
