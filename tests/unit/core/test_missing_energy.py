"""What loads lacked, as the controller knows it: the sinks' routers count, it adds up and forgets nothing."""

import msgspec
import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.records import CircuitRecord, from_record, to_record
from controller.core.circuits.request import PowerRequest
from controller.core.messages import CircuitStatus, Withdraw
from controller.northbound.codec import circuit_to_pb
from controller.store.records_codec import decode, encode
from digitalgrid.model import CircuitGeneration, FlowState, MissingEnergy
from digitalgrid.units import NS_PER_S
from tests.support.grids import diamond
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there

LINKS_TO_SINK = ("r2-r4", "r3-r4")


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


@pytest.fixture
def circuit(network: SimulatedNetwork) -> Circuit:
    (circuit,) = network.request(PowerRequest("r", "town", 1e6, ("solar",)))
    network.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    return circuit


def tell(
    network: SimulatedNetwork,
    missing: MissingEnergy | None,
    router_id: str = "r4",
    key: CircuitGeneration | None = None,
    state: FlowState = FlowState.ACTUATED,
) -> None:
    key = key or CircuitGeneration(1, 1)
    network.tell(router_id, CircuitStatus(key, state, missing=missing))


def lose_all_paths(network: SimulatedNetwork, circuit: Circuit) -> CircuitGeneration:
    """The generation that it had."""
    key = newest(circuit).key
    for link_id in LINKS_TO_SINK:
        network.cut(link_id)
    network.deliver_all()
    network.advance(NS_PER_S)
    network.deliver_all()
    assert circuit.state is CircuitState.WAITING
    return key


def withdrawals(network: SimulatedNetwork, router_id: str = "r4") -> list[Withdraw]:
    return [each for to, each in network.sent if to == router_id and isinstance(each, Withdraw)]


def test_what_nobody_counts_is_unknown_and_not_nothing(
    network: SimulatedNetwork, circuit: Circuit
) -> None:
    tell(network, None)
    assert circuit.total_missing() is None
    assert not circuit_to_pb(circuit).HasField("missing")
    tell(network, MissingEnergy(promised_mj=7))
    assert circuit_to_pb(circuit).missing.promised_mj == 7


def test_only_the_router_of_the_load_may_say_and_only_more_than_before(
    network: SimulatedNetwork, circuit: Circuit
) -> None:
    for router_id, missing in (
        ("r4", MissingEnergy(90, fault_mj=20)),
        ("r2", MissingEnergy(500, fault_mj=400)),
        ("r4", MissingEnergy(80, fault_mj=10)),
    ):
        tell(network, missing, router_id)
    assert circuit.total_missing() == MissingEnergy(90, fault_mj=20)
    tell(network, MissingEnergy(95, fault_mj=20, move_mj=1))
    assert there(circuit.total_missing()).missing_mj == 21


def test_a_device_that_was_wiped_begins_anew_and_nothing_is_forgotten(circuit: Circuit) -> None:
    circuit.note_missing("r4/01", MissingEnergy(90, fault_mj=20))
    circuit.note_missing("r4/02", MissingEnergy(5, start_mj=5))
    assert circuit.total_missing() == MissingEnergy(95, start_mj=5, fault_mj=20)
    for number in range(100):
        circuit.note_missing(f"r4/{number}", MissingEnergy(10, move_mj=1))
    assert circuit.total_missing() == MissingEnergy(1095, start_mj=5, fault_mj=20, move_mj=100)
    assert len(circuit.missing) <= 8


def test_of_books_that_are_told_as_one_sum_nothing_counts_twice(circuit: Circuit) -> None:
    for number in range(10):
        assert circuit.note_missing(f"r4/{number}", MissingEnergy(100, fault_mj=10))
    # Its device, which was merged with others, is there again; after a restart of the controller too.
    restored = from_record(decode(encode(to_record(circuit, "")), CircuitRecord))
    for each in (circuit, restored):
        assert not each.note_missing("r4/0", MissingEnergy(101, fault_mj=10))
        assert each.note_missing("r4/9", MissingEnergy(101, fault_mj=11))
        assert each.total_missing() == MissingEnergy(1001, fault_mj=101)


def test_books_that_have_been_silent_for_longest_are_merged_and_their_sum_only_grows(
    circuit: Circuit,
) -> None:
    for promised_mj in range(1, 30):
        for books in ("r4/first", f"r4/{promised_mj}"):
            assert circuit.note_missing(books, MissingEnergy(promised_mj))
        restored = from_record(to_record(circuit, ""))
        assert restored.total_missing() == circuit.total_missing()
        circuit.missing, circuit.merged_books = restored.missing, restored.merged_books
    assert circuit.missing["r4/first"] == MissingEnergy(29)
    assert circuit.total_missing() == MissingEnergy(sum(range(1, 30)) + 29)


