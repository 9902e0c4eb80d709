"""A sink whose routers are late neither switches to and fro nor lets its load go without."""

import itertools
import random

import pytest

from digitalgrid.model import SwitchCause
from tests.support.missing_energy import LOAD, TwoWays
from tests.support.protected_ways import STANDBY, TRICKLE, WORKING, demanded, protected, switches


class TestLateRouters:
    def adverts(self, ways: TwoWays) -> int:
        return sum(node.adverts for node in ways.network.nodes.values())

    @pytest.mark.parametrize("seed", range(3))
    def test_late_routers_switch_at_most_once_in_twenty_seconds(self, seed: int) -> None:
        """Each is late by 20 ms on average, again and again."""
        draw = random.Random(seed)
        ways = protected(3, seed=seed)
        for name in ways.network.nodes:
            ways.network.late_by[name] = lambda: round(draw.expovariate(1 / 20e6))
        at_ns = []
        for _ in range(160):
            before = (self.adverts(ways), len(switches(ways)))
            ways.run_ms(250)
            if self.adverts(ways) == before[0]:
                # No line was taken for dead, which is a cause.
                at_ns += [each for each, _ in switches(ways)[before[1] :]]
        assert all(b - a >= 20 * 10**9 for a, b in itertools.pairwise(at_ns))
        ways.assert_sound()

    @pytest.mark.parametrize("fault", ["silence", "kill"])
    def test_a_second_fault_within_seconds_finds_the_next_standby_while_a_line_has_leeway(
        self, fault: str
    ) -> None:
        """A router that was late is given longer than buffers last: only missed power tells of its death in time."""
        ways = protected()
        ways.network.cut(ways.link(0, 1))
        ways.run_ms(1000)
        for name in ways.ways[1]:
            ways.network.promote(name, STANDBY)
        for name in ways.ways[0]:
            ways.network.withdraw(name, WORKING)
        ways.network.restore(ways.link(0, 1))
        ways.run_ms(500)
        ways.program(3, 0, standby=True, trickle=TRICKLE)
        ways.run_ms(4000)
        late = ways.ways[1][1]
        ways.network.delay_to[late] = ways.network.now_ns + 140 * 10**6
        ways.run_ms(1000)
        assert demanded(ways) == {2}
        match fault:
            case "silence":
                ways.network.silence(ways.link(1, 1))
            case "kill":
                ways.network.kill(late)
        assert ways.missing_ms(3000) == [pytest.approx(0.0, abs=1.0)]
        assert demanded(ways) == {3}
        ways.assert_sound()

    @pytest.mark.parametrize("tick_ms", [20, 100])
    def test_sudden_lateness_costs_nothing_and_buffers_grow_with_it(self, tick_ms: int) -> None:
        draw = random.Random(tick_ms)
        ways = protected(3, tick_ms=tick_ms)
        (before,) = (each for each in ways.network.nodes[LOAD].device.flows if each.demand_w > 0.0)
        punctual_mj = before.kept_mj
        for name in ways.network.nodes:
            ways.network.late_by[name] = lambda: round(draw.expovariate(1 / 30e6))
        assert ways.missing_ms(1000) == [pytest.approx(0.0, abs=1.0)]
        (after,) = (each for each in ways.network.nodes[LOAD].device.flows if each.demand_w > 0.0)
        assert after.kept_mj > punctual_mj
        ways.network.late_by.clear()
        ways.run_ms(5000)
        # As much is there when a packet has come; until the next it goes down by a tick.
        levels_mj = []
        for _ in range(2 * tick_ms):
            ways.run_ms(1)
            levels_mj.append(after.buffer_mj)
        assert max(levels_mj) >= 0.9 * after.kept_mj
        ways.assert_sound()

    def test_two_generations_do_not_take_turns_for_missed_power(self) -> None:
        """Lines that lose for moments, none of them for so long that it is dead."""
        ways = protected()
        for _ in range(12):
            for way in (0, 1):
                ways.network.silence(ways.link(way, 2))
            ways.run_ms(100)
            for way in (0, 1):
                ways.network.heal(ways.link(way, 2))
            ways.run_ms(300)
        assert [each.switch_cause for _, each in switches(ways)] == [SwitchCause.POWER_MISSED]
        ways.assert_sound()
