"""Standbys are charged within ten seconds, say so, and take no more than their trickle."""

import pytest

from controller.core.admission.trickle import fraction_over
from digitalgrid.model import FlowState, SwitchCause
from tests.support.missing_energy import LOAD, TwoWays
from tests.support.protected_ways import STANDBY, news, protected


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
