"""A leader that notices late that another leads has heard routers meanwhile, and knows as much as any standby."""

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.request import PowerRequest
from digitalgrid.units import NS_PER_S
from tests.support.grids import mesh
from tests.support.simulated_cluster import SimulatedCluster
from tests.support.there import there

SINK_IDS = sorted(each.id for each in mesh().loads)


def wanted(request_id: str, sink_id: str) -> PowerRequest:
    return PowerRequest(request_id, sink_id, 0.2e6)


def decided_by_another() -> tuple[SimulatedCluster, Circuit]:
    """What the successor has decided, while who was deposed still believed to lead."""
    cluster = SimulatedCluster.running(mesh())
    cluster.depose(written=0)
    (circuit,) = cluster.request(wanted("a", SINK_IDS[0]))
    cluster.deliver_all()
    assert circuit.state is CircuitState.ACTIVE
    return cluster, circuit


def test_what_sinks_said_of_its_successors_circuits_is_known_to_a_deposed_leader() -> None:
    cluster, circuit = decided_by_another()

    shown = there(cluster.standby).questions.circuit(circuit.circuit_id)

    assert shown.state is CircuitState.ACTIVE


def test_a_deposed_leader_that_leads_again_needs_no_word_of_a_sink_that_was_said_before() -> None:
    cluster, circuit = decided_by_another()

    cluster.fail_over(written=0)

    assert cluster.core.questions.circuit(circuit.circuit_id).state is CircuitState.ACTIVE


@pytest.mark.parametrize("gives_up", [False, True])
def test_a_number_that_a_deposed_leader_gave_in_vain_says_nothing_against_a_sinks_word(
    gives_up: bool,
) -> None:
    """The successor has given the same number to another request."""
    cluster = SimulatedCluster.running(mesh())
    (in_vain,) = cluster.request(wanted("in vain", SINK_IDS[1]))
    cluster.depose(written=0)
    (circuit,) = cluster.request(wanted("a", SINK_IDS[0]))
    assert circuit.circuit_id == in_vain.circuit_id
    cluster.deliver_to_leader()
    cluster.hear_beside()
    if gives_up:
        cluster.now_ns += 60 * NS_PER_S
        cluster.wake_deposed()
        assert "took too long" in in_vain.reason

    cluster.notice()

    assert cluster.core.questions.circuit(circuit.circuit_id).state is CircuitState.ACTIVE
    shown = there(cluster.standby).questions.circuit(circuit.circuit_id)
    assert shown.state is CircuitState.ACTIVE
