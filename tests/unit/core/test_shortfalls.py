"""Who failed to deliver: what a load lacked, by interval and cause, in all what its router counts as missing."""

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState, Constraints
from controller.core.circuits.curtailed import (
    BY_OTHERS,
    Curtailed,
    by_circuit,
    by_drain,
    by_source,
    curtailed_by,
)
from controller.core.circuits.records import from_record, to_record
from controller.core.circuits.shortfall import (
    MOST_KEPT,
    Blame,
    ShortCause,
    Shortfall,
    shortfall,
    with_shortfall,
)
from controller.core.messages import CircuitStatus
from controller.core.replica import Replica
from digitalgrid.model import CircuitGeneration, FlowState, MissingEnergy
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.active import active
from tests.support.grids import diamond
from tests.support.settling import settle
from tests.support.simulated_cluster import SimulatedCluster
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there


@pytest.fixture
def network() -> SimulatedNetwork:
    return SimulatedNetwork.running(diamond())


def tell(
    network: SimulatedNetwork,
    circuit: Circuit,
    missing: MissingEnergy,
    at_s: float,
    state: FlowState = FlowState.ACTUATED,
) -> None:
    """The sink's router says what is missing by now, at this time by the calendar."""
    network.core.begin(round(at_s * NS_PER_S), network.now_ns)
    key = CircuitGeneration(circuit.circuit_id, circuit.last_generation)
    network.tell("r4", CircuitStatus(key, state, missing=missing))


def at(network: SimulatedNetwork, at_s: float) -> None:
    network.core.begin(round(at_s * NS_PER_S), network.now_ns)


def causes(circuit: Circuit) -> list[tuple[ShortCause, str, int]]:
    return [(each.cause, each.by, each.missing_mj) for each in circuit.shortfalls]


def test_a_cut_line_is_named_with_the_time_in_which_its_energy_was_lost(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network, 2e6)
    at(network, 100)
    network.cut("r2-r4")
    settle(network, NS_PER_S)
    assert circuit.state is CircuitState.ACTIVE
    # A tenth of a second of two megawatts, told half a second later.
    tell(network, circuit, MissingEnergy(9 * 10**9, fault_mj=200_000_000), 100.5)
    (lacked,) = circuit.shortfalls
    assert (lacked.cause, lacked.by, lacked.missing_mj) == (
        ShortCause.LINK_DOWN,
        "r2-r4",
        200_000_000,
    )
    assert lacked.from_unix_ns <= 100 * NS_PER_S + 400 * NS_PER_MS
    assert lacked.to_unix_ns == round(100.5 * NS_PER_S)


def test_a_router_that_has_gone_is_named_and_not_its_lines(network: SimulatedNetwork) -> None:
    circuit = active(network, 2e6)
    at(network, 100)
    network.kill_router("r2")
    for link_id in ("r1-r2", "r2-r4"):
        network.cut(link_id)
    settle(network, NS_PER_S)
    tell(network, circuit, MissingEnergy(9 * 10**9, fault_mj=7_000), 101)
    assert causes(circuit) == [(ShortCause.ROUTER_DOWN, "r2", 7_000)]


def test_what_was_mended_before_it_was_told_is_named_all_the_same(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network, 2e6)
    at(network, 100)
    network.cut("r2-r4")
    network.deliver_all()
    network.mend("r2-r4")
    settle(network, NS_PER_S)
    tell(network, circuit, MissingEnergy(9 * 10**9, fault_mj=7_000), 101)
    assert causes(circuit) == [(ShortCause.LINK_DOWN, "r2-r4", 7_000)]
    tell(network, circuit, MissingEnergy(10**10, fault_mj=8_000), 200)
    assert causes(circuit)[1:] == [(ShortCause.UNKNOWN, "", 1_000)], "no fault of that line"


def test_a_source_that_gives_less_is_named_as_long_as_it_does(network: SimulatedNetwork) -> None:
    circuit = active(network, 5e6)
    at(network, 100)
    network.dim("solar", 3e6)
    settle(network, NS_PER_S)
    assert circuit.curtailed is not None
    for second in (1, 2, 3):
        tell(
            network,
            circuit,
            MissingEnergy(second * 10**9, curtailment_mj=second * 10**9),
            100 + second,
        )
    (lacked,) = circuit.shortfalls
    assert (lacked.cause, lacked.by, lacked.missing_mj) == (
        ShortCause.SOURCE_SHORT,
        "solar",
        3 * 10**9,
    )
    assert lacked.to_unix_ns == 103 * NS_PER_S


