"""A circuit moves to a newer generation, also after its sink has switched, and its load feels nothing."""

import pytest

from digitalgrid.model import FlowState, SwitchCause
from tests.support.missing_energy import LOAD, TwoWays
from tests.support.protected_ways import (
    STANDBY,
    TRICKLE,
    WORKING,
    demanded,
    news,
    protected,
    switches,
)


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
