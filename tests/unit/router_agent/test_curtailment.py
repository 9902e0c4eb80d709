"""A flow that is granted less than it asks for runs at the granted rate: less power, and no bursts."""

import itertools
from dataclasses import replace

import msgspec
import pytest

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS
from router_agent.config import RouterConfig
from tests.support.device_network import DeviceNetwork, circuit_hops, router

POWER_W = 1e6
TRICKLE = 0.1


def chain(names: str, source_w: float) -> list[RouterConfig]:
    links = ["".join(pair) for pair in itertools.pairwise(names)]
    return [
        router(
            name,
            *((link, link.replace(name, "")) for link in links if name in link),
            source_w=source_w,
            load_w=20e6,
        )
        for name in names
    ]


class Served:
    """Circuits of 1 MW each from the first router of a chain to the last."""

    def __init__(self, configs: list[RouterConfig], circuits: int) -> None:
        self.network = DeviceNetwork(configs)
        self.network.run(300 * NS_PER_MS)
        self.sink = configs[-1].router_id
        self.keys = [CircuitGeneration(number, 1) for number in range(1, circuits + 1)]
        reserved_a: dict[tuple[str, str], float] = {}
        for seq, key in enumerate(self.keys, 1):
            assert self.network.program(circuit_hops(key, seq, configs, POWER_W, reserved_a), seq)

    def delivered_mj(self) -> list[int]:
        books = self.network.nodes[self.sink].device.read_books(self.network.now_ns)
        return [books.circuits[key].delivered_mj for key in self.keys]

    def shares(self, milliseconds: int) -> list[list[float]]:
        """What each circuit gets of its power, in every millisecond."""
        readings = [self.delivered_mj()]
        for _ in range(milliseconds):
            self.network.run(NS_PER_MS)
            readings.append(self.delivered_mj())
        return [
            [(after - before) / POWER_W for before, after in itertools.pairwise(of_one)]
            for of_one in zip(*readings, strict=True)
        ]

    def assert_sound(self) -> None:
        for node in self.network.nodes.values():
            assert node.device.fault() == ""
            assert node.device.books.oversubscribed_instants == 0


def assert_steady(shares: list[float]) -> None:
    """No more than a few millijoules of rounding between the least and the most."""
    assert max(shares) - min(shares) <= 1e-3 * max(shares) + 3 / POWER_W


@pytest.mark.parametrize("routers", ["ab", "abcd"])
def test_ten_circuits_on_a_source_at_sixty_percent_get_a_steady_rate(routers: str) -> None:
    served = Served(chain(routers, source_w=6e6), circuits=10)
    served.network.run(2000 * NS_PER_MS)
    shares = served.shares(milliseconds=1000)
    for of_one in shares:
        assert_steady(of_one)
    assert any(0.01 < of_one[0] < 0.99 for of_one in shares), "one of them gets a part"
    served.assert_sound()


@pytest.mark.parametrize("routers", ["ab", "abcd"])
@pytest.mark.parametrize("left", [0.05, 0.14, 0.3])
def test_a_source_that_has_no_more_than_its_trickle_left_gives_a_steady_rate(
    routers: str, left: float
) -> None:
    """So little may also be what it was filled by before it was demanded: the source says that it is all."""
    configs = chain(routers, source_w=2e6)
    served = Served(configs, circuits=0)
    network = served.network
    served.keys = [key] = [CircuitGeneration(1, 1)]
    limits = network.nodes["a"].device.source_limit("pv-a", left * POWER_W, network.now_ns)
    network.carry_out("a", limits)
    hops = circuit_hops(key, 1, configs, POWER_W, {})
    trickling = {
        name: msgspec.structs.replace(hop, trickle_w=TRICKLE * hop.received_power_w)
        for name, hop in hops.items()
    }
    assert network.program(trickling, 1)
    network.run(4000 * NS_PER_MS)
    (shares,) = served.shares(milliseconds=500)
    assert_steady(shares)
    assert 0.8 * left < shares[0] < left
    served.assert_sound()


def test_a_line_that_carries_less_than_was_reserved_gives_a_steady_rate() -> None:
    a, b, c = chain("abc", source_w=15e6)
    lowered = tuple(replace(link, ampacity_a=120.0) for link in b.links)
    served = Served([a, replace(b, links=lowered), c], circuits=4)
    served.network.run(2000 * NS_PER_MS)
    shares = served.shares(milliseconds=500)
    for of_one in shares:
        assert_steady(of_one)
    assert any(0.01 < of_one[0] < 0.99 for of_one in shares), "one of them gets a part"
    served.assert_sound()


def test_a_router_that_is_late_now_and_then_makes_no_gap_in_what_is_left() -> None:
    served = Served(chain("abc", source_w=6e6), circuits=6)
    served.network.run(2000 * NS_PER_MS)
    for _ in range(10):
        network = served.network
        network.delay_to["b"] = network.now_ns + 4 * NS_PER_MS
        network.run(137 * NS_PER_MS)
    for of_one in served.shares(milliseconds=300):
        assert_steady(of_one)
    served.assert_sound()
