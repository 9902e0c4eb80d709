"""Standbys that share their room: pools that routers are told, what happens to the others when one carries, and those
that have room of their own.
"""

from dataclasses import replace

import msgspec
import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.failures import Failure, FailureKind
from controller.core.circuits.generation import Phase
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.records import (
    CircuitRecord,
    GenerationRecord,
    from_record,
    to_record,
)
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from controller.core.messages import Commit, Drain, Stage
from digitalgrid.gridfile import loads_grid
from digitalgrid.model import StandbyPool
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support import grids, settling
from tests.support.simulated_network import SimulatedNetwork
from tests.support.there import newest, there

MW = 1e6


def settle(network: SimulatedNetwork, duration_ns: int = 200 * NS_PER_MS) -> None:
    settling.settle(network, duration_ns)


def spare_way() -> SimulatedNetwork:
    return SimulatedNetwork.running(grids.spare_way())


def wanted(plant: str, power_w: float = MW, *, dedicated: bool = False) -> PowerRequest:
    return PowerRequest(plant, "town", power_w, (plant,), protect=Against.LINK, dedicated=dedicated)


def ask(
    network: SimulatedNetwork, plant: str, power_w: float = MW, *, dedicated: bool = False
) -> Circuit:
    (circuit,) = network.request(wanted(plant, power_w, dedicated=dedicated))
    settle(network)
    return circuit


def both(network: SimulatedNetwork) -> tuple[Circuit, Circuit]:
    circuits = ask(network, "plant-a", 0.8 * MW), ask(network, "plant-b", MW)
    assert [each.guard.word for each in circuits] == [Protection.PROTECTED] * 2
    return circuits


def told_w(network: SimulatedNetwork, router_id: str, link_id: str) -> float:
    return network.grid.routers[router_id].pools.get(link_id, 0.0)


def standby_path(circuit: Circuit) -> tuple[str, ...]:
    return there(circuit.standby()).route.router_ids


def test_two_standbys_that_no_failure_needs_at_once_have_the_same_room() -> None:
    network = spare_way()
    first, second = both(network)
    assert standby_path(first) == ("a", "x", "t") and standby_path(second) == ("b", "x", "t")
    known = network.core.questions
    assert known.sharing_pool("x-t", "x") == [first.circuit_id, second.circuit_id]
    largest_a = max(there(each.standby()).route.links[-1].current_a for each in (first, second))
    assert known.pool_on_link_a("x-t", "x") == known.reserved_on_link_a("x-t", "x") == largest_a
    assert known.standby_on_link_a("x-t", "x") == largest_a
    assert known.standby_on_link_a("a-t", "a") == 0.0 < known.reserved_on_link_a("a-t", "a")
    assert told_w(network, "x", "x-t") == pytest.approx(largest_a * 20_000)
    assert there(first.standby()).covers == {Failure(FailureKind.LINK, "a-t")}
    assert all(hop.shared_standby for hop in network.grid.routers["x"].table.hops)


def test_room_of_its_own_is_had_where_it_is_asked_for_and_refused_with_the_cut_where_there_is_none() -> (
    None
):
    network = spare_way()
    circuit = ask(network, "plant-a", dedicated=True)
    assert circuit.guard.word is Protection.PROTECTED and circuit.guard.dedicated
    assert network.core.questions.pool_on_link_a("x-t", "x") == 0.0
    known = network.core.questions
    assert known.standby_on_link_a("x-t", "x") == known.reserved_on_link_a("x-t", "x") > 0.0
    assert known.standby_on_link_a("a-t", "a") == 0.0 < known.reserved_on_link_a("a-t", "a")
    assert not any(hop.shared_standby for hop in network.grid.routers["x"].table.hops)
    with pytest.raises(Refusal) as refused:
        network.request(wanted("plant-b", dedicated=True))
    assert refused.value.reason is Reason.PROTECTION_NO_ROOM
    assert refused.value.field == "dedicated"
    assert "x-t" in refused.value.metadata["bottleneck_links"]
    assert "shares" in str(refused.value)


