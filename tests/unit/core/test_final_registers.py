"""Final registers: whoever answers last, repeats himself, or is lost, what both ends metered is written once."""

from collections.abc import Callable

import pytest

from controller.core.circuits.records import (
    CircuitRecord,
    RegisterRecord,
    StateChange,
    from_record,
    to_record,
    to_register,
)
from controller.core.circuits.request import PowerRequest
from controller.core.messages import ToRouter, TransactionResult, Withdraw
from controller.store.records_codec import decode, encode
from digitalgrid.model import CircuitGeneration, FinalMeter, Operation
from digitalgrid.units import NS_PER_S
from tests.support.grids import mesh
from tests.support.simulated_network import FromRouter, SimulatedNetwork
from tests.support.there import newest


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(mesh())


def standing(network: SimulatedNetwork) -> CircuitGeneration:
    (circuit,) = network.request(PowerRequest("q", "town", 1e6))
    network.deliver_all()
    return newest(circuit).key


def ends(network: SimulatedNetwork, key: CircuitGeneration) -> tuple[str, str]:
    route = network.core.questions.circuit(key.circuit_id).generations[key.generation].route
    return route.router_ids[0], route.sink_router_id


def metered(network: SimulatedNetwork, key: CircuitGeneration, router_id: str) -> int:
    return network.grid.routers[router_id].metered[key]


def written(network: SimulatedNetwork) -> RegisterRecord:
    (record,) = network.store.registers.values()
    return record


def is_answer(message: ToRouter | FromRouter) -> bool:
    return isinstance(message, TransactionResult) and message.operation is Operation.WITHDRAW


def test_they_are_durable_in_the_transaction_that_ends_the_generation(
    network: SimulatedNetwork,
) -> None:
    key = standing(network)
    source, sink = ends(network, key)
    changes: list[StateChange] = []
    write = network.store.write

    def watched(count: int) -> int:
        changes.extend(change for _, change in list(network.store.pending)[:count])
        return write(count)

    network.store.write = watched  # type: ignore[method-assign]
    network.release(key.circuit_id)
    network.deliver_all()
    (change,) = [each for each in changes if each.registers]
    (circuit,) = change.circuits
    assert circuit.generations == ()
    record = written(network)
    assert (record.injected_mj, record.delivered_mj) == (
        metered(network, key, source),
        metered(network, key, sink),
    )
    assert (record.key, record.request_id, record.sink_id) == (key, "q", "town")
    assert 0 < record.began_unix_ns <= record.ended_unix_ns


@pytest.mark.parametrize("at_source", [True, False])
def test_an_answer_that_was_lost_is_asked_for_again_also_where_a_table_shows_nothing_any_more(
    network: SimulatedNetwork, at_source: bool
) -> None:
    key = standing(network)
    source, sink = ends(network, key)
    lost = source if at_source else sink
    network.loses = lambda router_id, message: router_id == lost and is_answer(message)
    network.release(key.circuit_id)
    network.deliver_all()
    assert network.store.registers == {}
    network.loses = lambda router_id, message: False
    # Its new session is read back, and the hop is not there any more.
    network.disconnect(lost)
    network.connect(lost)
    network.deliver_all()
    record = written(network)
    assert record.injected_mj == metered(network, key, source)
    assert record.delivered_mj == metered(network, key, sink)


def test_what_one_end_said_before_the_controller_died_is_known_to_the_next(
    network: SimulatedNetwork,
) -> None:
    key = standing(network)
    source, sink = ends(network, key)
    network.loses = lambda router_id, message: router_id == sink and is_answer(message)
    network.release(key.circuit_id)
    network.deliver_all()
    injected_mj = metered(network, key, source)
    # The source's router has said it, and forgets it.
    del network.grid.routers[source].metered[key]
    network.kill_controller(written=len(network.store.pending))
    network.loses = lambda router_id, message: False
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.deliver_all()
    network.advance(NS_PER_S)
    network.deliver_all()
    record = written(network)
    assert record.injected_mj == injected_mj
    assert record.delivered_mj == metered(network, key, sink)


def test_what_a_router_that_is_given_up_had_metered_is_unknown_and_not_zero(
    network: SimulatedNetwork,
) -> None:
    key = standing(network)
    source, sink = ends(network, key)
    network.kill_router(source)
    network.deliver_all()
    network.release(key.circuit_id)
    network.deliver_all()
    network.forgotten.add(source)
    network.event(lambda core, now_ns: core.forget_router(source, now_ns))
    network.deliver_all()
    record = network.store.registers[key]
    assert record.injected_mj is None
    assert record.delivered_mj == metered(network, key, sink)


def test_each_generation_has_its_own_and_one_that_was_only_staged_has_none(
    network: SimulatedNetwork,
) -> None:
    key = standing(network)
    network.event(lambda core, now_ns: core.change(key.circuit_id, 2e6, now_ns))
    network.deliver_all()
    (circuit,) = network.request(PowerRequest("never committed", "works", 1e6))
    # Released before anything of it is durable, and so before any router was told to commit it.
    network.release(circuit.circuit_id)
    network.release(key.circuit_id)
    network.deliver_all()
    network.advance(20 * NS_PER_S)
    network.deliver_all()
    assert sorted(network.store.registers) == [key, key._replace(generation=2)]
    network.check_registers()


def loses_first(count: int) -> Callable[[str, ToRouter | FromRouter], bool]:
    left = [count]

    def loses(router_id: str, message: ToRouter | FromRouter) -> bool:
        if isinstance(message, Withdraw) and left[0]:
            left[0] -= 1
            return True
        return False

    return loses


def test_a_withdrawal_that_was_repeated_writes_them_once(network: SimulatedNetwork) -> None:
    key = standing(network)
    network.loses = loses_first(2)
    network.release(key.circuit_id)
    network.deliver_all()
    network.advance(30 * NS_PER_S)
    network.deliver_all()
    network.check_registers()
    assert list(network.store.registers) == [key]


def test_what_a_router_has_not_counted_from_the_beginning_is_unset_and_not_asked_for_again(
    network: SimulatedNetwork,
) -> None:
    key = standing(network)
    generation = newest(network.core.questions.circuit(key.circuit_id))
    first, *_ = generation.route.router_ids
    generation.hear_final(first, FinalMeter(key, 5, 0, None, None))
    assert not generation.lacks_final(first)
    circuit = network.core.questions.circuit(key.circuit_id)
    restored = from_record(decode(encode(to_record(circuit, "")), CircuitRecord))
    register = to_register(restored, restored.generations[key.generation], 1)
    assert not newest(restored).lacks_final(first)
    assert (register.injected_mj, register.links[0].sent_mj) == (5, None)
    assert register.links[0].line_loss_mj is None
