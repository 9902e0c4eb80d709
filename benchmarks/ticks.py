"""What a tick of a router costs, in seconds of CPU: pure devices in simulated time.

In ``tick`` nothing changes; also where one more circuit, of which the source's router was not told, gets nothing. In
``tick-changing`` one circuit comes and one goes with each tick.
"""

import time
from collections import deque
from collections.abc import Iterator

from benchmarks.harness import Row
from digitalgrid.model import CircuitGeneration, HopSnapshot
from digitalgrid.units import NS_PER_S
from tests.support.device_network import DeviceNetwork, circuit_hops, router

_SMALL_W = 10.0
_CHANGING_TICKS = 30


def rows(full: bool) -> Iterator[Row]:
    yield from (_tick(circuits) for circuits in (1, 1_000))
    yield from (_tick(circuits, dark=True) for circuits in (1, 1_000))
    yield from (_tick_changing(circuits) for circuits in (1_000, 4_000))


def _tick(circuits: int, *, dark: bool = False) -> Row:
    """Of three routers in a row, each with all circuits, once all are at rest; ``dark``: one more gets nothing."""
    three = _InARow(circuits)
    if dark:
        hops = three.next_hops()
        del hops["a"]
        three.program(hops)
    three.network.run(5 * NS_PER_S)
    began_s = time.thread_time()
    three.network.run(10 * NS_PER_S)
    ticks = len(three.configs) * 10 * NS_PER_S // three.tick_ns
    cpu_s = (time.thread_time() - began_s) / ticks
    instance = "a router of three in a row, at rest" + (", one more in the dark" if dark else "")
    return Row("tick", circuits, instance, cpu_s, {}, three.is_whole)


def _tick_changing(circuits: int) -> Row:
    """Likewise, while with each tick one circuit comes, and one that came a second before goes."""
    three = _InARow(circuits)
    three.network.run(5 * NS_PER_S)
    came: deque[CircuitGeneration] = deque()
    began_s = time.thread_time()
    for _ in range(_CHANGING_TICKS):
        hops = three.next_hops()
        three.program(hops)
        came.append(hops["a"].key)
        if len(came) * three.tick_ns > NS_PER_S:
            gone = came.popleft()
            for name in reversed(hops):
                three.network.withdraw(name, gone)
        three.network.run(three.tick_ns)
    cpu_s = (time.thread_time() - began_s) / (len(three.configs) * _CHANGING_TICKS)
    instance = "a router of three in a row, one circuit comes and one goes with each tick"
    return Row("tick-changing", circuits, instance, cpu_s, {}, three.is_whole)


class _InARow:
    """Three pure routers in simulated time, with so many small circuits from the first to the last."""

    def __init__(self, circuits: int) -> None:
        self.configs = [
            router("a", ("ab", "b")),
            router("b", ("ab", "a"), ("bc", "c")),
            router("c", ("bc", "b")),
        ]
        self.tick_ns = self.configs[0].tick_ns
        self.network = DeviceNetwork(self.configs)
        self._number = 0
        self._reserved_a: dict[tuple[str, str], float] = {}
        self.network.run(NS_PER_S)
        self.program(*(self.next_hops() for _ in range(circuits)))

    def next_hops(self) -> dict[str, HopSnapshot]:
        """Of one more."""
        self._number += 1
        key = CircuitGeneration(self._number, 1)
        return circuit_hops(key, self._number, self.configs, _SMALL_W, self._reserved_a)

    def program(self, *circuits: dict[str, HopSnapshot]) -> None:
        """From the sinks towards the sources, in one transaction."""
        for name in ("c", "b", "a"):
            self.network.stage(
                name, self._number, *(hops[name] for hops in circuits if name in hops)
            )
        for name in ("c", "b", "a"):
            self.network.commit(name, self._number)

    @property
    def is_whole(self) -> bool:
        return not any(node.device.fault() for node in self.network.nodes.values())
