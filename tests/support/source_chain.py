"""Circuits over three lines from one source, with priorities and floors, in simulated time."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from msgspec.structs import replace as replace_hop

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS
from router_agent.device.sink import FlowStatus
from tests.support.device_network import DeviceNetwork, circuit_hops, router

POWER_W = 1e6
# Of what is in class 0.
FLOOR_W = 0.3e6
SOURCE_W = 15e6


class SourceChain:
    """a - b - c - d, circuits of a megawatt from a to d; losses so small that shares are seen as they are."""

    def __init__(self, priorities: Sequence[int], *, tick_ms: int = 100) -> None:
        configs = [
            replace(
                router(
                    name,
                    *links,
                    source_w=SOURCE_W,
                    load_w=10e6,
                    resistance_ohm=0.01,
                    efficiency=1.0,
                ),
                tick_interval_ms=tick_ms,
            )
            for name, links in {
                "a": [("ab", "b")],
                "b": [("ab", "a"), ("bc", "c")],
                "c": [("bc", "b"), ("cd", "d")],
                "d": [("cd", "c")],
            }.items()
        ]
        self.network = DeviceNetwork(configs)
        self.network.run(300 * NS_PER_MS)
        reserved_a: dict[tuple[str, str], float] = {}
        txn_ids = itertools.count(1)
        for index, priority in enumerate(priorities):
            key = CircuitGeneration(index + 1, 1)
            hops = circuit_hops(key, index + 1, configs, POWER_W, reserved_a)
            floor_w = FLOOR_W if priority == 0 else 0.0
            asked = {
                name: replace_hop(hop, priority=priority, floor_w=floor_w)
                for name, hop in hops.items()
            }
            assert self.network.program(asked, next(txn_ids))
        self.network.run(20 * tick_ms * NS_PER_MS)

    def limit(self, power_w: float) -> None:
        """One event at the source's router."""
        device = self.network.nodes["a"].device
        effects = device.source_limit("pv-a", power_w, self.network.now_ns)
        self.network.carry_out("a", effects)

    def at_source_w(self) -> list[float]:
        return [flow.ingress_w for flow in self.network.nodes["a"].device.flows]

    def at_sinks_w(self) -> list[float]:
        return [flow.granted_w for flow in self.network.nodes["d"].device.flows]

    def news(self, since_ns: int) -> list[tuple[int, FlowStatus]]:
        return [each for each in self.network.nodes["d"].statuses if each[0] >= since_ns]