def test_a_standby_that_is_not_wanted_can_have_no_room_of_its_own() -> None:
    with pytest.raises(Refusal) as refused:
        spare_way().request(PowerRequest("r", "town", MW, dedicated=True))
    assert refused.value.reason is Reason.DEDICATED_UNPROTECTED
    assert "--protect" in str(refused.value)


def test_a_pool_is_raised_with_the_standby_that_needs_it_and_lowered_once_that_is_gone() -> None:
    network = spare_way()
    first, second = both(network)
    raises = [
        message
        for router_id, message in network.sent
        if router_id == "x" and isinstance(message, Stage) and message.pools
    ]
    assert [(len(each.hops), len(each.pools)) for each in raises] == [(1, 1), (1, 1)]
    larger_a = network.core.questions.pool_on_link_a("x-t", "x")
    network.release(second.circuit_id)
    settle(network)
    smaller_a = network.core.questions.pool_on_link_a("x-t", "x")
    assert 0.0 < smaller_a < larger_a
    assert told_w(network, "x", "x-t") == pytest.approx(smaller_a * 20_000)
    network.release(first.circuit_id)
    settle(network)
    assert network.core.questions.reserved() == {}
    assert told_w(network, "x", "x-t") == told_w(network, "a", "a-x") == 0.0


def test_what_a_router_still_allows_is_nobody_elses_until_it_knows_of_less() -> None:
    network = spare_way()
    circuit = ask(network, "plant-a")
    pool_a = network.core.questions.pool_on_link_a("x-t", "x")
    # A pool alone: what is lost here is not that of a standby.
    lost: list[int] = []

    def loses(router_id: str, message: object) -> bool:
        alone = isinstance(message, Stage) and not message.hops
        if router_id == "x" and isinstance(message, Stage) and alone:
            lost.append(message.txn_id)
        return isinstance(message, Stage | Commit) and message.txn_id in lost

    network.loses = loses
    network.release(circuit.circuit_id)
    settle(network)
    assert lost and circuit.state is CircuitState.WITHDRAWN
    assert network.core.questions.reserved_on_link_a("x-t", "x") == pool_a
    network.loses = lambda router_id, message: False
    settle(network, 12 * NS_PER_S)
    assert network.core.questions.reserved() == {}
    assert told_w(network, "x", "x-t") == 0.0


def test_a_router_that_restarts_is_told_its_pools_again() -> None:
    network = spare_way()
    both(network)
    before_w = told_w(network, "x", "x-t")
    network.restart_router("x")
    assert told_w(network, "x", "x-t") == 0.0
    network.connect("x")
    settle(network, 12 * NS_PER_S)
    assert told_w(network, "x", "x-t") == before_w > 0.0


def test_a_new_leader_finds_what_routers_allow_and_mends_it() -> None:
    network = spare_way()
    both(network)
    right_w = told_w(network, "x", "x-t")
    wrong = (StandbyPool("x-t", 3 * right_w), StandbyPool("a-x", 5.0))
    pools = network.grid.routers["x"].table.pools
    pools.commit(wrong, pools.number())
    network.kill_controller(written=100)
    network.start_controller()
    for router_id in network.grid.routers:
        network.connect(router_id)
    settle(network, 12 * NS_PER_S)
    assert network.grid.routers["x"].pools == {"x-t": right_w}
    words = [each.guard.word for each in network.core.questions.circuits.values()]
    assert words == [Protection.PROTECTED] * 2
    assert len(network.core.questions.sharing_pool("x-t", "x")) == 2


