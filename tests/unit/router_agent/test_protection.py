"""A sink selects among its circuit's generations: loads feel neither single faults nor moves, and books balance."""

import itertools
import random

import pytest

from controller.core.admission.trickle import fraction_over
from digitalgrid.model import CircuitGeneration, FlowState, ResultCode, SwitchCause
from router_agent.device.sink import FlowStatus
from tests.support.missing_energy import LOAD, SOURCE, TwoWays

WORKING, STANDBY = CircuitGeneration(1, 1), CircuitGeneration(1, 2)
DEAD_MS = 170
TRICKLE = 0.1


def news(ways: TwoWays) -> list[tuple[int, FlowState, SwitchCause]]:
    """What the sink has told: generations, states and causes, in order."""
    told = ways.network.nodes[LOAD].statuses
    return [(each.key.generation, each.state, each.switch_cause) for _, each in told]


def switches(ways: TwoWays) -> list[tuple[int, FlowStatus]]:
    told = ways.network.nodes[LOAD].statuses
    return [(at, each) for at, each in told if each.state is FlowState.SWITCHED]


def demanded(ways: TwoWays, circuit_id: int = 1) -> set[int]:
    return {
        flow.key.generation
        for flow in ways.network.nodes[LOAD].device.flows
        if flow.key.circuit_id == circuit_id and flow.demand_w > 0.0
    }


def protected(lines: int = 3, *, seed: int = 1, trickle: float = TRICKLE, **more: int) -> TwoWays:
    draw = random.Random(seed)
    ways = TwoWays(lines, power_w=1e6 / more.get("circuits", 1), **more)  # type: ignore[arg-type]
    tick_ms = more.get("tick_ms", 100)
    ways.program(1, 0, trickle=trickle)
    ways.run_ms(lines * 12 * tick_ms + 500)
    ways.program(2, 1, standby=True, trickle=trickle)
    ways.run_ms(lines * 12 * tick_ms + 1000 + draw.uniform(0, tick_ms))
    return ways


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


class TestMovesAfterASwitch:
    @pytest.mark.parametrize("way", [0, 1])
    def test_a_circuit_that_was_switched_long_ago_moves_without_its_standby(self, way: int) -> None:
        """What takes over is not granted yet in the instant in which it does, and is not lost for that."""
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
        ways.run_ms(2000)
        ways.program(4, way, trickle=TRICKLE)
        assert ways.missing_ms(5000) == [pytest.approx(0.0, abs=0.01)]
        assert demanded(ways) == {4} and len(switches(ways)) == 1
        ways.assert_sound()

    def test_what_has_just_taken_over_is_not_left_for_what_still_charges(self) -> None:
        """It plays what it was charged with, and all that it is granted in that instant is its trickle."""
        ways = TwoWays(3)
        ways.program(1, 0, trickle=TRICKLE)
        ways.run_ms(4000)
        ways.program(2, 1, trickle=TRICKLE)
        while demanded(ways) != {2}:
            ways.run_ms(0.2)
        ways.run_ms(0.3)
        ways.program(3, 0, trickle=TRICKLE)
        assert ways.missing_ms(300) == [pytest.approx(0.0, abs=0.01)]
        assert demanded(ways) == {2}
        assert ways.missing_ms(5000) == [pytest.approx(0.0, abs=0.01)]
        assert demanded(ways) == {3}
        ways.assert_sound()

    def test_what_took_over_and_is_cut_off_before_it_was_granted_is_left_in_the_end(self) -> None:
        ways = protected()
        ways.program(3, 0, trickle=TRICKLE)
        ways.network.cut(ways.link(0, 1))
        ways.run_ms(2000)
        assert demanded(ways) == {2}
        assert ways.missing_ms(1000) == [pytest.approx(0.0, abs=0.01)]
        ways.assert_sound()

    def test_what_takes_over_is_not_left_for_a_grant_that_comes_late(self) -> None:
        """It plays what it inherited meanwhile, and its sink reports that it is granted nothing yet."""
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
        ways.run_ms(2000)
        ways.program(4, 1, trickle=TRICKLE)
        ways.run_ms(1)
        for name in ways.ways[1][1:-1]:
            ways.network.delay_to[name] = ways.network.now_ns + 60 * 10**6
        assert ways.missing_ms(3000) == [pytest.approx(0.0, abs=1.0)]
        assert demanded(ways) == {4} and len(switches(ways)) == 1
        ways.assert_sound()


