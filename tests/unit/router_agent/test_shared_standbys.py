"""Shared standbys keep within their pools, whatever fails; who has room of its own loses nothing by them."""

import random

import pytest

from digitalgrid.model import CircuitGeneration, FlowState
from digitalgrid.units import NS_PER_MS
from router_agent.codec import meters_to_pb
from tests.support.shared_ways import BESIDE, SINK, SharedWays, Wish

MEGAWATT = Wish(1e6)
CHARGED_MS = 4_500


def charged(wishes: list[Wish], pooled: list[int]) -> SharedWays:
    ways = SharedWays(wishes, pooled)
    ways.run_ms(CHARGED_MS)
    sinks = ways.network.nodes[SINK].device.flows
    assert all(flow.charged for flow in sinks if flow.hop.standby)
    return ways


def test_standbys_for_which_their_pool_has_no_room_at_once_are_charged_one_after_another() -> None:
    """The room is a tenth of each for as many as are served at once: here for ten of fifteen."""
    ways = SharedWays([Wish(1e5) for _ in range(15)], [1])
    ways.run_ms(CHARGED_MS / 2)
    sinks = ways.network.nodes[SINK].device.flows
    assert not all(flow.charged for flow in sinks if flow.hop.standby)
    ways.run_ms(2 * CHARGED_MS)
    assert all(flow.charged for flow in sinks if flow.hop.standby)
    ways.assert_sound()


def switches(ways: SharedWays) -> int:
    told = ways.network.nodes[SINK].statuses
    return sum(status.state is FlowState.SWITCHED for _, status in told)


def test_one_failure_serves_whoever_it_hits_in_full() -> None:
    ways = charged([MEGAWATT, MEGAWATT, Wish(0.7e6)], [1])
    ways.cut(2)
    missing = ways.missing_ms(2000)
    assert max(missing.values()) <= 1.0
    ways.assert_sound()


def test_a_failure_that_hits_two_serves_both_where_the_pool_is_for_both() -> None:
    ways = charged([MEGAWATT, Wish(0.8e6), Wish(1.5e6)], [1, 2])
    ways.cut(1, 2)
    assert max(ways.missing_ms(2000).values()) <= 1.0
    ways.assert_sound()


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_of_two_failures_at_once_the_higher_priority_is_served_and_the_other_gets_the_rest(
    first: int, second: int
) -> None:
    """Whichever came first; and whoever works there has all of its power."""
    ways = charged([Wish(0.6e6, priority=1), Wish(0.8e6, priority=2), Wish(1e6)], [3])
    ways.cut(first)
    assert max(ways.missing_ms(700).values()) <= 1.0
    ways.cut(second)
    missing = ways.missing_ms(3000)
    assert missing[2] <= 1.0 and missing[BESIDE] <= 1.0 and missing[3] <= 1.0
    # A third of what circuit 1 wants is left, but for what its cushion held and losses.
    assert missing[1] == pytest.approx(2000, rel=0.1)
    assert switches(ways) == 2
    ways.assert_sound()


def test_meters_tell_the_pool_what_is_used_of_it_and_what_is_wanted() -> None:
    ways = charged([Wish(0.8e6), Wish(0.8e6), Wish(1e6)], [3])
    pool_mw = round(ways.pools["n"].received_power_w * 1000)
    told = []
    for failures in ((), (1,), (2,)):
        ways.cut(*failures)
        ways.run_ms(500)
        books = meters_to_pb(ways.network.nodes["n"].device, ways.network.now_ns)
        lines = {link.link_id: link for link in books.links}
        assert not lines["m-n"].pool_mw and lines["n-t"].pool_mw == pool_mw
        told.append((lines["n-t"].pool_used_mw, lines["n-t"].pool_wanted_mw))
    (nothing, one, two) = told
    assert nothing == (0, 0)
    assert one == pytest.approx((0.8 * pool_mw, 0.8 * pool_mw), rel=0.01)
    assert two == pytest.approx((pool_mw, 1.6 * pool_mw), rel=0.01)


def test_what_does_not_fit_is_missing_for_a_fault_and_makes_no_sink_swing() -> None:
    ways = charged([Wish(0.8e6), Wish(0.8e6), Wish(1e6)], [3])
    ways.cut(1, 2)
    ways.run_ms(6000)
    assert switches(ways) == 2
    promises = ways.network.nodes[SINK].device.books.promises
    energy = promises[2].energy()
    assert energy.fault_mj > 0 and energy.curtailment_mj == 0 and energy.move_mj == 0
    starved = {
        status.key.circuit_id
        for _, status in ways.network.nodes[SINK].statuses
        if status.state is FlowState.STARVED
    }
    assert starved == {2}