def test_who_shared_the_room_of_a_standby_that_carries_is_shown_unprotected_and_made_anew() -> None:
    network = spare_way()
    first, second = both(network)
    network.cut("a-t")
    settle(network)
    assert newest(first).route.router_ids == ("a", "x", "t")
    assert second.standby() is None
    assert second.guard.word is Protection.LOST and "x-t" in second.guard.reason
    reasons = [each.why for each in network.store.audit if each.subject == str(second.circuit_id)]
    assert any(f"circuit {first.circuit_id} runs over its standby now" in each for each in reasons)
    assert told_w(network, "x", "x-t") == 0.0
    network.mend("a-t")
    settle(network, 3 * NS_PER_S)
    assert second.guard.word is Protection.PROTECTED
    assert standby_path(second) == ("b", "x", "a", "t")


def test_one_that_is_made_anew_fills_while_what_the_last_one_held_goes_to_the_load() -> None:
    """On the same path, where it has to put up with more losses than the last one was made for."""
    network = SimulatedNetwork.running(grids.spare_way(spare_a=300.0))
    first, second = both(network)
    last = there(second.standby())
    network.loses = lambda router_id, message: isinstance(message, Drain)
    network.cut("a-t")
    settle(network)
    assert newest(first).route.router_ids == ("a", "x", "t")
    assert last.phase is Phase.DRAINING, "as long as it may"
    standby = there(second.standby())
    assert standby is not last and standby.route.router_ids == last.route.router_ids
    assert standby.phase is Phase.COMMITTED and standby.charged
    assert second.guard.word is Protection.PROTECTED


def test_a_standby_covers_what_its_circuit_needs_after_a_move() -> None:
    network = spare_way()
    circuit = ask(network, "plant-a")
    network.event(lambda core, now_ns: core.change(circuit.circuit_id, 0.9 * MW, now_ns))
    settle(network, 3 * NS_PER_S)
    assert there(circuit.standby()).covers == {Failure(FailureKind.LINK, "a-t")}
    network.grid.links["a-t"] = replace(network.grid.links["a-t"], risk_groups=("duct",))
    network.advertise("a", "t")
    settle(network, 3 * NS_PER_S)
    assert there(circuit.standby()).covers == {
        Failure(FailureKind.LINK, "a-t"),
        Failure(FailureKind.RISK_GROUP, "duct"),
    }
    assert circuit.guard.word is Protection.PROTECTED


def test_a_standby_that_had_no_room_to_fill_beside_the_path_that_was_left_is_made_anew() -> None:
    """The trap: the best path leaves no second. The pair is moved to while it still fills one of their lines."""
    network = SimulatedNetwork.running(loads_grid(_TRAP, "trap"))
    (circuit,) = network.request(
        PowerRequest("r", "town", MW, protect=Against.LINK, dedicated=True)
    )
    settle(network)
    assert circuit.guard.word is Protection.PROTECTED
    for link_id in ("s-b", "a-t"):
        network.cut(link_id)
    settle(network, 15 * NS_PER_S)
    assert newest(circuit).route.router_ids == ("s", "a", "b", "t")
    for link_id in ("s-b", "a-t"):
        network.mend(link_id)
    # The path that is left drains for as long as it may.
    network.loses = lambda router_id, message: isinstance(message, Drain)
    settle(network, 20 * NS_PER_S)
    assert newest(circuit).route.router_ids == ("s", "a", "t")
    assert standby_path(circuit) == ("s", "b", "t")
    assert circuit.guard.word is Protection.PROTECTED
    assert there(circuit.standby()).route.trickle_w
    # And there it stays.
    before = circuit.last_generation
    settle(network, 15 * NS_PER_S)
    assert circuit.last_generation == before


_TRAP = """
name: trap
defaults: {voltage_v: 20000, efficiency: 0.99, resistance_ohm: 0.5, ampacity_a: 80}
routers: [{id: s}, {id: a}, {id: b}, {id: t}]
links:
  - {id: s-a, a: s, b: a, ampacity_a: 51.8}
  - {id: a-b, a: a, b: b, resistance_ohm: 0.01}
  - {id: b-t, a: b, b: t, ampacity_a: 50.7}
  - {id: s-b, a: s, b: b, resistance_ohm: 4}
  - {id: a-t, a: a, b: t, resistance_ohm: 4}
sources: [{id: plant, router: s, max_power_w: 5e6}]
loads: [{id: town, router: t, power_w: 1e6}]
"""


