"""A controller and its routers, both real, in simulated time: whatever fails, who was protected lacks nothing."""

import random
from collections import Counter
from pathlib import Path

import pytest

from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.generation import Generation
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.network.admin import AdminState
from digitalgrid.gridfile import load_grid
from digitalgrid.units import NS_PER_S
from tests.support.closed_loop import ClosedLoop
from tests.support.there import newest, there

ELAN9 = Path(__file__).parents[2] / "topologies" / "elan9.grid.yaml"
SINK, SINK_ROUTER = "load5", "r5"
POWER_W = 10e3
CIRCUITS = 6
# Of promised power, in milliseconds; routers are late by so much on average, each at whatever it does.
AT_MOST_MS = 20.0
LATE_NS = 10e6


class World:
    """Protected circuits, and a fault at a time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loop = ClosedLoop(load_grid(ELAN9))
        self.ids = self.loop.request(
            [
                PowerRequest(f"request {number}", SINK, POWER_W, protect=Against.ROUTER)
                for number in range(CIRCUITS)
            ]
        )
        assert self.loop.run_until(lambda: self.loop.protected(self.ids), 10)
        self.loop.run(round(self.random.uniform(1, 3) * NS_PER_S))

    def missing_ms(self) -> dict[int, float]:
        books = self.loop.nodes[SINK_ROUTER].device.read_books(self.loop.now_ns)
        # A millijoule of a watt is a millisecond of it.
        return {key: books.promises[key].missing_mj / POWER_W for key in self.ids}

    def guarded_against(self, id_: str) -> list[int]:
        return [
            key
            for key in self.ids
            if self.loop.circuit(key).guard.word is Protection.PROTECTED
            and not _uses(there(self.loop.circuit(key).standby()), id_)
        ]

    def fail(self, what: str, *, controlled: bool) -> None:
        """Break what one of the circuits runs over, let the controller come back where it was away, and mend it."""
        loop = self.loop
        route = newest(loop.circuit(self.random.choice(self.ids))).route
        id_ = self.random.choice(
            route.router_ids[1:-1] if what == "kill" else [each.link_id for each in route.links]
        )
        guarded, before = self.guarded_against(id_), self.missing_ms()
        for name in loop.nodes:
            loop.late_by[name] = lambda: round(self.random.expovariate(1 / LATE_NS))
        if not controlled:
            loop.kill_controller()
        {"cut": loop.cut, "silence": loop.silence, "kill": loop.kill}[what](id_)
        loop.run(2 * NS_PER_S)
        if not controlled:
            loop.start_controller()
        loop.run(2 * NS_PER_S)
        loop.late_by.clear()
        after = self.missing_ms()
        assert guarded, "all were protected"
        assert max(after[key] - before[key] for key in guarded) <= AT_MOST_MS, (what, id_)
        {"cut": loop.restore, "silence": loop.heal, "kill": loop.restart}[what](id_)
        assert loop.run_until(lambda: loop.protected(self.ids), 30)
        end = self.missing_ms()
        assert max(end[key] - after[key] for key in guarded) <= 1.0, "mending costs nothing"

    def assert_sound(self, *, silenced: bool) -> None:
        for node in self.loop.nodes.values():
            assert node.device.fault() == ""
            assert node.device.books.oversubscribed_instants == 0
            for books in node.device.books.links.values():
                assert books.oversubscribed_instants == 0
                assert books.frames_refused == 0, "no end says what the other cannot take"
                assert silenced or books.lost_in_transit_mj == 0


def _uses(generation: Generation, id_: str) -> bool:
    route = generation.route
    return id_ in route.router_ids or any(each.link_id == id_ for each in route.links)


@pytest.mark.parametrize(
    ("what", "controlled"),
    [("cut", True), ("kill", True), ("silence", False), ("kill", False)],
)
def test_a_protected_circuit_lacks_next_to_nothing_whatever_fails_though_routers_are_late(
    what: str, controlled: bool
) -> None:
    world = World(seed=len(what) + 10 * controlled)
    for _ in range(2):
        world.fail(what, controlled=controlled)
    world.assert_sound(silenced=what == "silence")


class Moves:
    """Circuits that nothing protects, to all loads, and what each of them lacks from its first power on."""

    def __init__(self) -> None:
        self.loop = ClosedLoop(load_grid(ELAN9))
        loads = [each.id for each in self.loop.grid.loads]
        self.ids = self.loop.request(
            [
                PowerRequest(f"request {number}", each, 0.3e6)
                for number, each in enumerate(2 * loads)
            ]
        )
        assert self.loop.run_until(self.stand, 10)
        self.loop.run(5 * NS_PER_S)

    def stand(self) -> bool:
        """Whether each has its power, of one generation and no more."""
        circuits = map(self.loop.circuit, self.ids)
        return all(
            each.state is CircuitState.ACTIVE and len(each.generations) == 1 for each in circuits
        )

    def missing_mj(self) -> dict[int, int]:
        found = {}
        for key in self.ids:
            sink = self.loop.nodes[newest(self.loop.circuit(key)).route.sink_router_id]
            found[key] = sink.device.read_books(self.loop.now_ns).promises[key].missing_mj
        return found

    def busiest_line(self) -> str:
        """That most circuits cross."""
        crossed = Counter(
            link.link_id for key in self.ids for link in newest(self.loop.circuit(key)).route.links
        )
        return max(sorted(crossed), key=crossed.__getitem__)


def test_a_drained_line_and_another_power_cost_the_loads_nothing() -> None:
    moves = Moves()
    loop, before = moves.loop, moves.missing_mj()
    generations = {key: loop.circuit(key).last_generation for key in moves.ids}
    line = moves.busiest_line()
    crossing = {key for key in moves.ids if _uses(newest(loop.circuit(key)), line)}
    loop.take_out(line)
    drains = loop.core.questions.drains
    assert loop.run_until(lambda: drains[line].state is AdminState.DRAINED, 60)
    moved = {key for key in moves.ids if loop.circuit(key).last_generation > generations[key]}
    assert moved == crossing and len(moved) > 1
    assert loop.run_until(moves.stand, 30)
    assert moves.missing_mj() == before
    loop.put_back(line)
    for share in (0.9, 1.0):
        for key in moves.ids:
            loop.change(key, share * 0.3e6)
        loop.run(2 * NS_PER_S)
        assert loop.run_until(moves.stand, 30)
    after = moves.missing_mj()
    # A few millijoules are what rounding owes.
    assert max(after[key] - before[key] for key in moves.ids) <= 10