class TestCharging:
    @pytest.mark.parametrize("lines", [3, 5, 6])
    def test_a_path_at_slow_ticks_is_charged_within_ten_seconds(self, lines: int) -> None:
        ways = TwoWays(lines, tick_ms=200)
        ways.program(1, 0)
        ways.run_ms(1000)
        ways.program(2, 1, standby=True, trickle=fraction_over(lines))
        ways.run_ms(9500)
        assert (2, FlowState.CHARGED, SwitchCause.UNSPECIFIED) in news(ways)

    def test_charged_is_told_within_ten_seconds_and_again_when_it_is_no_more(self) -> None:
        ways = protected(4)
        assert (2, FlowState.CHARGED, SwitchCause.UNSPECIFIED) in news(ways)
        ways.network.cut(ways.link(1, 1))
        ways.run_ms(200)
        assert news(ways)[-1][:2] == (2, FlowState.DISCHARGED)
        ways.network.restore(ways.link(1, 1))
        ways.run_ms(2000)
        assert news(ways)[-1][:2] == (2, FlowState.CHARGED)

    def test_a_controller_that_comes_hears_what_is_selected_and_what_is_charged(self) -> None:
        ways = protected()
        device = ways.network.nodes[LOAD].device
        assert (2, FlowState.CHARGED) in [
            (each.key.generation, each.state) for each in device.statuses()
        ]
        ways.network.cut(ways.link(0, 1))
        ways.run_ms(1000)
        told = [(each.key.generation, each.state) for each in device.statuses()]
        assert told == [(2, FlowState.SWITCHED), (2, FlowState.ACTUATED)]

    def test_an_idle_generation_takes_no_more_than_its_trickle(self) -> None:
        ways = TwoWays(3)
        ways.program(1, 0)
        ways.run_ms(5000)
        ways.program(2, 1, standby=True, trickle=0.05)
        for _ in range(60):
            ways.run_ms(100)
            for name in ways.ways[1]:
                for flow in ways.network.nodes[name].device.flows:
                    if flow.key.generation == 2 and flow.ingress is not None:
                        assert flow.granted_above_w <= 1.001 * flow.hop.trickle_w
        assert ways.missing_ms(100) == [pytest.approx(0.0, abs=0.001)]
        ways.assert_sound()

    def test_a_charged_standby_that_is_retired_gives_its_cushion_to_the_load(self) -> None:
        ways = protected()
        held_mj = sum(
            flow.buffer_mj
            for node in ways.network.nodes.values()
            for flow in node.device.flows
            if flow.key == STANDBY
        )
        assert held_mj > 3 * 1e6 * 100
        ways.network.drain(LOAD, STANDBY)
        (missing,) = ways.missing_ms(5000)
        assert missing == pytest.approx(0.0, abs=0.01)
        assert (2, FlowState.DRAINED, SwitchCause.UNSPECIFIED) in news(ways)
        for name in ways.ways[1]:
            ways.network.withdraw(name, STANDBY)
            assert ways.network.nodes[name].device.books.dissipated_mj == 0
        ways.assert_sound()


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


class TestMoves:
    @pytest.mark.parametrize(("lines", "tick_ms"), [(2, 200), (3, 100), (6, 20)])
    def test_a_planned_move_costs_the_load_nothing(self, lines: int, tick_ms: int) -> None:
        ways = TwoWays(lines, tick_ms=tick_ms)
        ways.program(1, 0, trickle=TRICKLE)
        ways.run_ms(lines * 12 * tick_ms + 517)
        ways.program(2, 1, trickle=TRICKLE)
        assert ways.missing_ms(lines * 12 * tick_ms + 1000) == [pytest.approx(0.0, abs=0.01)]
        assert demanded(ways) == {2}
        ways.network.drain(LOAD, WORKING)
        assert ways.missing_ms(5000) == [pytest.approx(0.0, abs=0.01)]
        assert (1, FlowState.DRAINED, SwitchCause.UNSPECIFIED) in news(ways)
        for name in ways.ways[0]:
            ways.network.withdraw(name, WORKING)
            assert ways.network.nodes[name].device.books.dissipated_mj == 0
        assert not switches(ways)
        ways.assert_sound()

    @pytest.mark.parametrize("trickle", [0.0, TRICKLE])
    def test_on_the_same_way_the_next_generation_gets_the_buffers_of_the_last(
        self, trickle: float
    ) -> None:
        ways = TwoWays(3)
        ways.program(1, 0, trickle=trickle)
        ways.run_ms(4031)
        ways.program(2, 0, trickle=trickle)
        assert ways.missing_ms(50) == [pytest.approx(0.0, abs=0.01)]
        assert demanded(ways) == {2}, "at once: there is nothing to charge"
        assert ways.missing_ms(2000) == [pytest.approx(0.0, abs=0.01)]
        ways.assert_sound()

    def test_one_that_cannot_charge_is_taken_after_ten_seconds(self) -> None:
        ways = TwoWays(3)
        ways.program(1, 0)
        ways.run_ms(5000)
        ways.program(2, 1, trickle=1e-4)
        ways.run_ms(9900)
        assert demanded(ways) == {1}
        ways.run_ms(200)
        assert 2 in demanded(ways)
        ways.run_ms(500)
        assert ways.missing_ms(2000) == [pytest.approx(0.0, abs=0.01)]
        ways.assert_sound()

    def test_one_that_charges_is_taken_at_once_when_the_older_falls_short(self) -> None:
        ways = TwoWays(3)
        ways.program(1, 0, trickle=TRICKLE)
        ways.run_ms(5000)
        ways.program(2, 1, trickle=TRICKLE)
        ways.run_ms(1000)
        ways.network.cut(ways.link(0, 1))
        (missing,) = ways.missing_ms(3000)
        assert missing <= 60
        assert demanded(ways) == {2}
        ways.assert_sound()

    def test_where_the_newer_fails_the_older_serves_again(self) -> None:
        ways = TwoWays(3)
        ways.program(1, 0, trickle=TRICKLE)
        ways.run_ms(5000)
        ways.program(2, 1, trickle=TRICKLE)
        ways.run_ms(6000)
        assert demanded(ways) == {2}
        ways.network.cut(ways.link(1, 1))
        (missing,) = ways.missing_ms(3000)
        assert missing <= 1.0
        ways.assert_sound()
