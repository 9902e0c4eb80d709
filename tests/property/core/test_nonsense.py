"""Routers that answer late, twice, or with nonsense: the core never fails, and all comes to rest once they behave.

Figures that no device can have are refused at the edge; here is what gets past it, and what a bug there would let in.
"""

import math
import random

import hypothesis.strategies as st
from hypothesis import given, settings

from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.messages import (
    CircuitStatus,
    CircuitTable,
    TransactionResult,
)
from digitalgrid.model import CircuitGeneration, FlowState, HopSnapshot, Operation, ResultCode
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import FromRouter, SimulatedNetwork
from tests.support.there import newest

ROUTERS = st.sampled_from(["r1", "r2", "r3", "r4", "r9"])
FIGURES = st.sampled_from([1e6, 0.0, -1e6, 1e300, math.inf, -math.inf, math.nan])
IDS = st.integers(0, 4) | st.just(2**63)
KEYS = st.builds(CircuitGeneration, IDS, IDS)
NAMES = st.sampled_from(["", "solar", "gas", "town", "pump", "r1-r2", "r2-r4", "r9", "x" * 10_000])
HOPS = st.builds(
    lambda key, *rest: HopSnapshot(*key, *rest),
    KEYS, IDS, FIGURES, FIGURES, FIGURES, FIGURES, NAMES, NAMES, NAMES, NAMES,
)  # fmt: skip
RESULTS = st.builds(
    TransactionResult,
    # Of this term, of one before, and of none.
    st.integers(2**32, 2**32 + 12) | IDS,
    st.sampled_from(Operation),
    st.sampled_from(ResultCode),
)
STATUSES = st.builds(
    CircuitStatus, KEYS, st.sampled_from(FlowState), FIGURES, st.integers(-9, 9), st.integers(-9, 9)
)
READ_IDS = st.integers(2**32, 2**32 + 40) | IDS
TABLES = st.builds(
    CircuitTable, READ_IDS, IDS, st.lists(HOPS, max_size=4).map(tuple), st.just(frozenset({7}))
)
WORDS = st.lists(
    st.tuples(ROUTERS, RESULTS | STATUSES | TABLES, st.sampled_from([0, 0, 20, 1100, 4000])),
    max_size=12,
)
MANY = settings(max_examples=150)


def with_circuits() -> SimulatedNetwork:
    network = SimulatedNetwork.running(diamond())
    for number, sink_id in enumerate(("town", "pump", "works")):
        network.request(PowerRequest(f"request-{number}", sink_id, 1e6))
    return network


def all_active(network: SimulatedNetwork) -> bool:
    return all(
        each.state is CircuitState.ACTIVE for each in network.core.questions.circuits.values()
    )


@MANY
@given(words=WORDS, settled=st.booleans())
def test_whatever_routers_say_the_core_goes_on_and_comes_to_rest(
    words: list[tuple[str, FromRouter, int]], settled: bool
) -> None:
    network = with_circuits()
    if settled:
        network.deliver_all()
    for router_id, word, wait_ms in words:
        network.tell(router_id, word)
        if isinstance(word, CircuitStatus) and router_id in network.grid.routers:
            # What a router has said it takes back when it is otherwise.
            network.grid.routers[router_id].told[word.key] = word.state
        if wait_ms:
            network.advance(wait_ms * NS_PER_MS)
            network.deliver_all()
    # What a sink has made up stands until it says otherwise.
    for router_id, router in network.grid.routers.items():
        for key, state in sorted(router.told.items()):
            network.tell(router_id, CircuitStatus(key, state))
    network.heal()
    network.check_rest()
    circuits = network.core.questions.circuits.values()
    # A router may refuse for ever what it has never taken; it cannot end what was promised otherwise.
    assert {each.state for each in circuits} <= {CircuitState.ACTIVE, CircuitState.FAILED}
    assert not any(
        each.state is CircuitState.FAILED and each.last_generation > 1 for each in circuits
    )


