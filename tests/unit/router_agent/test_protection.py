"""A sink selects among its circuit's generations: loads feel no single fault, and books balance."""

import itertools
import random

import pytest

from digitalgrid.model import FlowState, ResultCode, SwitchCause
from tests.support.missing_energy import LOAD, SOURCE, TwoWays
from tests.support.protected_ways import (
    DEAD_MS,
    STANDBY,
    TRICKLE,
    WORKING,
    demanded,
    news,
    protected,
    switches,
)


class TestFaults:
    @pytest.mark.parametrize("delay_us", [200, 1000, 3000])
    @pytest.mark.parametrize(("lines", "tick_ms"), [(2, 200), (3, 100), (5, 20)])
    @pytest.mark.parametrize("fault", ["cut", "silence", "kill"])
    def test_after_any_single_fault_the_load_misses_nothing(
        self, fault: str, lines: int, tick_ms: int, delay_us: int
    ) -> None:
        draw = random.Random(f"{fault} {lines} {delay_us}")
        ways = protected(lines, seed=lines, tick_ms=tick_ms, delay_ns=delay_us * 1000)
        assert ways.network.nodes[LOAD].device.flows[1].charged
        match fault:
            case "cut":
                ways.network.cut(ways.link(0, draw.randrange(lines)))
            case "silence":
                ways.network.silence(ways.link(0, draw.randrange(lines)))
            case "kill":
                ways.network.kill(ways.ways[0][draw.randrange(1, lines)])
        (missing,) = ways.missing_ms(30 * tick_ms)
        assert missing <= 1.0
        assert demanded(ways) == {2}
        ((_, switched),) = switches(ways)
        assert switched.key == STANDBY
        assert switched.switch_cause in (SwitchCause.GRANT_LOST, SwitchCause.POWER_MISSED)
        ways.assert_sound()

    def test_a_hundred_circuits_on_a_cut_line_switch_at_once(self) -> None:
        ways = protected(2, circuits=100)
        ways.network.cut(ways.link(0, 0))
        began_ns = ways.network.now_ns
        assert max(ways.missing_ms(1500)) <= 1.0
        assert {at_ns - began_ns for at_ns, _ in switches(ways)} == {200_000}
        assert len(switches(ways)) == 100
        ways.assert_sound()

    def test_a_source_that_gives_nothing_any_more_is_left_and_one_that_gives_less_is_not(
        self,
    ) -> None:
        ways = protected()
        device = ways.network.nodes[SOURCE].device
        for limit_w, left in ((0.5e6, False), (200e6, False), (0.0, True)):
            effects = device.source_limit(f"pv-{SOURCE}", limit_w, ways.network.now_ns)
            ways.network.carry_out(SOURCE, effects)
            ways.run_ms(100)
            assert bool(switches(ways)) is left

    def test_a_load_that_is_unplugged_and_plugged_in_again_is_no_reason_to_switch(self) -> None:
        ways = protected()
        device = ways.network.nodes[LOAD].device
        for share in (0.0, 1.0):
            effects = device.load_limit(f"town-{LOAD}", share, ways.network.now_ns)
            ways.network.carry_out(LOAD, effects)
            ways.run_ms(3000)
            assert demanded(ways) == ({1} if share else set())
        assert not switches(ways)
        ways.network.cut(ways.link(0, 1))
        ways.run_ms(1000)
        assert demanded(ways) == {2}, "and then it is protected as before"
        ways.assert_sound()

    def test_a_switch_is_sticky_when_the_line_is_back(self) -> None:
        ways = protected()
        ways.network.cut(ways.link(0, 1))
        ways.run_ms(1000)
        ways.network.restore(ways.link(0, 1))
        assert ways.missing_ms(10_000) == [pytest.approx(0.0, abs=0.01)]
        assert demanded(ways) == {2} and len(switches(ways)) == 1

    def test_the_way_back_costs_nothing(self) -> None:
        """The generation that was left keeps its cushion, and fills up again."""
        ways = protected()
        ways.network.cut(ways.link(0, 1))
        ways.run_ms(1000)
        ways.network.restore(ways.link(0, 1))
        ways.run_ms(6000)
        ways.network.cut(ways.link(1, 1))
        assert ways.missing_ms(3000) == [pytest.approx(0.0, abs=1.0)]
        assert demanded(ways) == {1}
        assert [each.switch_cause for _, each in switches(ways)] == [
            SwitchCause.GRANT_LOST,
            SwitchCause.OTHER_LOST,
        ]
        ways.assert_sound()

    def test_while_a_standby_is_replaced_the_one_that_is_full_is_selected(self) -> None:
        ways = protected()
        ways.program(3, 1, standby=True, trickle=TRICKLE)
        ways.run_ms(20)
        ways.network.cut(ways.link(0, 1))
        assert ways.missing_ms(3000) == [pytest.approx(0.0, abs=1.0)]
        assert demanded(ways) == {2} and len(switches(ways)) == 1
        ways.assert_sound()

    @pytest.mark.parametrize("late_ms", [130, 150])
    def test_a_standby_whose_routers_are_late_is_helped_out_by_what_is_left_of_the_other(
        self, late_ms: int
    ) -> None:
        """No load is dark while its router holds energy of its circuit."""
        ways = protected()
        ways.network.cut(ways.link(0, 1))
        ways.run_ms(5)
        late = ways.ways[1][-2]
        ways.network.delay_to[late] = ways.network.now_ns + late_ms * 10**6
        assert ways.missing_ms(3000) == [pytest.approx(0.0, abs=0.01)]
        assert demanded(ways) == {2} and len(switches(ways)) == 1
        ways.assert_sound()

    def test_what_was_just_selected_keeps_nothing_back_while_its_grant_is_late(self) -> None:
        """All that it was granted so far is its trickle, by which it still fills, and which is no rate to go on at."""
        ways = TwoWays(3)
        ways.program(1, 0, trickle=TRICKLE)
        ways.run_ms(4000)
        ways.program(2, 1, standby=True, trickle=TRICKLE)
        ways.run_ms(800)
        late = ways.ways[1][-2]
        ways.network.delay_to[late] = ways.network.now_ns + 600 * 10**6
        ways.network.cut(ways.link(0, 1))
        ways.run_ms(5)
        ways.network.withdraw(LOAD, WORKING, promise_stands=True)
        missing_ms = 0.0
        while missing_ms < 1.0 and ways.network.now_ns < ways.network.delay_to[late]:
            missing_ms += sum(ways.missing_ms(5))
        sink = ways.network.nodes[LOAD].device
        assert missing_ms >= 1.0, "the load went dark while its grant was late"
        assert sum(flow.buffer_mj for flow in sink.flows) / ways.power_w <= 1.0

    @pytest.mark.parametrize("way", [0, 1])
    @pytest.mark.parametrize("late_ms", [0, 80])
    def test_a_fault_amid_a_move_selects_the_standby_and_not_what_still_charges(
        self, way: int, late_ms: int
    ) -> None:
        """Nor is the standby left for it, in the instant in which all that it is granted is its trickle."""
        ways = protected(4)
        ways.program(3, way, trickle=TRICKLE)
        ways.run_ms(0.5)
        for name in ways.ways[1][1:-1]:
            ways.network.delay_to[name] = ways.network.now_ns + late_ms * 10**6
        ways.network.cut(ways.link(0, 3))
        assert ways.missing_ms(500) == [pytest.approx(0.0, abs=0.01)]
        assert demanded(ways) == {2} and len(switches(ways)) == 1
        assert ways.missing_ms(6000) == [pytest.approx(0.0, abs=0.01)]
        assert demanded(ways) == ({3} if way else {2})
        ways.assert_sound()

    def test_what_a_generation_holds_that_is_withdrawn_helps_whoever_serves_its_load(self) -> None:
        """A controller that is quick takes the dead way down while the standby's stream is late still."""
        ways = protected()
        ways.network.cut(ways.link(0, 1))
        ways.run_ms(130)
        ways.network.delay_to[ways.ways[1][-2]] = ways.network.now_ns + 110 * 10**6
        ways.network.withdraw(LOAD, WORKING, promise_stands=True)
        assert ways.missing_ms(3000) == [pytest.approx(0.0, abs=0.01)]
        ways.assert_sound()

    def test_with_both_ways_gone_it_tries_each_no_faster_than_three_dead_intervals(self) -> None:
        ways = protected()
        ways.network.cut(ways.link(0, 0))
        ways.run_ms(50)
        ways.network.cut(ways.link(1, 0))
        ways.run_ms(5000)
        at_ns = [each for each, _ in switches(ways)]
        assert len(at_ns) > 2
        assert min(b - a for a, b in itertools.pairwise(at_ns)) >= 3 * DEAD_MS * 10**6
        ways.network.restore(ways.link(1, 0))
        ways.run_ms(3000)
        assert ways.missing_ms(1000) == [pytest.approx(0.0, abs=0.01)]
        ways.assert_sound()

    def test_a_standby_without_trickle_is_selected_and_begins_quickly(self) -> None:
        ways = protected(trickle=0.0)
        assert FlowState.CHARGED not in [state for _, state, _ in news(ways)]
        ways.network.cut(ways.link(0, 2))
        (missing,) = ways.missing_ms(1000)
        assert missing <= 60
        assert demanded(ways) == {2}


