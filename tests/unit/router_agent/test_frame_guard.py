"""What a line cannot carry is not believed, and what it can is."""

import pytest

from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS, NS_PER_S
from digitalgrid.wire import DemandRecord, Frame, PowerRecord
from router_agent.config import LinkConfig, RouterConfig
from router_agent.device.frame_guard import SLACK_NS, FrameGuard, ImplausibleFrameError

KEY = CircuitGeneration(7, 1)
# 10 A at 1 kV.
CAPACITY_MW = 10_000_000
BURST_MJ = 1.01 * CAPACITY_MW * (SLACK_NS + 100 * NS_PER_MS + 170 * NS_PER_MS) / NS_PER_S


def guard() -> FrameGuard:
    link = LinkConfig(
        id="ab", neighbor="b", interface="ab", ampacity_a=10.0, voltage_v=1e3, resistance_ohm=5.0
    )
    return FrameGuard(link, RouterConfig(router_id="a", links=(link,)), start_ns=0)


def frame(
    total_mj: int, received_mj: int = 0, loss_mj: int = 0, grant_mw: int = 0, demand_mw: int = 0
) -> Frame:
    power = (PowerRecord(KEY, received_mj, loss_mj, grant_mw, False),)
    return Frame(1, 2, 3, 4, 5, 0, 0, total_mj, 0, 1, power, (DemandRecord(KEY, demand_mw),))


def test_what_was_sent_and_did_not_arrive_is_lost() -> None:
    assert guard().lost_mj(frame(1500, 400), 1000, first=False, now_ns=0) == 100


def test_a_full_line_is_believed_for_ever() -> None:
    bounds, total_mj = guard(), 0
    for tick in range(1, 10_000):
        total_mj += CAPACITY_MW // 10
        arrived = frame(total_mj, CAPACITY_MW // 10, grant_mw=CAPACITY_MW)
        before_mj = total_mj - CAPACITY_MW // 10
        assert bounds.lost_mj(arrived, before_mj, False, tick * 100 * NS_PER_MS) == 0


def test_more_than_the_line_carries_is_not_believed_until_time_has_passed() -> None:
    bounds = guard()
    most_mj = int(BURST_MJ)
    assert bounds.lost_mj(frame(most_mj, most_mj), 0, False, 0) == 0
    more = frame(most_mj + CAPACITY_MW, CAPACITY_MW)
    with pytest.raises(ImplausibleFrameError, match="can have carried"):
        bounds.lost_mj(more, most_mj, False, 0)
    assert bounds.lost_mj(more, most_mj, False, NS_PER_S) == 0


def test_a_total_falls_only_where_an_adjacency_begins() -> None:
    with pytest.raises(ImplausibleFrameError, match="running total is 5"):
        guard().lost_mj(frame(5), 1000, first=False, now_ns=0)
    assert guard().lost_mj(frame(5), 1000, first=True, now_ns=0) is None


def test_a_total_beyond_belief_begins_the_count_anew_and_books_nothing() -> None:
    bounds = guard()
    assert bounds.lost_mj(frame(MAX_INT64), 1000, first=True, now_ns=0) is None
    with pytest.raises(ImplausibleFrameError):
        bounds.lost_mj(frame(MAX_INT64, MAX_INT64), 0, first=True, now_ns=0)


def test_a_meter_that_is_full_still_lets_energy_arrive() -> None:
    assert guard().lost_mj(frame(MAX_INT64, 500), MAX_INT64, first=False, now_ns=0) == 0


@pytest.mark.parametrize("beyond", [10_200_000, MAX_INT64])
def test_rates_beyond_the_line_are_clamped_and_others_left_alone(beyond: int) -> None:
    bounds, most_mw = guard(), 10_100_004
    clamped = bounds.clamped(frame(100, 100, grant_mw=beyond, demand_mw=beyond))
    assert clamped == frame(100, 100, grant_mw=most_mw, demand_mw=most_mw)
    asks = frame(100, 100, grant_mw=5, demand_mw=beyond)
    assert bounds.clamped(asks) == frame(100, 100, grant_mw=5, demand_mw=most_mw)
    within = frame(100, 100, grant_mw=CAPACITY_MW, demand_mw=CAPACITY_MW)
    assert bounds.clamped(within) is within


def test_what_the_far_end_says_of_its_losses_refuses_nothing() -> None:
    """Its resistance may be another than this end's; nothing is computed from it."""
    assert guard().lost_mj(frame(100_000, 100_000, loss_mj=MAX_INT64), 0, False, 0) == 0


@pytest.mark.parametrize("frames", [1, 300])
def test_all_that_a_line_carried_in_a_long_silence_is_believed(frames: int) -> None:
    """A machine that stood still for half a minute: its routers come back together, and nobody is dead."""
    bounds, total_mj, now_ns = guard(), 0, 30 * NS_PER_S
    for _ in range(frames):
        energy_mj, before_mj = CAPACITY_MW * 30 // frames, total_mj
        total_mj += energy_mj
        now_ns += 20_000
        assert bounds.lost_mj(frame(total_mj, energy_mj), before_mj, False, now_ns) == 0


def test_a_silence_is_no_credit_for_ever() -> None:
    bounds = guard()
    assert bounds.lost_mj(frame(0), 0, False, 30 * NS_PER_S) == 0
    for tick in range(1, 400):
        bounds.lost_mj(frame(0), 0, False, 30 * NS_PER_S + tick * 100 * NS_PER_MS)
    too_much_mj = int(BURST_MJ) + CAPACITY_MW // 5
    with pytest.raises(ImplausibleFrameError):
        bounds.lost_mj(frame(too_much_mj, too_much_mj), 0, False, 70 * NS_PER_S)