def test_an_older_record_with_a_sum_of_former_books_goes_on_growing(circuit: Circuit) -> None:
    circuit.missing = {f"a{number}/": MissingEnergy(1) for number in range(7)}
    circuit.missing["former"] = MissingEnergy(500)
    fields = msgspec.to_builtins(to_record(circuit, ""))
    restored = from_record(msgspec.convert(fields[:-1], CircuitRecord))
    for number in range(20):
        restored.note_missing(f"b{number}/", MissingEnergy(1))
    assert restored.total_missing() == MissingEnergy(527)


def test_a_load_that_was_at_too_many_devices_takes_no_new_ones_rather_than_forget_old_ones(
    circuit: Circuit,
) -> None:
    for number in range(400):
        circuit.note_missing(f"r4/{number}", MissingEnergy(1))
    total = circuit.total_missing()
    for number in range(300):
        circuit.note_missing(f"r4/{number}", MissingEnergy(1))
    assert circuit.total_missing() == total
    assert len(circuit.missing) + len(circuit.merged_books) < 300


def test_who_follows_counts_books_once_whoever_has_merged_them(circuit: Circuit) -> None:
    follower = from_record(to_record(circuit, ""))
    for number in range(10):
        circuit.note_missing(f"r4/{number}", MissingEnergy(100))
        if number < 8:
            follower.note_missing(f"r4/{number}", MissingEnergy(100))
    for here, there_ in ((follower, circuit), (circuit, follower), (circuit, circuit)):
        written = from_record(to_record(there_, ""))
        written.adopt_missing(here)
        assert written.total_missing() == MissingEnergy(1000)


def test_a_controller_that_starts_again_knows_what_was_stored_and_hears_the_rest(
    network: SimulatedNetwork, circuit: Circuit
) -> None:
    tell(network, MissingEnergy(90, fault_mj=20))
    network.event(lambda core, now_ns: core.change(1, 1.5e6, now_ns))
    network.deliver_all()
    network.kill_controller(written=99)
    network.start_controller()
    (restored,) = network.core.questions.circuits.values()
    assert restored.total_missing() == MissingEnergy(90, fault_mj=20)
    for router_id in network.grid.routers:
        network.connect(router_id)
    network.deliver_all()
    tell(network, MissingEnergy(99, fault_mj=22), key=newest(restored).key)
    assert restored.total_missing() == MissingEnergy(99, fault_mj=22)


def test_a_circuit_that_has_to_wait_is_withdrawn_with_the_word_that_its_promise_stands(
    network: SimulatedNetwork, circuit: Circuit
) -> None:
    network.sent.clear()
    key = lose_all_paths(network, circuit)
    assert [each.standing_ids for each in withdrawals(network)] == [(1,)]
    tell(network, MissingEnergy(90, fault_mj=60), key=key, state=FlowState.STARVED)
    assert circuit.total_missing() == MissingEnergy(90, fault_mj=60)
    assert circuit.state is CircuitState.WAITING


def test_a_release_while_it_waits_tells_the_sinks_router_that_the_promise_is_over(
    network: SimulatedNetwork, circuit: Circuit
) -> None:
    lose_all_paths(network, circuit)
    network.sent.clear()
    network.release(1)
    key = CircuitGeneration(1, circuit.last_generation)
    assert [(each.circuits, each.standing_ids) for each in withdrawals(network)] == [((key,), ())]


def test_a_router_that_counts_on_for_what_is_over_is_told_so(
    network: SimulatedNetwork, circuit: Circuit
) -> None:
    key = newest(circuit).key
    network.release(1)
    network.deliver_all()
    network.sent.clear()
    tell(network, MissingEnergy(90, fault_mj=60), key=key, state=FlowState.STARVED)
    assert [(each.circuits, each.standing_ids) for each in withdrawals(network)] == [((key,), ())]
    assert circuit.total_missing() == MissingEnergy(90, fault_mj=60)


def test_a_router_that_the_load_has_left_counts_no_more(
    network: SimulatedNetwork, circuit: Circuit
) -> None:
    lost = CircuitGeneration(1, 9)
    network.sent.clear()
    for router_id in ("r4", "r2"):
        tell(network, MissingEnergy(90, fault_mj=60), router_id, lost, FlowState.STARVED)
    assert withdrawals(network, "r4") == []
    assert [each.circuits for each in withdrawals(network, "r2")] == [(lost,)]
    assert circuit.state is CircuitState.ACTIVE


def test_a_generation_that_is_given_up_takes_no_promise_with_it(
    network: SimulatedNetwork, circuit: Circuit
) -> None:
    network.sent.clear()
    network.event(lambda core, now_ns: core.change(1, 1.5e6, now_ns))
    network.deliver_all()
    assert all(each.standing_ids == (1,) for each in withdrawals(network))
    network.sent.clear()
    network.release(1)
    network.deliver_all()
    assert [each.standing_ids for each in withdrawals(network)] == [()]
