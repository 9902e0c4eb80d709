"""Where rates are found of some flows only, the others would be found to have those that they have."""

import random
from collections.abc import Callable, Sequence

import msgspec
import pytest

from digitalgrid.model import CircuitGeneration, Operation, ResultCode, StandbyPool
from digitalgrid.units import NS_PER_MS, NS_PER_S
from digitalgrid.wire import DemandRecord
from router_agent.device import rates
from router_agent.device.conversion import Conversion
from router_agent.device.flow import Flow
from router_agent.device.mutation import Mutation
from router_agent.device.shared_standbys import Limits
from tests.property.router_agent.test_standing import QUIET_MS, Pair
from tests.property.test_router_device import PATHS, Hops
from tests.support.device_network import ELECTION_ID, DeviceNetwork

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


def _is_told_as_it_is(flow: Flow) -> bool:
    """What is told of it again and again would be found to be so."""
    told, asked = flow.told_grant, flow.told_demand
    if flow.idle:
        return True
    return (told is None or told == (flow.key, flow.grant)) and (
        asked is None or asked == DemandRecord(flow.key, flow.need_mw, flow.marks)
    )


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Of each settlement how many rates were found, of how many, and how many stayed beside another generation; all are
    found once more, and compared of those that stayed as they were.
    """
    seen: list[tuple[int, int, int]] = []
    settle = rates.settle

    def checked(
        flows: Sequence[Flow],
        limits: Limits,
        conversion: Conversion,
        demand: Callable[[Sequence[Flow]], None],
    ) -> rates.Settlement:
        settlement = settle(flows, limits, conversion, demand)
        stay = [flow for flow in flows if flow.settled]
        assert all(map(_is_told_as_it_is, stay))
        known = rates_of(stay)
        for flow in flows:
            flow.settled = False
        assert settle(flows, limits, conversion, lambda _: None).found == flows
        assert rates_of(stay) == known
        for flow in stay:
            flow.settled = True
        beside = sum(not flow.alone for flow in stay)
        seen.append((len(settlement.found), len(flows), beside))
        return settlement

    monkeypatch.setattr("router_agent.device.rate_finding.settle", checked)
    return seen


class Many(Pair):
    """Most requests are for new circuits, and standbys share pools of any size."""

    # How often another generation of a circuit is wanted.
    another = 0.3

    def _program(self, net: DeviceNetwork, txn_id: int, hops: Hops) -> bool:
        draw = random.Random(txn_id)
        for name, hop in reversed(hops.items()):
            shared = msgspec.structs.replace(hop, shared_standby=hop.standby)
            link_id = hop.egress_link_id
            pools = (StandbyPool(link_id, draw.choice([0.0, 4e4, 3e6])),) if link_id else ()
            stage = Mutation(
                Operation.STAGE,
                "test",
                ELECTION_ID,
                txn_id,
                (shared,),
                lease_ns=NS_PER_S,
                pools=pools if hop.standby else (),
            )
            if not net.nodes[name].alive or net.mutate(name, stage).code is not ResultCode.OK:
                return False
        return all(net.commit(name, txn_id).code is ResultCode.OK for name in reversed(hops))

    def _wanted(self) -> tuple[CircuitGeneration, tuple[str, ...], bool]:
        if self.keys and self.random.random() < self.another:
            return super()._wanted()
        return CircuitGeneration(next(self.numbers), 1), self.random.choice(PATHS), False


@pytest.mark.parametrize("seed", range(2))
def test_whoever_stays_as_it_is_would_be_found_to_be_so(
    seed: int, shares: list[tuple[int, int, int]]
) -> None:
    pair = Many(seed)
    for another in (0.0, 1.0):
        pair.another = another
        for _ in range(6):
            pair.request()
        pair.run(4 * NS_PER_S)
    pair.another = 0.3
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
    assert sum(0 < found < of for found, of, _ in shares) > 5
    assert any(beside for _, _, beside in shares)