def test_a_source_is_named_also_for_what_is_told_once_it_gives_all_again(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network, 5e6)
    at(network, 100)
    network.dim("solar", 3e6)
    network.deliver_all()
    tell(network, circuit, MissingEnergy(1, curtailment_mj=1_000), 101, FlowState.STARVED)
    network.dim("solar", 9e6)
    network.deliver_all()
    assert circuit.curtailed is None
    assert circuit.withheld == Blame(ShortCause.SOURCE_SHORT, "solar", 100 * NS_PER_S)
    tell(network, circuit, MissingEnergy(2, curtailment_mj=64_000), 164)
    assert causes(circuit) == [(ShortCause.SOURCE_SHORT, "solar", 64_000)]
    tell(network, circuit, MissingEnergy(3, curtailment_mj=64_007), 200)
    assert causes(circuit)[1:] == [(ShortCause.UNKNOWN, "", 7)], "not of that cloud"


def test_a_line_or_a_source_is_not_named_after_a_restart_for_what_may_have_been_told_before(
    network: SimulatedNetwork,
) -> None:
    """That a sink has told is not written, so what is written of who is to blame would outlive it."""
    circuit = active(network, 5e6)
    network.dim("solar", 3e6)
    network.deliver_all()
    network.dim("solar", 9e6)
    network.cut("r2-r4")
    settle(network)
    assert circuit.lost is not None
    assert circuit.withheld is not None
    again = from_record(to_record(circuit, ""))
    assert again.lost is again.withheld is None


def test_who_stands_by_takes_back_no_blame_that_it_has_heard_told_and_knows_who_withheld() -> None:
    cluster = SimulatedCluster.running(diamond())
    circuit = active(cluster, 5e6)
    cluster.dim("solar", 3e6)
    cluster.deliver_all()
    cluster.dim("solar", 9e6)
    cluster.deliver_all()
    standby = there(cluster.standby)
    followed = standby.questions.circuit(circuit.circuit_id)
    assert followed.withheld == circuit.withheld is not None
    key = CircuitGeneration(circuit.circuit_id, circuit.last_generation)
    told = CircuitStatus(key, FlowState.ACTUATED, missing=MissingEnergy(9, curtailment_mj=7))
    standby.on_status("r4", told, cluster.now_ns)
    assert followed.withheld is None
    assert causes(followed) == [(ShortCause.SOURCE_SHORT, "solar", 7)]
    standby._book.replace(cluster.store.records[circuit.circuit_id])
    assert standby.questions.circuit(circuit.circuit_id).withheld is None


def test_who_curtails_later_does_not_take_the_blame_of_who_did_before(
    network: SimulatedNetwork,
) -> None:
    only_way = Constraints(avoid_ids=("r3",))
    both = [active(network, 2.5e6, constraints=only_way) for _ in range(2)]
    network.dim("solar", 3e6)
    network.deliver_all()
    (short,) = (each for each in both if each.curtailed is not None)
    network.dim("solar", 9e6)
    network.deliver_all()
    network.derate("r2-r4", 200.0)
    network.deliver_all()
    tell(network, short, MissingEnergy(2, curtailment_mj=9), 111)
    assert causes(short) == [(ShortCause.SOURCE_SHORT, "solar", 9)]


def test_a_source_is_named_also_for_what_is_told_once_its_circuit_is_released(
    network: SimulatedNetwork,
) -> None:
    circuit = active(network, 5e6)
    network.dim("solar", 3e6)
    network.deliver_all()
    network.release(circuit.circuit_id)
    tell(network, circuit, MissingEnergy(2, curtailment_mj=7), 164, FlowState.DRAINED)
    assert causes(circuit) == [(ShortCause.SOURCE_SHORT, "solar", 7)]


