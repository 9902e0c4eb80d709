"""What must hold of a simulated network once all is healed and nothing is under way any more."""

from abc import ABC, abstractmethod
from collections.abc import Set
from contextlib import suppress

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.circuits.generation import Generation, Role
from controller.core.circuits.protection import Protection
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.controller import Controller
from controller.core.errors import Refusal
from controller.routing.assignments.room import RoomPlan
from tests.support.simulated_grid import SimulatedGrid
from tests.support.simulated_store import SimulatedStore
from tests.support.single_failures import overrun


class AtRest(ABC):
    """Checks of a network that moves by itself, which says what there is of it."""

    now_ns: int
    grid: SimulatedGrid
    store: SimulatedStore
    dimmed: set[str]
    forgotten: set[str]
    once_forgotten: set[str]

    @property
    @abstractmethod
    def core(self) -> Controller:
        """The one that leads."""

    @abstractmethod
    def make_room(self) -> RoomPlan:
        """What moves of others would serve."""

    @abstractmethod
    def _check_limits(self, excused: Set[str]) -> None:
        """Nothing has more than it may."""

    def check_registers(self) -> None:
        """Of every generation that any router has held and none holds, what both of its ends metered is stored."""
        standing = set(self.core.questions.generations())
        written = [change for _, change in self.store.pending]
        registers = dict(self.store.registers)
        registers.update((each.key, each) for change in written for each in change.registers)
        for router_id, router in self.grid.routers.items():
            if router_id not in self.once_forgotten | self.forgotten:
                assert router.metered.keys() <= standing | registers.keys()
        for record in registers.values():
            for router_id, said_mj, more_mj in (
                (record.source_router_id, record.injected_mj, 0),
                (record.sink_router_id, record.delivered_mj, 0),
                *((each.from_router_id, each.sent_mj, 1) for each in record.links),
                *((each.from_router_id, each.line_loss_mj, 2) for each in record.links),
            ):
                router = self.grid.routers[router_id]
                if (
                    router.tells_final_meters
                    and router_id not in self.once_forgotten | self.forgotten
                ):
                    metered_mj = router.metered.get(record.key)
                    assert said_mj == (None if metered_mj is None else metered_mj + more_mj), record

    def check_rest(self) -> None:
        """What must hold once all is healed: every circuit is where it belongs, and nothing else is anywhere."""
        self._check_limits(excused=set())
        expected, held = set(), set()
        for circuit in self.core.questions.circuits.values():
            assert (circuit.state is CircuitState.DEGRADED) == (circuit.curtailed is not None)
            if circuit.is_held and circuit.state is CircuitState.RESERVED:
                held |= {each.key for each in circuit.generations.values()}
                continue
            assert circuit.state in (
                CircuitState.ACTIVE,
                CircuitState.DEGRADED,
                CircuitState.WAITING,
                CircuitState.WITHDRAWN,
                CircuitState.FAILED,
            ), f"{circuit.circuit_id} rests as {circuit.state}: {circuit.reason}"
            if circuit.state in (CircuitState.ACTIVE, CircuitState.DEGRADED):
                self._check_protection(circuit)
                working = {each.key for each in (circuit.newest(),) if each}
                standing = {each.key for each in circuit.standbys()}
                assert len(standing) < 2, f"{circuit.circuit_id} keeps one that was replaced"
                assert {each.key for each in circuit.generations.values()} == working | standing
                for generation in circuit.generations.values():
                    hops = generation.route.router_ids
                    expected |= {(router_id, generation.key) for router_id in hops}
                    sink = self.grid.routers[generation.route.sink_router_id]
                    assert self.grid.path_is_complete(generation.key, sink)
                    self._check_roles(generation)
            else:
                assert not circuit.generations, f"{circuit.circuit_id} holds on as {circuit.state}"
            if circuit.state is CircuitState.WAITING:
                assert self.way_for(circuit) is None, f"{circuit.circuit_id} waits beside a way"
        self._check_pools()
        assert not self.make_room().served, "circuits wait that moves of others would serve"
        assert self.grid.held() == expected
        booked = {key for _, key in expected} | held
        assert set(self.core.questions.generations()) == booked

    def _check_protection(self, circuit: Circuit) -> None:
        """Its word is final: a standby that is full, or could not be filled, or none where there is no way for one."""
        guard, standby = circuit.guard, circuit.standby()
        if guard.against is None:
            assert (guard.word, standby) == (Protection.NONE, None)
        elif guard.word is Protection.LOST:
            assert standby is None and guard.reason
            assert not self._has_pair_for(circuit), f"{circuit.circuit_id}: {guard}"
        elif standby is None or standby.route.trickle_w:
            assert guard.word is Protection.PROTECTED, f"{circuit.circuit_id}: {guard}"
        else:
            assert guard.word is Protection.PENDING, f"{circuit.circuit_id}: {guard}"

    def _check_roles(self, generation: Generation) -> None:
        """Routers know a generation's role as the controller does."""
        for router_id in generation.route.router_ids:
            hop = self.grid.routers[router_id].hop(generation.key)
            assert hop is not None and hop.standby == (generation.role is Role.STANDBY)
            assert hop.shared_standby == (generation.shares and bool(hop.egress_link_id))

    def _check_pools(self) -> None:
        """Routers know the pools as they are booked, and no single failure asks for more than there is."""
        view = self.core.questions.view
        for link in view.links.values():
            for end in {link.a, link.b} & self.grid.routers.keys():
                booked_w = self.core.questions.pool_on_link_a(link.link_id, end) * link.voltage_v
                told_w = self.grid.routers[end].pools.get(link.link_id, 0.0)
                assert abs(told_w - booked_w) <= 1e-6 * booked_w, (link.link_id, end)
        found = overrun(self.core.questions, self.dimmed)
        assert found == [], found

    def _has_pair_for(self, circuit: Circuit) -> bool:
        """Whether another circuit like it, which displaces nobody, would be protected beside it."""
        wanted = PowerRequest(
            *("", circuit.sink_id, circuit.power_w, circuit.source_ids, circuit.constraints),
            setup_priority=0,
            hold_priority=circuit.priority,
            protect=circuit.guard.against,
            dedicated=circuit.guard.dedicated,
        )
        with suppress(Refusal):
            (served,) = self.core.rehearse(wanted, self.now_ns).served
            return served.standby is not None
        return False

    def way_for(self, circuit: Circuit) -> Route | None:
        """The route that the circuit could take as all others stand."""
        wanted = PowerRequest(
            *("", circuit.sink_id, circuit.power_w, circuit.source_ids, circuit.constraints),
            setup_priority=circuit.setup_priority,
            hold_priority=circuit.priority,
        )
        with suppress(Refusal):
            return self.core.compute(wanted, self.now_ns)[0]
        return None