def test_routers_without_pools_are_gone_around() -> None:
    network = spare_way()
    without_pools(network, "x")
    circuit = ask(network, "plant-a")
    assert circuit.guard.word is Protection.PROTECTED
    senders = {link.from_router_id for link in there(circuit.standby()).route.links}
    assert "x" not in senders and there(circuit.standby()).covers


def test_where_routers_without_pools_cannot_be_gone_around_a_standby_has_room_of_its_own() -> None:
    network = spare_way()
    without_pools(network, "a", "b", "x")
    circuit = ask(network, "plant-a")
    assert circuit.guard.word is Protection.PROTECTED
    assert standby_path(circuit) == ("a", "x", "t")
    assert there(circuit.standby()).covers is None
    assert all(not router.pools for router in network.grid.routers.values())


def without_pools(network: SimulatedNetwork, *router_ids: str) -> None:
    for router_id in router_ids:
        network.grid.routers[router_id].holds_pools = False
        network.connect(router_id)
    network.deliver_all()


def test_a_router_that_comes_back_without_pools_shares_no_more() -> None:
    network = spare_way()
    first, second = both(network)
    network.restart_router("x")
    network.grid.routers["x"].holds_pools = False
    network.connect("x")
    settle(network, 12 * NS_PER_S)
    # There is room of its own for one of them.
    standing = [each for each in (first, second) if each.standby() is not None]
    assert len(standing) == 1 and there(standing[0].standby()).covers is None


def test_records_of_before_keep_the_room_of_their_own_and_new_ones_what_they_cover() -> None:
    network = spare_way()
    circuit = ask(network, "plant-a")
    record = to_record(circuit, "f")
    again = from_record(msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=CircuitRecord))
    assert not again.guard.dedicated
    assert again.generations[2].covers == there(circuit.standby()).covers
    fields = msgspec.to_builtins(record)
    older = fields[: CircuitRecord.__struct_fields__.index("dedicated")]
    covers = GenerationRecord.__struct_fields__.index("covers")
    older[11] = [generation[:covers] for generation in fields[11]]
    restored = from_record(msgspec.convert(older, CircuitRecord))
    assert restored.guard.dedicated and restored.guard.against is Against.LINK
    assert restored.generations[2].covers is None and not restored.generations[2].shares


def test_a_pool_of_another_size_is_told_to_whoever_asks_and_then_told_again() -> None:
    network = spare_way()
    both(network)
    needed_w = told_w(network, "x", "x-t")
    held = network.grid.routers["x"].table.pools
    held.commit([StandbyPool("x-t", needed_w / 2)], held.number())
    (read_id,) = ask_to_read(network, "x", dry_run=True)
    found = there(network.tell_table("x", network.grid.routers["x"].read(read_id, network.now_ns)))
    (pool,) = found.pools
    assert pool.link_id == "x-t" and not found.none
    assert (pool.has_w, pool.needed_w) == (pytest.approx(needed_w / 2), pytest.approx(needed_w))
    network.deliver_all()
    assert told_w(network, "x", "x-t") == pytest.approx(needed_w / 2), "a dry run repairs nothing"
    ask_to_read(network, "x", dry_run=False)
    settle(network)
    assert told_w(network, "x", "x-t") == pytest.approx(needed_w)


def ask_to_read(network: SimulatedNetwork, router_id: str, *, dry_run: bool) -> list[int]:
    asked = network.event(lambda core, now_ns: core.reconcile([router_id], now_ns, dry_run=dry_run))
    return list(asked.reads)
