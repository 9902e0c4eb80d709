"""A neighbour sends well-formed frames with the extremes of every field: only its own line may suffer."""

import random
from typing import Any

import pytest

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS, NS_PER_S
from digitalgrid.wire import (
    DemandRecord,
    Frame,
    FrameError,
    PowerRecord,
    decode,
    encode,
    name_hash,
)
from router_agent.codec import meters_to_pb, status_to_pb
from router_agent.config import RouterConfig
from router_agent.device.meter_image import ImageCodec, unpack_image
from tests.support.device_network import DeviceNetwork, circuit_hops, router

U64 = (0, 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
I64 = (-(2**63), -(2**62), -1, 0, 1, 2**31, 10**12, 2**62, 2**63 - 2, 2**63 - 1)
U16 = (0, 1, 2, 65_535)
HONEST = CircuitGeneration(1, 1)
FROM_ROGUE = CircuitGeneration(2, 1)
TO_ROGUE = CircuitGeneration(3, 1)
POWER_W = 1e6


class Rogue:
    """The far end of line bx: it hears what b says, and says what it likes."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self.discriminator = 5 << 32 | 1
        self.heard = 0
        self.seq = 0
        self.total_mj = 0

    def hear(self, datagram: bytes) -> None:
        self.heard = decode(datagram).discriminator

    def plausible(self, now_ns: int) -> Frame:
        """As an honest neighbour would say it: 10 kJ in a tenth of a second are less than it asked for."""
        self.seq += 1
        energy_mj = 10_000_000
        self.total_mj = min(self.total_mj + energy_mj, 2**63 - 1)
        return Frame(
            link_hash=name_hash("bx"),
            sender_hash=name_hash("x"),
            discriminator=self.discriminator,
            heard_discriminator=self.heard,
            seq=self.seq,
            origin_ns=now_ns,
            interval_ns=100 * NS_PER_MS,
            total_mj=self.total_mj,
            part=0,
            parts=1,
            power=(PowerRecord(FROM_ROGUE, energy_mj, 1000, 500_000_000, False),),
            demands=(DemandRecord(TO_ROGUE, 900_000_000),),
        )

    def mutated(self, now_ns: int) -> bytes:
        frame = self.plausible(now_ns)
        for _ in range(self._draw.randint(1, 3)):
            frame = self._one_field_changed(frame)
        # What a mutation makes of the total, an honest sender would not go on from.
        self.total_mj = max(self.total_mj, self._draw.choice([self.total_mj, frame.total_mj, 0]))
        return encode(frame)

    def _one_field_changed(self, frame: Frame) -> Frame:
        draw = self._draw
        changed: dict[str, Any]
        match draw.randrange(7):
            case 0:
                name = draw.choice(["discriminator", "heard_discriminator", "seq"])
                changed = {name: draw.choice(U64)}
                return frame._replace(**changed)
            case 1:
                name = draw.choice(["origin_ns", "interval_ns", "total_mj"])
                changed = {name: draw.choice(I64)}
                return frame._replace(**changed)
            case 2:
                return frame._replace(part=draw.choice(U16), parts=draw.choice(U16))
            case 3:
                key = CircuitGeneration(draw.choice(U64), draw.choice(U64))
                key = draw.choice([key, FROM_ROGUE, TO_ROGUE, HONEST])
                record = PowerRecord(
                    key,
                    draw.choice(I64),
                    draw.choice(I64),
                    draw.choice(I64),
                    draw.random() < 0.5,
                )
                return frame._replace(power=(*frame.power, record))
            case 4:
                key = CircuitGeneration(draw.choice(U64), draw.choice(U64))
                demand = DemandRecord(draw.choice([key, TO_ROGUE]), draw.choice(I64))
                return frame._replace(demands=(*frame.demands, demand))
            case 5:
                return frame._replace(power=frame.power * draw.choice([0, 2, 150]))
            case _:
                self.seq += draw.choice([0, 0, 2**40])
                self.discriminator += draw.choice([0, 0, 1])
                return frame


class Network(DeviceNetwork):
    def __init__(self, configs: list[RouterConfig], rogue: Rogue) -> None:
        self.rogue = rogue
        super().__init__(configs)

    def _send(self, router_id: str, link_id: str, datagram: bytes) -> None:
        if link_id == "bx":
            self.rogue.hear(datagram)
        else:
            super()._send(router_id, link_id, datagram)

    def say(self, datagram: bytes) -> None:
        device = self.nodes["b"].device
        self.carry_out("b", device.datagram_received("bx", datagram, self.now_ns))


def network_of(rogue: Rogue) -> Network:
    """a - b - c, and x at b: a circuit a to c, one that x feeds into b, one that b feeds into x."""
    a, b, c = (
        router("a", ("ab", "b")),
        router("b", ("ab", "a"), ("bc", "c"), ("bx", "x")),
        router("c", ("bc", "b")),
    )
    x = router("x", ("bx", "b"))
    network = Network([a, b, c], rogue)
    network.run(300 * NS_PER_MS)
    network.say(encode(rogue.plausible(network.now_ns)))
    assert network.nodes["b"].device.lines["bx"].up
    assert network.program(circuit_hops(HONEST, 1, [a, b, c], POWER_W, {}), 1)
    for txn_id, (key, path) in enumerate(((FROM_ROGUE, [x, b]), (TO_ROGUE, [b, x])), start=2):
        hops = circuit_hops(key, txn_id, path, POWER_W, {})
        assert network.program({"b": hops["b"]}, txn_id)
    return network


def check(network: Network) -> None:
    for node in network.nodes.values():
        books = node.device.books
        assert books.imbalance_mj() == 0
        image = unpack_image(ImageCodec(books).pack())
        assert image.links == books.capped().links
        meters_to_pb(node.device, network.now_ns).SerializeToString()
        for status in node.device.statuses():
            status_to_pb(status).SerializeToString()
    for router_id, link_id in (("a", "ab"), ("b", "ab"), ("b", "bc"), ("c", "bc")):
        line = network.nodes[router_id].device.lines[link_id]
        assert line.up
        books_of_line = line.books
        assert books_of_line.lost_in_transit_mj == books_of_line.frames_refused == 0


@pytest.mark.parametrize("seed", range(3))
def test_only_the_line_of_a_rogue_neighbour_suffers(seed: int) -> None:
    draw = random.Random(seed)
    rogue = Rogue(draw)
    network = network_of(rogue)
    network.run(NS_PER_S)
    sink = network.nodes["c"].device.books.delivered_mj
    before_mj, began_ns = sink["town-c"], network.now_ns
    for _ in range(3000):
        honest = draw.random() < 0.3
        now_ns = network.now_ns
        network.say(encode(rogue.plausible(now_ns)) if honest else rogue.mutated(now_ns))
        network.run(draw.choice([0, 5, 30, 100]) * NS_PER_MS)
        check(network)
    seconds = (network.now_ns - began_ns) / NS_PER_S
    assert sink["town-c"] - before_mj == pytest.approx(POWER_W * 1000 * seconds, rel=0.001)
    line = network.nodes["b"].device.lines["bx"].books
    assert line.frames_refused > 50 and line.frames_clamped > 50 and line.frames_received > 300
    most_mj = 1.01 * 20e3 * 700.0 * 1000 * (seconds + 20)
    assert line.received_mj + line.lost_in_transit_mj + line.lost_to_faults_mj <= most_mj


def test_a_total_that_no_line_can_carry_ends_nothing() -> None:
    """The frames that once ended the neighbour's process: totals of 2^63 - 1, alternated with 0."""
    rogue = Rogue(random.Random(0))
    network = network_of(rogue)
    books = network.nodes["b"].device.lines["bx"].books
    for number in range(8):
        energy_mj = 2**63 - 1 if number % 2 == 0 else 0
        frame = rogue.plausible(network.now_ns)._replace(
            total_mj=energy_mj, power=(PowerRecord(FROM_ROGUE, energy_mj, 0, 0, False),)
        )
        network.say(encode(frame))
        network.run(10 * NS_PER_MS)
    assert books.frames_refused == 8
    network.run(NS_PER_S)
    assert not network.nodes["b"].device.lines["bx"].up
    check(network)


def test_what_cannot_be_decoded_is_no_frame() -> None:
    rogue = Rogue(random.Random(0))
    frame = rogue.plausible(0)
    with pytest.raises(FrameError, match="9000"):
        decode(encode(frame._replace(power=frame.power * 250)))
