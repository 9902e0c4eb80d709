"""A circuit that nothing protects has power again long before its buffers are full, and never misses any after that."""

import random
from statistics import median

import pytest

from router_agent.device import energy, quick_packets
from router_agent.device.flow_states import Playout
from tests.support.missing_energy import LOAD, TwoWays

LINES = 4
GENERATIONS = (1, 2)


def cut_and_moved(tick_ms: int, seed: int, circuits: int = 1) -> tuple[TwoWays, list[float]]:
    """A line fails, at the load where nothing below it has energy left, and 10 ms later all are on the other way."""
    draw = random.Random(seed)
    ways = TwoWays(LINES, tick_ms=tick_ms, circuits=circuits)
    ways.program(1, 0)
    ways.run_ms(40 * tick_ms + 4000 + draw.uniform(0, tick_ms))
    ways.network.cut(ways.link(0, LINES - 1))
    missing = ways.missing_ms(10)
    ways.program(2, 1)
    after = ways.missing_ms(20 * tick_ms)
    return ways, [before + later for before, later in zip(missing, after, strict=True)]


@pytest.mark.parametrize(("tick_ms", "most_ms"), [(20, 100), (100, 100), (200, 150)])
def test_a_load_misses_little_and_nothing_afterwards(tick_ms: int, most_ms: float) -> None:
    missing = []
    for seed in range(3):
        ways, (of_one,) = cut_and_moved(tick_ms, seed)
        missing.append(of_one)
        # While the buffers fill, and when packets come by ticks again.
        assert ways.missing_ms(80 * tick_ms + 4000) == [pytest.approx(0.0, abs=0.001)]
        ways.assert_sound()
        assert not any(
            flow.quick or flow.fills
            for node in ways.network.nodes.values()
            for flow in node.device.flows
            if flow.key.generation == 2
        )
    assert median(missing) <= most_ms


def test_many_circuits_that_move_at_once_miss_no_more_than_one() -> None:
    ways, missing = cut_and_moved(100, seed=5, circuits=20)
    assert max(missing) <= 100
    ways.assert_sound()


def test_only_so_many_flows_of_a_router_have_short_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quick_packets, "MOST_FLOWS", 4)
    ways, missing = cut_and_moved(100, seed=5, circuits=6)
    assert len([each for each in missing if each <= 100]) == 4
    # The others hold back a tick a hop, as routers do that know nothing of short intervals.
    assert max(missing) <= LINES * 110
    ways.assert_sound()


def frames_sent(ways: TwoWays) -> int:
    books = (node.device.books for node in ways.network.nodes.values())
    return sum(link.frames_sent for each in books for link in each.links.values())


@pytest.mark.parametrize("old", ["u1", "s", LOAD])
def test_a_router_of_an_earlier_release_is_told_what_it_knows(old: str) -> None:
    ways = TwoWays(LINES, without_marks=frozenset([old]))
    ways.program(1, 0)
    ways.run_ms(LINES * 110 + 4000)
    assert ways.missing_ms(2000) == [pytest.approx(0.0, abs=0.001)]
    ways.assert_sound()


def test_frames_are_as_few_as_ever_once_buffers_are_full() -> None:
    ways = TwoWays(LINES)
    ways.program(1, 0)
    ways.run_ms(10_000)
    before = frames_sent(ways)
    ways.run_ms(1000)
    # Each end of eight lines sends a packet every 100 ms and a hello between two.
    assert frames_sent(ways) - before <= 2 * 8 * 20


def test_where_a_line_is_full_hops_keep_back_a_little_until_their_buffers_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is squeezed out of others' room, and short intervals end all the same."""
    monkeypatch.setattr(energy, "KEPT_BACK", 0.02)
    ways = TwoWays(2, ampacity_a=1e6 / 20e3 / 0.97**2 + 0.2)
    ways.program(1, 0)
    ways.run_ms(100)
    assert ways.missing_ms(9000) == [pytest.approx(0.0, abs=0.001)]
    assert ways.network.nodes[LOAD].device.flows[0].playout is Playout.FILLING
    ways.run_ms(1000)
    (kept_back,) = ways.missing_ms(12_000)
    assert 50 < kept_back < 2 * 110
    assert ways.network.nodes[LOAD].device.flows[0].playout is Playout.STEADY
    assert ways.missing_ms(2000) == [pytest.approx(0.0, abs=0.001)]
    ways.assert_sound()
