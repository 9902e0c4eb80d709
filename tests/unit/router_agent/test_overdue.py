"""A sink waits for what its neighbour is late with, while that costs its load nothing: who is late may hang as well."""

import random

import pytest

from digitalgrid.model import SwitchCause
from digitalgrid.units import NS_PER_MS
from tests.support.missing_energy import LOAD, TwoWays
from tests.support.protected_ways import demanded, protected, switches

# Of who works, who hangs and who is late, the router next to the load, and the one before it.
NEIGHBOR, ABOVE = -2, -3
NOTHING = [pytest.approx(0.0, abs=1.0)]


def stands_still(ways: TwoWays, position: int, duration_ms: int) -> None:
    ways.network.stand_still(ways.ways[0][position], duration_ms * NS_PER_MS)


@pytest.mark.parametrize("held_up_ms", [1500, 4000, 60_000])
@pytest.mark.parametrize(("lines", "tick_ms"), [(2, 200), (3, 100), (5, 20)])
def test_a_neighbor_that_hangs_is_left_before_the_load_misses_anything(
    lines: int, tick_ms: int, held_up_ms: int
) -> None:
    """Its process says for seconds that it is late."""
    ways = protected(lines, tick_ms=tick_ms)
    stands_still(ways, NEIGHBOR, held_up_ms)
    assert ways.missing_ms(8000) == NOTHING
    assert [each.switch_cause for _, each in switches(ways)] == [SwitchCause.POWER_MISSED]
    assert demanded(ways) == {2}
    ways.assert_sound()


def test_circuits_that_wait_for_one_neighbor_all_leave_it() -> None:
    """A wait that is too short for whole millijoules is none."""
    ways = protected(circuits=4)
    stands_still(ways, NEIGHBOR, 60_000)
    ways.run_ms(1000)
    assert [demanded(ways, circuit_id) for circuit_id in range(1, 5)] == [{2}] * 4
    ways.assert_sound()


@pytest.mark.parametrize("held_up_ms", [200, 300, 400, 500, 600])
def test_a_neighbor_that_gets_no_time_for_a_while_costs_the_load_nothing(held_up_ms: int) -> None:
    ways = protected()
    stands_still(ways, NEIGHBOR, held_up_ms)
    assert ways.missing_ms(4000) == NOTHING
    assert len(switches(ways)) <= 1
    ways.assert_sound()


@pytest.mark.parametrize(
    ("stalled_ms", "back_ms"), [(140, 500), (140, 1500), (300, 500), (300, 3000), (1000, 3000)]
)
@pytest.mark.parametrize("fault", ["hangs", "is killed"])
def test_that_a_neighbor_was_late_hides_no_fault_above_it(
    fault: str, stalled_ms: int, back_ms: int
) -> None:
    ways = protected()
    stands_still(ways, NEIGHBOR, stalled_ms)
    assert ways.missing_ms(stalled_ms + back_ms) == NOTHING
    if fault == "hangs":
        stands_still(ways, ABOVE, 60_000)
    else:
        ways.network.kill(ways.ways[0][ABOVE])
    assert ways.missing_ms(8000) == NOTHING
    assert demanded(ways) == {2} and len(switches(ways)) == 1
    ways.assert_sound()


def test_a_line_that_loses_half_is_left_though_its_neighbor_is_late() -> None:
    """Each packet that comes in is followed by one that does not."""
    ways = protected()
    for step in range(150):
        if step % 4 == 0:
            stands_still(ways, NEIGHBOR, 140)
        ways.network.silence(ways.link(0, 2), ways.ways[0][NEIGHBOR])
        assert ways.missing_ms(90) == NOTHING
        ways.network.heal(ways.link(0, 2))
        assert ways.missing_ms(110) == NOTHING
    assert [each.switch_cause for _, each in switches(ways)] == [SwitchCause.POWER_MISSED]
    ways.assert_sound()


@pytest.mark.parametrize("fault", ["silence", "kill"])
def test_a_neighbor_that_is_heard_no_more_is_not_waited_for_because_it_was_late(
    fault: str,
) -> None:
    ways = protected()
    late = ways.ways[0][NEIGHBOR]
    for _ in range(5):
        stands_still(ways, NEIGHBOR, 140)
        ways.run_ms(200)
    match fault:
        case "silence":
            ways.network.silence(ways.link(0, 2))
        case "kill":
            ways.network.kill(late)
    assert ways.missing_ms(3000) == NOTHING
    ((_, switched),) = switches(ways)
    assert switched.switch_cause is SwitchCause.POWER_MISSED
    ways.assert_sound()


@pytest.mark.parametrize("lines", [3, 5])
def test_routers_that_are_late_all_the_time_switch_nothing(lines: int) -> None:
    """As on a machine that all of them share, with more to do than it can: later than buffers last."""
    ways, draw = protected(lines, seed=lines), random.Random(lines)

    def late() -> int:
        return round(draw.uniform(50, 250) * NS_PER_MS)

    ways.network.late_by.update(dict.fromkeys(ways.network.nodes, late))
    assert ways.missing_ms(15_000) == NOTHING
    assert switches(ways) == []
    ways.assert_sound()


def test_what_the_neighbor_has_not_sent_yet_is_late_and_not_missed() -> None:
    """What the load lacks meanwhile its standby lends."""
    ways = protected()
    flow, standby = ways.network.nodes[LOAD].device.flows
    charge_mj = standby.buffer_mj
    stands_still(ways, NEIGHBOR, 220)
    assert ways.missing_ms(220) == NOTHING
    assert flow.buffer_mj == 0 and standby.buffer_mj < charge_mj
    assert ways.missing_ms(3000) == NOTHING
    assert switches(ways) == [] and demanded(ways) == {1}
    ways.assert_sound()


def test_that_a_neighbor_may_be_late_again_is_no_reason_to_wait() -> None:
    """It says so for ten seconds, with every hello: its line has patience, and the load has not."""
    ways = protected()
    stands_still(ways, NEIGHBOR, 140)
    ways.run_ms(4000)
    (line,) = (flow.ingress for flow in ways.network.nodes[LOAD].device.flows if flow.demand_w)
    assert line is not None
    now_ns = ways.network.now_ns
    assert line.told_late_ns(now_ns, ways.configs[LOAD].dead_ns) == 0
    ways.network.silence(ways.link(0, 2))
    assert ways.missing_ms(3000) == NOTHING
    ways.assert_sound()
