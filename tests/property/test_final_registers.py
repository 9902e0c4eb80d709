"""Final registers of a real controller over real routers: what stands in the store is what devices have counted."""

import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.protection import Against
from controller.core.circuits.request import PowerRequest
from controller.core.errors import Refusal
from digitalgrid.gridfile import load_grid
from digitalgrid.units import NS_PER_MS, NS_PER_S
from tests.support.closed_loop import ClosedLoop

ELAN9 = Path(__file__).parents[2] / "topologies" / "elan9.grid.yaml"
LOADS = ("load3", "load5", "load9")
POWERS_W = (5e3, 10e3, 20e3)
STEPS = 14


class World:
    """Requests, reroutes and releases, while lines are cut and controllers are killed in the midst of it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loop = ClosedLoop(load_grid(ELAN9))
        self.asked = 0
        self.cut: set[str] = set()

    def step(self) -> None:
        choice = self.random.choice
        act = choice((self.ask, self.ask, self.release, self.change, self.toggle, self.succeed))
        act()
        # Often so short that answers are still under way.
        self.loop.run(round(self.random.expovariate(1 / 200) * NS_PER_MS) + NS_PER_MS)

    def standing(self) -> list[Circuit]:
        circuits = self.loop.core.questions.circuits.values()
        return [each for each in circuits if each.admin_up and not each.state.ended]

    def ask(self) -> None:
        self.asked += 1
        against = self.random.choice((None, None, Against.LINK))
        power_w = self.random.choice(POWERS_W)
        sink_id = self.random.choice(LOADS)
        self.loop.request([PowerRequest(f"r{self.asked}", sink_id, power_w, protect=against)])

    def release(self) -> None:
        if circuits := self.standing():
            self.loop.release(self.random.choice(circuits).circuit_id)

    def change(self) -> None:
        if circuits := self.standing():
            circuit = self.random.choice(circuits)
            # While it is on its way it is not changed.
            with suppress(Refusal):
                self.loop.change(circuit.circuit_id, self.random.choice(POWERS_W))

    def toggle(self) -> None:
        """Cut a line that carries something, or mend the one that is cut."""
        if self.cut:
            self.loop.restore(self.cut.pop())
            return
        used = [
            link.link_id
            for circuit in self.standing()
            for generation in circuit.generations.values()
            for link in generation.route.links
        ]
        if used:
            self.cut.add(self.random.choice(used))
            self.loop.cut(*self.cut)

    def succeed(self) -> None:
        """A controller is killed with all that was under way to and from it, and another takes over."""
        self.loop.kill_controller()
        self.loop.run(self.random.choice((1, 50, 500)) * NS_PER_MS)
        self.loop.start_controller()

    def end(self) -> None:
        """All is mended, everything is released, and comes to its end."""
        for link_id in self.cut:
            self.loop.restore(link_id)
        self.loop.run(2 * NS_PER_S)
        for circuit in self.standing():
            self.loop.release(circuit.circuit_id)
        over = self.loop.run_until(lambda: not list(self.loop.core.questions.generations()), 60)
        assert over, "everything ends"
        self.loop.run(NS_PER_S)


@pytest.mark.parametrize("seed", range(6))
def test_the_registers_of_a_circuit_add_up_to_what_devices_counted_to_the_millijoule(
    seed: int,
) -> None:
    world = World(seed)
    for _ in range(STEPS):
        world.step()
    world.end()
    injected_mj: Counter[str] = Counter()
    delivered_mj: Counter[str] = Counter()
    for record in world.loop.registers.values():
        injected_mj[record.source_id] += record.injected_mj or 0
        delivered_mj[record.sink_id] += record.delivered_mj or 0
        # An end that was never heard never held it.
        for router_id, said_mj in (
            (record.source_router_id, record.injected_mj),
            (record.sink_router_id, record.delivered_mj),
        ):
            books = world.loop.nodes[router_id].device.books
            assert (said_mj is None) == (record.key not in books.circuits), record
    counted_in: Counter[str] = Counter()
    counted_out: Counter[str] = Counter()
    for node in world.loop.nodes.values():
        counted_in.update(node.device.books.injected_mj)
        counted_out.update(node.device.books.delivered_mj)
    on_links: Counter[tuple[str, str]] = Counter()
    lost_on_links: Counter[tuple[str, str]] = Counter()
    for record in world.loop.registers.values():
        for link in record.links:
            on_links[link.from_router_id, link.link_id] += link.sent_mj or 0
            lost_on_links[link.from_router_id, link.link_id] += link.line_loss_mj or 0
    for router_id, node in world.loop.nodes.items():
        for link_id, link_books in node.device.books.links.items():
            assert on_links[router_id, link_id] == link_books.sent_mj
            assert lost_on_links[router_id, link_id] == link_books.line_loss_mj
    assert +injected_mj == +counted_in
    assert +delivered_mj == +counted_out
    assert sum(delivered_mj.values()) > 0