class TestPromote:
    def test_a_promoted_standby_is_a_working_generation_and_stays_demanded(self) -> None:
        ways = protected()
        ways.network.cut(ways.link(0, 1))
        ways.run_ms(20)
        for name in ways.ways[1]:
            assert ways.network.promote(name, STANDBY).code is ResultCode.OK
        assert ways.missing_ms(1000) == [pytest.approx(0.0, abs=0.01)]
        for name in ways.ways[0]:
            ways.network.withdraw(name, WORKING)
        ways.program(3, 0 if not ways.network.cut_links else 1, standby=True, trickle=TRICKLE)
        assert ways.missing_ms(1000) == [pytest.approx(0.0, abs=0.01)]
        assert demanded(ways) == {2}
        ways.assert_sound()

    def test_promoted_while_a_silent_line_is_not_found_out_it_goes_first_at_the_source(
        self,
    ) -> None:
        ways = protected(tick_ms=20)
        ways.network.silence(ways.link(0, 2))
        while demanded(ways) == {1}:
            ways.run_ms(1)
        upstream = ways.network.nodes[ways.ways[0][2]].device
        assert upstream.lines[ways.link(0, 2)].up, "power was missed before the line was dead"
        for name in ways.ways[1]:
            ways.network.promote(name, STANDBY)
        assert ways.missing_ms(1000) == [pytest.approx(0.0, abs=0.01)]
        assert len(switches(ways)) == 1

    def test_an_unselected_standby_alone_wants_nothing(self) -> None:
        ways = protected()
        ways.network.drain(LOAD, WORKING)
        ways.run_ms(500)
        assert demanded(ways) == set()
        for name in ways.ways[0]:
            ways.network.withdraw(name, WORKING)
        ways.run_ms(500)
        assert demanded(ways) == set() and not switches(ways)
