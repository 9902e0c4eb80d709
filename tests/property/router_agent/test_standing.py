"""Books by the time alone are those that are settled at each event, to the millijoule, whatever happens."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from digitalgrid.model import CircuitGeneration, ResultCode
from digitalgrid.units import NS_PER_MS, NS_PER_S
from digitalgrid.wire import decode
from router_agent.device.effects import Effect, SendDatagram
from router_agent.device.meters import RouterBooks
from tests.property.test_router_device import LINKS, PATHS, TRICKLE, Admission, Hops, mesh
from tests.support.device_network import DeviceNetwork

# So long nothing happens, mostly: long enough that routers stand.
QUIET_MS = (40, 130, 700, 2_500, 4_000)


class _Net(DeviceNetwork):
    """``eager``: every router's books are settled after each of its events."""

    def __init__(self, *, eager: bool) -> None:
        self._eager = eager
        self.standing_frames = 0
        super().__init__(mesh())

    def carry_out(self, router_id: str, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SendDatagram):
                self.standing_frames += decode(effect.datagram).stands_on > 0
        super().carry_out(router_id, effects)
        if self._eager:
            assert self.nodes[router_id].device.fault() == ""


class Pair:
    """The same things happen to a network that counts when it is asked, and to one that counts all the time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lazy, self.eager = _Net(eager=False), _Net(eager=True)
        self.nets = (self.lazy, self.eager)
        configs = [node.config for node in self.lazy.nodes.values()]
        self.admission = Admission(configs, TRICKLE)
        self.numbers = itertools.count(1)
        self.keys: list[CircuitGeneration] = []
        self.newest: dict[int, int] = {}
        self.run(500 * NS_PER_MS)

    def run(self, duration_ns: int) -> None:
        for net in self.nets:
            net.run(duration_ns)

    def request(self) -> None:
        """A circuit, or another generation of one, from the sink towards the source."""
        key, path, standby = self._wanted()
        if len([each for each in self.keys if each.circuit_id == key.circuit_id]) > 2:
            return
        power_w = self.random.choice([37.5, 1e3, 123_456.7, 1e6, 2.5e6])
        hops = self.admission.admit(key, path, power_w, standby=standby)
        if hops is None:
            return
        self.newest[key.circuit_id] = key.generation
        txn_id = next(self.numbers)
        codes = [self._program(net, txn_id, hops) for net in self.nets]
        assert codes[0] == codes[1]
        if codes[0]:
            self.keys.append(key)
        else:
            del self.admission.reserved[key]

    def _wanted(self) -> tuple[CircuitGeneration, tuple[str, ...], bool]:
        if not self.keys or self.random.random() < 0.5:
            return CircuitGeneration(next(self.numbers), 1), self.random.choice(PATHS), False
        key = self.random.choice(self.keys)
        sink = list(self.admission.reserved[key])[-1]
        path = self.random.choice([each for each in PATHS if each[-1] == sink])
        newer = CircuitGeneration(key.circuit_id, self.newest[key.circuit_id] + 1)
        return newer, path, self.random.random() < 0.5

    def _program(self, net: DeviceNetwork, txn_id: int, hops: Hops) -> bool:
        names = list(reversed(hops))
        staged = all(
            net.nodes[name].alive and net.stage(name, txn_id, hops[name]).code is ResultCode.OK
            for name in names
        )
        return staged and all(net.commit(name, txn_id).code is ResultCode.OK for name in names)

    def retire(self) -> None:
        if not self.keys:
            return
        key = self.keys.pop(self.random.randrange(len(self.keys)))
        hops = self.admission.reserved.pop(key)
        wait_ns = self.random.choice([3, 700]) * NS_PER_MS
        for net in self.nets:
            if net.nodes[list(hops)[-1]].alive:
                net.drain(list(hops)[-1], key)
            net.run(wait_ns)
            for name in hops:
                if net.nodes[name].alive:
                    net.withdraw(name, key)

    def cut_or_restore(self) -> None:
        link_id = self.random.choice(sorted(LINKS))
        for net in self.nets:
            if link_id in net.cut_links:
                net.restore(link_id)
            else:
                net.cut(link_id)

    def lose_frames(self) -> None:
        """A line is silent one way or both, for so short a time that nobody notices, or for long."""
        link_id = self.random.choice(sorted(LINKS))
        senders = self.random.choice([(), (link_id[:1],), (link_id[1:2],)])
        wait_ns = self.random.choice([60, 110, 400]) * NS_PER_MS
        for net in self.nets:
            net.silence(link_id, *senders)
            net.run(wait_ns)
            net.heal(link_id)

    def kill_or_restart(self) -> None:
        name = self.random.choice("abcd")
        for net in self.nets:
            if net.nodes[name].alive:
                net.kill(name)
            else:
                net.restart(name)

    def cloud(self) -> None:
        name = self.random.choice("abcd")
        power_w = self.random.choice([0.5e6, 2e6, 1e12])
        for net in self.nets:
            if net.nodes[name].alive:
                (source,) = net.nodes[name].config.sources
                effects = net.nodes[name].device.source_limit(source.id, power_w, net.now_ns)
                net.carry_out(name, effects)

    def hold_up(self) -> None:
        """A router gets no time for a while."""
        name = self.random.choice("abcd")
        late_ns = self.random.choice([4, 30, 90]) * NS_PER_MS
        for net in self.nets:
            net.delay_to[name] = net.now_ns + late_ns

    def look(self) -> None:
        """Somebody reads some router's meters."""
        name = self.random.choice("abcd")
        for net in self.nets:
            if net.nodes[name].alive:
                net.nodes[name].device.read_books(net.now_ns)

    def compare(self) -> None:
        for name, node in self.lazy.nodes.items():
            if node.alive:
                other = self.eager.nodes[name]
                assert node.device.fault() == ""
                assert told(node.device.read_books(self.lazy.now_ns)) == told(
                    other.device.read_books(self.eager.now_ns)
                )
                assert [status.state for _, status in node.statuses] == [
                    status.state for _, status in other.statuses
                ]


def told(books: RouterBooks) -> RouterBooks:
    """Without the worst rounding at any instant that was looked at."""
    return replace(books, max_formula_deviation_mj=0.0, saved_unix_ns=0)


@pytest.mark.parametrize("seed", range(8))
def test_books_that_are_settled_at_any_time_are_those_that_are_settled_all_the_time(
    seed: int,
) -> None:
    pair = Pair(seed)
    for _ in range(3):
        pair.request()
    happens = [
        *3 * [pair.request],
        pair.retire,
        pair.cut_or_restore,
        pair.lose_frames,
        pair.kill_or_restart,
        pair.cloud,
        pair.hold_up,
        pair.look,
        pair.look,
    ]
    for _ in range(25):
        pair.run(pair.random.choice(QUIET_MS) * NS_PER_MS)
        pair.random.choice(happens)()
    pair.run(4 * NS_PER_S)
    pair.compare()
    assert pair.lazy.standing_frames == pair.eager.standing_frames
