"""Two disjoint ways of devices from one source to one load, in simulated time, and the energy that the load misses."""

import itertools
from dataclasses import replace

from msgspec.structs import replace as replace_hop

from digitalgrid.model import CircuitGeneration, HopSnapshot
from digitalgrid.units import MILLIJOULES_PER_J, NS_PER_MS, NS_PER_S
from router_agent.config import RouterConfig
from tests.support.device_network import DeviceNetwork, circuit_hops, router

SOURCE, LOAD = "s", "t"


class TwoWays:
    """``s`` - u1 - u2 ... - ``t`` and ``s`` - v1 - v2 ... - ``t``, each of as many lines."""

    def __init__(
        self,
        lines: int,
        *,
        tick_ms: int = 100,
        delay_ns: int = 200_000,
        circuits: int = 1,
        power_w: float = 1e6,
        ampacity_a: float = 5000.0,
        without_marks: frozenset[str] = frozenset(),
    ) -> None:
        self.ways = [
            [SOURCE, *(f"{way}{number}" for number in range(1, lines)), LOAD] for way in "uv"
        ]
        links: dict[str, list[tuple[str, str]]] = {}
        for way in self.ways:
            for one, other in itertools.pairwise(way):
                link_id = f"{one}-{other}"
                links.setdefault(one, []).append((link_id, other))
                links.setdefault(other, []).append((link_id, one))
        self.configs: dict[str, RouterConfig] = {
            name: replace(
                router(name, *ends, source_w=200e6, load_w=200e6, ampacity_a=ampacity_a),
                tick_interval_ms=tick_ms,
            )
            for name, ends in links.items()
        }
        self.network = DeviceNetwork(list(self.configs.values()), delay_ns, without_marks)
        self.power_w = power_w
        self.circuits = circuits
        self._txn_ids = itertools.count(1)
        self._seqs = itertools.count(1)
        self._reserved_a: dict[tuple[str, str], float] = {}
        self.run_ms(500)

    def run_ms(self, duration_ms: float) -> None:
        self.network.run(round(duration_ms * NS_PER_MS))

    def link(self, way: int, number: int) -> str:
        path = self.ways[way]
        return f"{path[number]}-{path[number + 1]}"

    def program(
        self, generation: int, way: int, *, standby: bool = False, trickle: float = 0.0
    ) -> None:
        """One generation of every circuit, from the load towards the source."""
        path = [self.configs[name] for name in self.ways[way]]
        for circuit_id in range(1, self.circuits + 1):
            key = CircuitGeneration(circuit_id, generation)
            hops = circuit_hops(key, next(self._seqs), path, self.power_w, self._reserved_a)
            self.program_hops(
                {
                    name: _with_role(hop, standby=standby, trickle_w=trickle * hop.ingress_power_w)
                    for name, hop in hops.items()
                }
            )

    def program_hops(self, hops: dict[str, HopSnapshot]) -> None:
        assert self.network.program(hops, next(self._txn_ids))

    def delivered_mj(self, circuit_id: int) -> int:
        books = self.network.nodes[LOAD].device.read_books(self.network.now_ns)
        return sum(
            each.delivered_mj
            for key, each in books.circuits.items()
            if key.circuit_id == circuit_id
        )

    def missing_ms(self, duration_ms: float) -> list[float]:
        """Of each circuit, the energy that its load was promised from now on and did not get, in ms of its power."""
        before = [self.delivered_mj(number) for number in range(1, self.circuits + 1)]
        began_ns = self.network.now_ns
        self.run_ms(duration_ms)
        promised_mj = self.power_w * MILLIJOULES_PER_J * (self.network.now_ns - began_ns) / NS_PER_S
        return [
            (promised_mj - (self.delivered_mj(number) - before[number - 1])) / self.power_w
            for number in range(1, self.circuits + 1)
        ]

    def assert_sound(self) -> None:
        """The books balance to the millijoule, and nothing carried more than it may."""
        for node in self.network.nodes.values():
            if node.alive:
                assert node.device.fault() == ""
                assert node.device.books.oversubscribed_instants == 0
                assert node.device.books.max_formula_deviation_mj <= 1.0
                for link in node.device.books.links.values():
                    assert link.oversubscribed_instants == 0


def _with_role(hop: HopSnapshot, *, standby: bool, trickle_w: float) -> HopSnapshot:
    return replace_hop(hop, standby=standby, trickle_w=trickle_w)
