"""A router's converter: never more than its through-power, shared by the rule for shortages; its curve is billed."""

from dataclasses import replace
from itertools import count

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from digitalgrid.model import CircuitGeneration
from digitalgrid.profiles import DeviceProfile
from digitalgrid.units import MILLIJOULES_PER_J, NS_PER_MS, NS_PER_S
from router_agent.config import RouterConfig
from router_agent.device.conversion import Conversion
from tests.support.device_network import DeviceNetwork, circuit_hops, router

CURVE = ((0.0, 0.9), (0.2, 0.96), (0.6, 0.98), (1.0, 0.95))


class Line:
    """a - b - c, with circuits from a to c; ``profile`` is that of b."""

    def __init__(self, profile: DeviceProfile, efficiency: float = 0.97) -> None:
        joined = {"a": [("ab", "b")], "b": [("ab", "a"), ("bc", "c")], "c": [("bc", "b")]}
        self.configs: dict[str, RouterConfig] = {
            name: router(name, *links) for name, links in joined.items()
        }
        self.configs["b"] = replace(self.configs["b"], profile=profile, efficiency=efficiency)
        self.network = DeviceNetwork(list(self.configs.values()))
        self.network.run(300 * NS_PER_MS)
        self._reserved_a: dict[tuple[str, str], float] = {}
        self._txn_ids = count(1)

    def program(self, number: int, power_w: float, priority: int = 0, floor_w: float = 0.0) -> None:
        path = list(self.configs.values())
        key = CircuitGeneration(number, 1)
        hops = circuit_hops(key, number, path, power_w, self._reserved_a)
        of_priority = {
            name: msgspec.structs.replace(hop, priority=priority, floor_w=floor_w)
            for name, hop in hops.items()
        }
        assert self.network.program(of_priority, next(self._txn_ids))

    def converted_mj(self) -> int:
        """What has passed b's converter by now."""
        books = self.network.nodes["b"].device.read_books(self.network.now_ns)
        return books.links["bc"].sent_mj + books.converter_loss_mj

    def delivered_w(self, number: int) -> float:
        """Over the last second."""
        device = self.network.nodes["c"].device
        key = CircuitGeneration(number, 1)
        before_mj = device.read_books(self.network.now_ns).circuits[key].delivered_mj
        self.network.run(NS_PER_S)
        after_mj = device.read_books(self.network.now_ns).circuits[key].delivered_mj
        return (after_mj - before_mj) / MILLIJOULES_PER_J

    def assert_balanced(self) -> None:
        for node in self.network.nodes.values():
            assert node.device.read_books(self.network.now_ns).imbalance_mj() == 0
            assert node.device.fault() == ""


def test_a_converter_takes_no_more_than_its_through_power_at_any_time_and_says_how_often() -> None:
    line = Line(DeviceProfile("small", max_through_w=1e6))
    for number in (1, 2):
        line.program(number, 0.8e6)
    before_mj = line.converted_mj()
    for step in range(1, 300):
        line.network.run(10 * NS_PER_MS)
        most_mj = 1e6 * 0.01 * step * MILLIJOULES_PER_J
        assert line.converted_mj() - before_mj <= most_mj * (1 + 1e-9) + 2 * step
    books = line.network.nodes["b"].device.books
    assert books.through_power_clamped_instants > 0
    assert line.delivered_w(1) == pytest.approx(0.8e6, rel=1e-3)
    assert 0.0 < line.delivered_w(2) < 0.2e6
    line.assert_balanced()


def test_a_converter_that_is_short_serves_floors_first_and_then_by_priority() -> None:
    line = Line(DeviceProfile("small", max_through_w=1e6))
    line.program(1, 0.6e6, priority=0, floor_w=0.2e6)
    line.program(2, 0.6e6, priority=5)
    line.network.run(3 * NS_PER_S)
    assert line.delivered_w(2) == pytest.approx(0.6e6, rel=1e-3)
    assert 0.2e6 <= line.delivered_w(1) < 0.4e6
    line.assert_balanced()


def test_nobody_who_fits_is_clamped() -> None:
    line = Line(DeviceProfile("enough", max_through_w=2e6))
    for number in (1, 2):
        line.program(number, 0.9e6)
    line.network.run(3 * NS_PER_S)
    assert line.network.nodes["b"].device.books.through_power_clamped_instants == 0
    assert line.delivered_w(2) == pytest.approx(0.9e6, rel=1e-6)


def test_energy_is_converted_along_the_curve_and_less_is_drawn_than_was_reserved() -> None:
    curved = DeviceProfile("curved", max_through_w=2e6, efficiency_curve=CURVE)
    drawn = {}
    for name, profile in (("constant", DeviceProfile("constant")), ("curve", curved)):
        line = Line(profile, efficiency=0.9)
        line.program(1, 0.9e6)
        line.network.run(3 * NS_PER_S)
        before = line.converted_mj(), line.network.nodes["b"].device.books.converter_loss_mj
        line.network.run(10 * NS_PER_S)
        after = line.converted_mj(), line.network.nodes["b"].device.books.converter_loss_mj
        converted, lost = (now - then for now, then in zip(after, before, strict=True))
        efficiency = 1.0 - lost / converted
        share = converted / (10 * MILLIJOULES_PER_J) / 2e6
        if name == "curve":
            assert efficiency == pytest.approx(curved.efficiency_at(share * 2e6, 0.0), abs=1e-4)
        else:
            assert efficiency == pytest.approx(0.9, abs=1e-6)
        assert line.network.nodes["b"].device.books.max_formula_deviation_mj <= 1.0
        assert line.delivered_w(1) == pytest.approx(0.9e6, rel=1e-6)
        drawn[name] = line.network.nodes["a"].device.books.injected_mj["pv-a"]
        line.assert_balanced()
    assert drawn["curve"] < 0.95 * drawn["constant"]


@settings(max_examples=200)
@given(st.floats(0.0, 2e6))
def test_what_enters_at_the_efficiency_found_leaves_as_was_asked(leaving_w: float) -> None:
    profile = DeviceProfile("curved", max_through_w=2e6, efficiency_curve=CURVE)
    conversion = Conversion(0.9, profile)
    conversion.carry(leaving_w)
    entering_w = leaving_w / conversion.efficiency
    assert conversion.efficiency >= 0.9
    at_load = max(0.9, profile.efficiency_at(entering_w, 0.9))
    assert conversion.efficiency == pytest.approx(at_load, abs=1e-6)
