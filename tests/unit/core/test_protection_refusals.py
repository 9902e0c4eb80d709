"""Protection that cannot be had: what makes it impossible is named, and what can be had is taken."""

import pytest

from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.network.admin import DrainOrder
from digitalgrid.gridfile import loads_grid
from digitalgrid.reasons import Reason
from tests.support.simulated_network import SimulatedNetwork
from tests.support.three_ways import (
    THREE_WAYS,
    path,
    protected,
    settle,
    standby_path,
    three_ways,
)


def test_a_bridge_is_named() -> None:
    network = three_ways()
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("a", "house", 1e5, protect=Against.LINK))
    assert refused.value.reason is Reason.PROTECTION_IMPOSSIBLE
    assert refused.value.metadata["bridges"] == "r5-r6"
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("b", "house", 1e5, protect=Against.ROUTER))
    assert refused.value.metadata["bridges"] == "r5-r6,r5"
    assert network.core.questions.reserved() == {}


def test_a_risk_group_on_every_way_is_named() -> None:
    text = THREE_WAYS.replace(
        "{id: r4-r5, a: r4, b: r5,", "{id: r4-r5, a: r4, b: r5, risk_groups: [duct],"
    )
    network = SimulatedNetwork.running(loads_grid(text, "one-duct"))
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("a", "town", 1e5, protect=Against.RISK))
    assert refused.value.reason is Reason.PROTECTION_IMPOSSIBLE
    assert refused.value.metadata["bridges"] == "duct"
    assert "avoids risk group duct, which" in str(refused.value)
    assert "the loss of a risk group is impossible" in str(refused.value)


def drain(network: SimulatedNetwork, order: DrainOrder) -> None:
    network.event(lambda core, now_ns: core.drain(order, now_ns))
    settle(network)


def test_where_only_what_is_drained_would_give_a_second_way_that_is_said() -> None:
    network = three_ways()
    for link_id in ("r3-r5", "r4-r5"):
        drain(network, DrainOrder(link_id))
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("a", "town", 1e5, protect=Against.LINK))
    assert str(refused.value).endswith("there, with r3-r5, r4-r5 out of service")


def test_without_room_for_a_standby_the_cut_is_named() -> None:
    network = three_ways()
    text = THREE_WAYS.replace("ampacity_a: 300", "ampacity_a: 100")
    network = SimulatedNetwork.running(loads_grid(text, "thin"))
    for number in range(2):
        network.request(PowerRequest(f"other-{number}", "town", 1.5e6))
    with pytest.raises(Refusal) as refused:
        network.request(PowerRequest("a", "town", 1.5e6, protect=Against.LINK))
    assert refused.value.reason is Reason.PROTECTION_NO_ROOM
    assert "r1-r2" in refused.value.metadata["bottleneck_links"]


def test_a_first_path_that_has_a_partner_is_taken_where_the_best_has_none() -> None:
    # The trap: the best path uses the crossing line, and leaves no other.
    text = """
name: trap
defaults: {voltage_v: 20000, efficiency: 1.0, ampacity_a: 300}
routers: [{id: s}, {id: a}, {id: b}, {id: t}]
links:
  - {id: s-a, a: s, b: a, resistance_ohm: 0.1}
  - {id: a-b, a: a, b: b, resistance_ohm: 0.1}
  - {id: b-t, a: b, b: t, resistance_ohm: 0.1}
  - {id: a-t, a: a, b: t, resistance_ohm: 5.0}
  - {id: s-b, a: s, b: b, resistance_ohm: 5.0}
sources: [{id: plant, router: s, max_power_w: 6e6}]
loads: [{id: town, router: t, power_w: 6e6}]
"""
    network = SimulatedNetwork.running(loads_grid(text, "trap"))
    circuit = protected(network)
    assert {path(circuit), standby_path(circuit)} == {("s", "a", "t"), ("s", "b", "t")}