@MANY
@given(
    seed=st.randoms(use_true_random=False),
    late_ms=st.lists(st.sampled_from([0, 5, 300, 1200, 2500, 6000]), min_size=8, max_size=8),
    held_id=st.sampled_from(["r1", "r2", "r3", "r4"]),
)
def test_answers_that_come_late_and_twice_lose_nothing(
    seed: random.Random, late_ms: list[int], held_id: str
) -> None:
    """What one router says is held back beyond deadlines and leases, and then arrives twice."""
    network = with_circuits()
    heard: list[FromRouter] = []

    def holds_back(router_id: str, message: object) -> bool:
        if router_id != held_id or not isinstance(message, TransactionResult | CircuitTable):
            return False
        heard.append(message)
        return True

    network.loses = holds_back
    for wait_ms in late_ms:
        network.deliver_all()
        network.advance(wait_ms * NS_PER_MS)
        for message in seed.sample(heard, min(len(heard), 3)):
            network.tell(held_id, message)
            network.tell(held_id, message)
        network.check()
    network.loses = lambda router_id, message: False
    network.heal()
    network.check_rest()
    assert all_active(network)


@MANY
@given(
    liar_id=st.sampled_from(["r1", "r2", "r3", "r4"]),
    hops=st.lists(HOPS, max_size=4).map(tuple),
    twisted=st.integers(0, 3),
    figure=FIGURES,
)
def test_tables_that_are_no_ones_are_repaired_and_power_comes_back(
    liar_id: str, hops: list[HopSnapshot], twisted: int, figure: float
) -> None:
    """A router's tables hold unknown circuits, hops twice, and wrong powers; then it tells the truth again."""
    network = with_circuits()
    network.deliver_all()
    router = network.grid.routers[liar_id]
    truly = router.read

    def lie(read_id: int, now_ns: int) -> CircuitTable:
        there = list(truly(read_id, now_ns).hops)
        if there:
            hop = there[twisted % len(there)]
            there.append(
                HopSnapshot(
                    *(*hop.key, hop.admission_seq, figure, figure, figure, figure),
                    *(hop.source_id, hop.ingress_link_id, hop.load_id, hop.egress_link_id),
                )
            )
        return CircuitTable(read_id, 1, (*there, *hops))

    router.read = lie  # type: ignore[method-assign]
    for _ in range(3):
        network.advance(11 * NS_PER_S)
        network.deliver_all()
        network.check()
    del router.read
    network.heal()
    network.check_rest()
    assert all_active(network)


def test_only_the_routers_of_a_route_can_refuse_or_free_it() -> None:
    network = SimulatedNetwork.running(diamond())
    (circuit,) = network.request(PowerRequest("request", "town", 1e6, ("solar",)))
    network.deliver_all()
    generation = newest(circuit)
    assert generation.route.router_ids == ("r1", "r2", "r4")
    for operation in Operation:
        for code in ResultCode:
            network.tell("r3", TransactionResult(generation.txn_id, operation, code))
    assert circuit.newest() is generation and not generation.freed


def test_what_a_stranger_says_of_a_load_does_not_hide_what_its_own_router_says() -> None:
    network = SimulatedNetwork.running(diamond())
    (circuit,) = network.request(PowerRequest("request", "town", 1e6, ("solar",)))
    network.deliver_all()
    key = newest(circuit).key
    for state in FlowState:
        network.tell("r2", CircuitStatus(key, state))
    (status,) = network.core.questions.measured(key, "r4")
    assert status.state is FlowState.ACTUATED
    network.disconnect("r2")
    assert circuit.state is CircuitState.ACTIVE
    assert network.core.questions.measured(key, "r4") == (status,)


def test_requests_are_decided_while_a_router_talks_nonsense() -> None:
    network = SimulatedNetwork.running(diamond())
    for number in range(200):
        network.tell("r2", CircuitStatus(CircuitGeneration(10_000 + number, 1), FlowState.ARRIVED))
    try:
        network.request(PowerRequest("request", "town", 1e6))
    except Refusal as refusal:
        raise AssertionError("a stranger's words must not matter") from refusal
    network.heal()
    network.check_rest()
    assert all_active(network)
