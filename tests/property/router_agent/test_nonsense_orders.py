"""A controller orders nonsense: every order is answered, the router's books balance, and its other circuits run on."""

import random

import pytest

from controller.southbound.codec import add_hops, table_from_pb
from digitalgrid.limits import MAX_POWER_W
from digitalgrid.model import CircuitGeneration, ElectionId, HopSnapshot, Operation, StandbyPool
from digitalgrid.units import NS_PER_MS
from digitalgrid.v1 import southbound_pb2 as pb
from router_agent.codec import meters_to_pb, outcome_to_pb, status_to_pb, table_to_pb
from router_agent.device.meter_image import ImageCodec
from router_agent.device.mutation import Mutation
from tests.support.device_network import DeviceNetwork, circuit_hops, router

POWERS_W = (0.0, 5e-324, 1e-300, 1e-9, 1e-6, 1e-3, 1.0, 1e6, MAX_POWER_W, 1e300, float("inf"))
ODD_POWERS_W = (*POWERS_W, float("nan"), -1.0)
NUMBERS = (0, 1, 2, 2**32, 2**62, 2**63, 2**64 - 1)
HONEST = CircuitGeneration(99, 1)
POWER_W = 1e6


class Orders:
    def __init__(self, draw: random.Random) -> None:
        self._draw = draw

    def hop(self) -> HopSnapshot:
        draw = self._draw
        small = sorted(draw.choice(POWERS_W) for _ in range(3))
        powers = small if draw.random() < 0.7 else [draw.choice(ODD_POWERS_W) for _ in range(3)]
        received_w, egress_w, ingress_w = powers
        begins, ends = draw.random() < 0.4, draw.random() < 0.4
        return HopSnapshot(
            circuit_id=draw.choice([*NUMBERS, 1, 2, 3]),
            generation=draw.choice([*NUMBERS, 1, 2]),
            admission_seq=draw.choice(NUMBERS),
            power_w=draw.choice(ODD_POWERS_W),
            ingress_power_w=ingress_w,
            egress_power_w=egress_w,
            received_power_w=received_w,
            source_id="pv-b" if begins else "",
            ingress_link_id="" if begins else draw.choice(["ab", "bc", "nowhere", ""]),
            load_id="town-b" if ends else "",
            egress_link_id="" if ends else draw.choice(["ab", "bc", "nowhere", ""]),
            standby=draw.random() < 0.4,
            shared_standby=draw.random() < 0.3,
        )

    def pool(self) -> StandbyPool:
        draw = self._draw
        link_id = draw.choice(["ab", "ab", "bc", "bc", "nowhere", "", "pool of a b c"])
        return StandbyPool(link_id, draw.choice(ODD_POWERS_W))

    def key(self) -> CircuitGeneration:
        draw = self._draw
        return CircuitGeneration(draw.choice([*NUMBERS, 1, 2, 3]), draw.choice([*NUMBERS, 1, 2]))

    def mutation(self) -> Mutation:
        draw = self._draw
        operation = draw.choice([Operation.STAGE, *Operation])
        return Mutation(
            operation,
            "test",
            ElectionId(0, draw.choice([1, 1, 1, 1, 0])),
            draw.randrange(6),
            hops=tuple(self.hop() for _ in range(draw.randrange(4))),
            lease_ns=draw.choice([0, 10, 10_000, 2**32 - 1]) * NS_PER_MS,
            circuits=tuple(self.key() for _ in range(draw.randrange(3))),
            pools=tuple(self.pool() for _ in range(draw.choice([0, 0, 1, 1, 2]))),
        )


@pytest.mark.parametrize("seed", range(3))
def test_nonsense_is_answered_and_harms_nothing(seed: int) -> None:
    draw = random.Random(seed)
    configs = [
        router("a", ("ab", "b")),
        router("b", ("ab", "a"), ("bc", "c")),
        router("c", ("bc", "b")),
    ]
    network = DeviceNetwork(configs)
    network.run(300 * NS_PER_MS)
    assert network.program(circuit_hops(HONEST, 1, configs, POWER_W, {}), 1000)
    network.run(1000 * NS_PER_MS)
    orders, node = Orders(draw), network.nodes["b"]
    for _ in range(1500):
        answers = len(node.answers)
        outcome = network.mutate("b", orders.mutation())
        assert len(node.answers) == answers + 1
        outcome_to_pb(outcome).SerializeToString()
        network.run(draw.choice([0, 1, 30, 100]) * NS_PER_MS)
        for each in network.nodes.values():
            assert each.device.fault() == ""
        ImageCodec(node.device.books).pack()
        meters_to_pb(node.device, network.now_ns).SerializeToString()
        for part in table_to_pb(node.device.table, pb.ReadTable()):
            hops: dict[CircuitGeneration, HopSnapshot] = {}
            add_hops(hops, part.hops)
            table_from_pb(part, hops.values())
        for _, status in node.statuses:
            status_to_pb(status).SerializeToString()
        node.statuses.clear()
    assert HONEST in [hop.key for hop in node.device.table.hops]