def test_a_line_that_was_derated_is_named_to_who_stays_on_it_and_to_who_has_to_wait(
    network: SimulatedNetwork,
) -> None:
    only_way = Constraints(avoid_ids=("r3",))
    stays, waits = (active(network, 2.5e6, constraints=only_way) for _ in range(2))
    at(network, 100)
    # More than either takes, and less than both.
    network.derate("r2-r4", 200.0)
    settle(network)
    assert (stays.state, waits.state) == (CircuitState.ACTIVE, CircuitState.WAITING)
    tell(network, stays, MissingEnergy(9, curtailment_mj=7), 101)
    assert causes(stays) == [(ShortCause.LINK_SHORT, "r2-r4", 7)]
    tell(network, stays, MissingEnergy(10, curtailment_mj=8), 200)
    assert causes(stays)[1:] == [(ShortCause.UNKNOWN, "", 1)], "what lacks later is not of that"
    tell(network, waits, MissingEnergy(9, curtailment_mj=2, fault_mj=5), 101, FlowState.STARVED)
    assert causes(waits) == [(ShortCause.LINK_SHORT, "r2-r4", 7)]


def test_each_cause_of_one_report_is_an_interval_of_its_own(network: SimulatedNetwork) -> None:
    circuit = active(network, 2e6)
    tell(network, circuit, MissingEnergy(10**9, start_mj=5, move_mj=3, fault_mj=2), 50)
    assert causes(circuit) == [
        (ShortCause.START, "", 5),
        (ShortCause.UNKNOWN, "", 2),
        (ShortCause.MOVE, "", 3),
    ]
    assert (
        sum(each.missing_mj for each in circuit.shortfalls)
        == there(circuit.total_missing()).missing_mj
    )


def test_intervals_are_kept_with_the_circuit(network: SimulatedNetwork) -> None:
    circuit = active(network, 2e6)
    tell(network, circuit, MissingEnergy(10**9, start_mj=5), 50)
    again = from_record(to_record(circuit, ""))
    assert again.shortfalls == circuit.shortfalls


def test_who_stands_by_puts_down_the_same(network: SimulatedNetwork) -> None:
    circuit = active(network, 2e6)
    settle(network)
    replica = Replica.succeeding(network.core, network.now_ns)
    replica.on_state(network.store.load())
    replica.begin(50 * NS_PER_S, network.now_ns)
    status = CircuitStatus(
        newest(circuit).key, FlowState.ACTUATED, missing=MissingEnergy(10**9, start_mj=5)
    )
    replica.on_status("r4", status, network.now_ns)
    assert causes(replica.questions.circuit(circuit.circuit_id)) == [(ShortCause.START, "", 5)]


# As values


def test_whoever_curtails_is_told_apart() -> None:
    def cause(by: str) -> tuple[ShortCause, str]:
        return curtailed_by(Curtailed(by, 0, 2.0, 1.0))

    assert cause(by_source("pv 1")) == (ShortCause.SOURCE_SHORT, "pv 1")
    assert cause(by_circuit(7)) == (ShortCause.PREEMPTED, "7")
    assert cause(by_drain("r1-r2")) == (ShortCause.OPERATOR, "r1-r2")
    assert cause(BY_OTHERS) == (ShortCause.PREEMPTED, "")
    assert cause("what a later release says") == (ShortCause.UNKNOWN, "")


def test_an_interval_is_no_shorter_than_its_energy_needs() -> None:
    found = shortfall(Blame(ShortCause.MOVE), 2_000_000, 1e3, 0, 10 * NS_PER_S)
    assert found.to_unix_ns - found.from_unix_ns == 2 * NS_PER_S
    known = Blame(ShortCause.LINK_DOWN, "l", 3 * NS_PER_S)
    assert shortfall(known, 2_000_000, 1e3, 0, 10 * NS_PER_S).from_unix_ns == 3 * NS_PER_S
    told_ns = 5 * NS_PER_S
    assert shortfall(known, 2_000_000, 1e3, told_ns, 10 * NS_PER_S).from_unix_ns == told_ns


def test_more_intervals_than_are_kept_lose_no_energy() -> None:
    known: tuple[Shortfall, ...] = ()
    for second in range(3 * MOST_KEPT):
        cause = list(ShortCause)[second % 3]
        at_ns = 10 * second * NS_PER_S
        known = with_shortfall(known, Shortfall(at_ns, at_ns + 1, cause, "x", 1))
    assert len(known) == MOST_KEPT
    assert sum(each.missing_mj for each in known) == 3 * MOST_KEPT
    assert list(known) == sorted(known, key=_began)


def _began(lacked: Shortfall) -> int:
    return lacked.from_unix_ns
