"""A neighbour that is late is waited for; by how much longer has a bound, and what it was told or remembers an end."""

from dataclasses import replace

import pytest

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.config import RouterConfig
from router_agent.device.lateness import MAX_LATE_MS, TOLD_COUNTS_NS, ToldLateness
from router_agent.device.line import Line
from tests.support.device_network import DeviceNetwork, circuit_hops, router

POWER_W = 1e6
# Networks of up to 32 routers, and larger ones, in which states take the place of hellos.
HELLOS_MS = pytest.mark.parametrize("hello_ms", [50, 200])
# Steps in which a line is watched.
STEP_NS = 10 * NS_PER_MS
# Until whoever is woken late is at rest again.
_AWAKE_NS = NS_PER_MS


class Pair:
    """Two routers, and the line between them; ``old`` ones are of a release whose flows never stand."""

    def __init__(self, hello_ms: int, *old: str) -> None:
        self.configs = [
            self._config(hello_ms, "a", "b"),
            self._config(hello_ms, "b", "a"),
        ]
        self.dead_ns = self.configs[0].dead_ns
        self.network = DeviceNetwork(self.configs, without_marks=frozenset(old))
        self.network.run(3 * NS_PER_S)

    @staticmethod
    def _config(hello_ms: int, name: str, other: str) -> RouterConfig:
        return replace(router(name, ("ab", other)), hello_interval_ms=hello_ms)

    def line(self, name: str) -> Line:
        return self.network.nodes[name].device.lines["ab"]

    def found_after_ns(self, name: str) -> int:
        """How long it takes a router from now on to find that nothing comes any more."""
        self.network.silence("ab")
        began_ns = self.network.now_ns
        while self.line(name).up:
            assert self.network.now_ns - began_ns < 60 * NS_PER_S
            self.network.run(STEP_NS)
        return self.network.now_ns - began_ns

    def stops(self, seconds: float, *names: str) -> None:
        """They hang, and go on after that; each says that it lives for as long as any router is late."""
        for name in names:
            self.network.stand_still(name, round(seconds * NS_PER_S))
        self.network.run(round(seconds * NS_PER_S) + _AWAKE_NS)


@HELLOS_MS
@pytest.mark.parametrize("old", ["", "a", "b"])
def test_what_a_neighbor_said_of_its_lateness_delays_that_its_death_is_found_by_seconds_at_most(
    hello_ms: int, old: str
) -> None:
    pair = Pair(hello_ms, *old)
    pair.stops(4, "a")
    assert pair.line("b").up
    assert pair.dead_ns < pair.found_after_ns("b") <= TOLD_COUNTS_NS + STEP_NS


@pytest.mark.parametrize("hello_ms", [700, 1000, 2000])
def test_what_a_neighbor_said_of_its_lateness_counts_with_slow_hellos_too(hello_ms: int) -> None:
    pair = Pair(hello_ms)
    pair.network.run(10 * NS_PER_S)
    pair.stops(4, "a")
    assert pair.line("b").up
    beyond_ns = pair.found_after_ns("b") - pair.dead_ns
    assert hello_ms * NS_PER_MS < beyond_ns <= 2 * hello_ms * NS_PER_MS + STEP_NS


@HELLOS_MS
@pytest.mark.parametrize("old", ["", "a", "b"])
def test_a_neighbor_that_was_late_once_is_late_no_more_after_a_while(
    hello_ms: int, old: str
) -> None:
    pair = Pair(hello_ms, *old)
    pair.stops(4, "a")
    # It says so itself for as long as it remembers it.
    pair.network.run(25 * NS_PER_S)
    assert pair.found_after_ns("b") <= pair.dead_ns + STEP_NS


def test_states_that_say_nothing_of_lateness_keep_none_alive() -> None:
    pair = Pair(200)
    key = CircuitGeneration(1, 1)
    assert pair.network.program(circuit_hops(key, 1, pair.configs, POWER_W, {}), 1)
    pair.stops(4, "a")

    def sways() -> None:
        source = pair.network.nodes["a"].device
        for tenth in range(30):
            limit_w = POWER_W * (0.5 + 0.01 * (tenth % 10))
            pair.network.carry_out("a", source.source_limit("pv-a", limit_w, pair.network.now_ns))
            pair.network.run(100 * NS_PER_MS)

    sways()
    assert pair.found_after_ns("b") <= pair.dead_ns + STEP_NS


@HELLOS_MS
def test_who_was_held_up_itself_waits_no_longer_than_any_router_is_late(hello_ms: int) -> None:
    pair = Pair(hello_ms)
    pair.stops(4, "b")
    pair.network.run(NS_PER_S)
    assert pair.line("b").up
    most_ns = MAX_LATE_MS * NS_PER_MS + pair.dead_ns + STEP_NS
    assert 4 * NS_PER_S < pair.found_after_ns("b") <= most_ns


@HELLOS_MS
@pytest.mark.parametrize("stopped_s", [6, 60])
def test_a_router_that_was_stopped_remembers_nothing_of_it(hello_ms: int, stopped_s: int) -> None:
    pair = Pair(hello_ms)
    pair.stops(stopped_s, "b")
    pair.network.run(NS_PER_S)
    assert pair.line("b").up
    assert pair.found_after_ns("b") <= pair.dead_ns + STEP_NS


@HELLOS_MS
@pytest.mark.parametrize("stopped_s", [4, 6, 60])
def test_a_machine_that_was_stopped_with_all_its_routers_goes_on_with_its_lines(
    hello_ms: int, stopped_s: int
) -> None:
    pair = Pair(hello_ms)
    before = [pair.line(name).adjacency.discriminator for name in "ab"]
    pair.network.silence("ab")
    for name in "ab":
        pair.network.stand_still(name, stopped_s * NS_PER_S)
    pair.network.run(stopped_s * NS_PER_S - NS_PER_MS)
    pair.network.heal("ab")
    pair.network.run(3 * NS_PER_S)
    assert [pair.line(name).up for name in "ab"] == [True, True]
    assert [pair.line(name).adjacency.discriminator for name in "ab"] == before


def test_of_what_is_said_of_a_stall_that_goes_on_the_most_counts_and_for_so_long() -> None:
    told = ToldLateness(50 * NS_PER_MS, 170 * NS_PER_MS)
    told.hear(3 * NS_PER_S, 0)
    told.hear_at_least(NS_PER_S, NS_PER_S)
    assert told.after(NS_PER_S) == TOLD_COUNTS_NS - NS_PER_S
    told.hear_at_least(NS_PER_S // 2, TOLD_COUNTS_NS)
    assert told.after(TOLD_COUNTS_NS) == NS_PER_S // 2
    told.hear(0, TOLD_COUNTS_NS)
    assert told.after(TOLD_COUNTS_NS) == 0