def test_who_comes_first_goes_first_when_its_turn_comes_and_the_rest_again_after_it() -> None:
    ways = charged([Wish(1e6), Wish(1e6, priority=5)], [1])
    ways.cut(1)
    ways.run_ms(500)
    ways.cut(2)
    ways.run_ms(500)
    for circuit_id in (2, 1):
        assert ways.missing_ms(500)[circuit_id] <= 1.0
        keys = [CircuitGeneration(circuit_id, 2)]
        for name in ("t", "n", "m", "s"):
            ways.network.withdraw(name, *keys)
        ways.run_ms(500)
    ways.assert_sound()


def test_a_standby_whose_way_is_broken_too_keeps_nobody_else_waiting() -> None:
    """Circuit 1 has the higher priority, and nothing comes to it at the line that both share."""
    ways = charged([Wish(1e6, priority=5), Wish(1e6)], [1])
    ways.network.withdraw("s", CircuitGeneration(1, 2))
    ways.run_ms(50)
    ways.cut(1, 2)
    ways.run_ms(1000)
    assert ways.missing_ms(1000)[2] <= 1.0
    ways.assert_sound()


def test_without_a_pool_nothing_of_a_shared_standby_flows_until_there_is_one() -> None:
    ways = charged([MEGAWATT], [1])
    pool = ways.pools["m"]
    for power_w in (0.0, pool.received_power_w):
        ways.stage("m", 1000 + int(power_w), [], [type(pool)(pool.link_id, power_w)])
        ways.network.commit("m", 1000 + int(power_w))
        ways.cut(1)
        ways.run_ms(1500)
        served = ways.missing_ms(300)[1]
        assert served == pytest.approx(0.0 if power_w else 300.0, abs=1.0)
    ways.assert_sound()


def test_a_promoted_generation_is_held_to_no_pool() -> None:
    ways = charged([MEGAWATT, MEGAWATT], [1])
    ways.cut(1)
    ways.run_ms(300)
    for name in ("t", "n", "m", "s"):
        ways.network.promote(name, CircuitGeneration(1, 2))
    none = [type(pool)(pool.link_id, 0.0) for pool in ways.pools.values()]
    for name, pool in zip(ways.pools, none, strict=True):
        ways.stage(name, 2000, [], [pool])
        ways.network.commit(name, 2000)
    assert ways.missing_ms(1000)[1] <= 1.0
    ways.cut(2)
    missing = ways.missing_ms(1000)
    assert missing[1] <= 1.0 and missing[2] >= 800.0
    ways.assert_sound()


def test_a_router_that_restarts_lets_nothing_through_until_it_is_told_again() -> None:
    ways = charged([MEGAWATT, MEGAWATT], [1])
    ways.network.kill("m")
    ways.run_ms(20)
    ways.network.restart("m")
    table = ways.network.nodes["m"].device.table
    assert not table.hops and not table.pools.told
    ways.run_ms(300)
    ways.restored("m")
    assert table.pools.told == [ways.pools["m"]]
    ways.run_ms(CHARGED_MS)
    ways.cut(2)
    assert max(ways.missing_ms(1000).values()) <= 1.0
    ways.assert_sound()


@pytest.mark.parametrize("seed", range(6))
def test_random_failures_keep_every_pool_and_whoever_works(seed: int) -> None:
    """At random instants, with powers, priorities and pools drawn anew; up to all of them at once."""
    draw = random.Random(seed)
    wishes = [
        Wish(draw.uniform(0.2e6, 2e6), draw.randrange(3)) for _ in range(draw.randrange(2, 6))
    ]
    pooled = draw.sample(range(1, len(wishes) + 1), draw.randrange(1, len(wishes)))
    ways = SharedWays(wishes, pooled)
    ways.run_ms(CHARGED_MS)
    for number in draw.sample(range(1, len(wishes) + 1), draw.randrange(2, len(wishes) + 1)):
        ways.cut(number)
        missing = ways.missing_ms(draw.choice([1, 20, 170, 600]))
        assert missing[BESIDE] <= 1.0
    ways.network.run(500 * NS_PER_MS)
    ways.assert_sound()
    # Nobody waits for room that is there.
    wanted_w = sum(
        min(flow.demand_w, flow.hop.received_power_w)
        for flow in ways.network.nodes["n"].device.flows
        if flow.hop.shared_standby
    )
    full_w = min(wanted_w, ways.pools["n"].received_power_w)
    assert ways.active_w("n") == pytest.approx(full_w, rel=0.02)
