"""Where rates are found of some flows only, the others would be found to have those that they have."""

from collections.abc import Callable, Sequence

import pytest

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS
from router_agent.device import rates
from router_agent.device.conversion import Conversion
from router_agent.device.flow import Flow
from router_agent.device.shared_standbys import Limits
from tests.property.router_agent.test_standing import QUIET_MS, Pair
from tests.property.test_router_device import PATHS

_RATES = (
    "demand_w",
    "accepted_w",
    "need_w",
    "asked_w",
    "ingress_w",
    "granted_w",
    "limited",
    "surplus_w",
    "surplus_need_w",
    "surplus_ingress_w",
    "before_a",
    "playout",
)


def rates_of(flows: Sequence[Flow]) -> list[tuple[object, ...]]:
    return [tuple(getattr(flow, name) for name in _RATES) for flow in flows]


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Of each settlement how many rates were found, and of how many; all are found once more, and compared of those
    that stayed as they were.
    """
    seen: list[tuple[int, int]] = []
    settle = rates.settle

    def checked(
        flows: Sequence[Flow],
        limits: Limits,
        conversion: Conversion,
        demand: Callable[[Sequence[Flow]], None],
    ) -> rates.Settlement:
        settlement = settle(flows, limits, conversion, demand)
        stay = [flow for flow in flows if flow.settled]
        known = rates_of(stay)
        for flow in flows:
            flow.settled = False
        assert settle(flows, limits, conversion, lambda _: None).found == flows
        assert rates_of(stay) == known
        for flow in stay:
            flow.settled = True
        seen.append((len(settlement.found), len(flows)))
        return settlement

    monkeypatch.setattr("router_agent.device.device.settle", checked)
    return seen


class Many(Pair):
    """Most requests are for new circuits."""

    def _wanted(self) -> tuple[CircuitGeneration, tuple[str, ...], bool]:
        if self.random.random() < 0.3:
            return super()._wanted()
        return CircuitGeneration(next(self.numbers), 1), self.random.choice(PATHS), False


@pytest.mark.parametrize("seed", range(2))
def test_whoever_stays_as_it_is_would_be_found_to_be_so(
    seed: int, shares: list[tuple[int, int]]
) -> None:
    pair = Many(seed)
    for _ in range(6):
        pair.request()
    happens = [
        *6 * [pair.request],
        pair.retire,
        pair.cut_or_restore,
        pair.lose_frames,
        pair.cloud,
        pair.hold_up,
    ]
    for _ in range(8):
        pair.run(pair.random.choice(QUIET_MS) * NS_PER_MS)
        pair.random.choice(happens)()
    pair.compare()
    assert sum(0 < found < of for found, of in shares) > 5
