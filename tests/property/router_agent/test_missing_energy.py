"""Whatever happens to circuits, what their loads got and what is missing is what they were promised, exactly."""

from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from digitalgrid.model import CircuitGeneration
from digitalgrid.units import MICROWATTS_PER_W
from router_agent.device.missing import ROUNDING_MJ
from tests.property.test_router_device import PATHS, SOURCE_W, DeviceMachine

_UNITS_PER_MJ = 10**12


@dataclass
class Expected:
    """Power times time, by the word of whoever programs the routers."""

    sink: str
    power_uw: int
    since_ns: int
    units: int = 0
    stands: bool = True
    # It was promised the same power all the time.
    even: bool = True

    def settle(self, now_ns: int) -> None:
        if self.stands:
            self.units += self.power_uw * (now_ns - self.since_ns)
        self.since_ns = now_ns


class PromiseMachine(DeviceMachine):
    # Power moves at each Commit, so that whoever programs the routers knows what is promised.
    protects = False

    def __init__(self) -> None:
        super().__init__()
        self.expected: dict[int, Expected] = {}
        # Circuits that wait, with their sink and the generation that they had.
        self.waiting: dict[int, CircuitGeneration] = {}

    def _program(
        self,
        key: CircuitGeneration,
        path: tuple[str, ...],
        power_w: float,
        *,
        standby: bool = False,
    ) -> bool:
        known = self.expected.get(key.circuit_id)
        if known is not None and not known.stands:
            known = None
        if not super()._program(key, path, power_w, standby=standby):
            return False
        power_uw = round(power_w * MICROWATTS_PER_W)
        if known is None:
            self.expected[key.circuit_id] = Expected(path[-1], power_uw, self.network.now_ns)
        else:
            known.settle(self.network.now_ns)
            known.even = known.even and known.power_uw == power_uw
            known.power_uw = power_uw
        return True

    @rule(router_id=st.sampled_from("abcd"))
    def kill_or_restart(self, router_id: str) -> None:
        super().kill_or_restart(router_id)
        node = self.network.nodes[router_id]
        for circuit_id, expected in list(self.expected.items()):
            saved = node.saved.promises.get(circuit_id)
            told = (expected.power_uw, True) if expected.stands else (0, False)
            if expected.sink == router_id and (
                saved is None or told != (saved.power_uw, saved.stands)
            ):
                # It died before it could note what it had been told last.
                del self.expected[circuit_id]
                self.waiting.pop(circuit_id, None)
                self.running.pop(circuit_id, None)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), wait_us=st.sampled_from([0, 3_000, 150_000, 700_000]))
    def retire(self, data: st.DataObject, wait_us: int) -> None:
        circuit_id = data.draw(st.sampled_from(sorted(self.running)))
        key = self.running[circuit_id].pop(0)
        sink = list(self.admission.reserved[key])[-1]
        if not self.running[circuit_id]:
            del self.running[circuit_id]
            self._over(circuit_id)
        if self.network.nodes[sink].alive:
            self.network.drain(sink, key)
        self.network.run(wait_us * 1000)
        self._withdraw(key)

    def _over(self, circuit_id: int) -> None:
        """Its sink hears that nothing is promised any more, or will not be looked at again."""
        expected = self.expected[circuit_id]
        expected.settle(self.network.now_ns)
        expected.stands = False
        if not self.network.nodes[expected.sink].alive:
            del self.expected[circuit_id]

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def lose_all_paths(self, data: st.DataObject) -> None:
        """Withdraw all generations; the promise stands."""
        circuit_id = data.draw(st.sampled_from(sorted(self.running)))
        if not self.network.nodes[self.expected[circuit_id].sink].alive:
            return
        # What has been committed is wanted by then.
        self.network.run(1000)
        for key in self.running.pop(circuit_id):
            self._withdraw(key)
            self.waiting[circuit_id] = key

    @rule(router_id=st.sampled_from("abcd"), share=st.sampled_from([0.0, 0.1, 0.4, 1.0]))
    def cloud(self, router_id: str, share: float) -> None:
        node = self.network.nodes[router_id]
        if node.alive:
            limit_w = share * SOURCE_W
            effects = node.device.source_limit(f"pv-{router_id}", limit_w, self.network.now_ns)
            self.network.carry_out(router_id, effects)

    @rule(router_id=st.sampled_from("abcd"), share=st.sampled_from([0.0, 0.3, 1.0]))
    def unplug_or_plug(self, router_id: str, share: float) -> None:
        node = self.network.nodes[router_id]
        if node.alive:
            effects = node.device.load_limit(f"town-{router_id}", share, self.network.now_ns)
            self.network.carry_out(router_id, effects)
            for expected in self.expected.values():
                # What was on its way comes all the same.
                expected.even = expected.even and expected.sink != router_id

    def _withdraw(self, key: CircuitGeneration) -> None:
        expected = self.expected.get(key.circuit_id)
        stands = expected is not None and expected.stands
        for router_id in self.admission.reserved.pop(key):
            if self.network.nodes[router_id].alive:
                self.network.withdraw(router_id, key, promise_stands=stands)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), gives_up=st.booleans())
    def end_the_wait(self, data: st.DataObject, gives_up: bool) -> None:
        circuit_id = data.draw(st.sampled_from(sorted(self.waiting)))
        key, expected = self.waiting[circuit_id], self.expected[circuit_id]
        if not self.network.nodes[expected.sink].alive:
            return
        if gives_up:
            self._over(circuit_id)
            self.network.withdraw(expected.sink, key)
            del self.waiting[circuit_id]
            return
        path = data.draw(st.sampled_from([path for path in PATHS if path[-1] == expected.sink]))
        following = CircuitGeneration(circuit_id, key.generation + 1)
        self.waiting[circuit_id] = following
        if self._program(following, path, expected.power_uw / MICROWATTS_PER_W):
            self.running[circuit_id] = [following]
            del self.waiting[circuit_id]

    @invariant()
    def what_came_and_what_is_missing_is_what_was_promised(self) -> None:
        for circuit_id, expected in self.expected.items():
            node = self.network.nodes[expected.sink]
            if not node.alive:
                continue
            expected.settle(self.network.now_ns)
            books = node.device.read_books(self.network.now_ns)
            promise = books.promises[circuit_id]
            assert promise.stands is expected.stands
            off = promise.promised_mj * _UNITS_PER_MJ - expected.units
            # A millijoule for what is missing, and one for what is refused.
            assert abs(off) <= (ROUNDING_MJ + 2) * _UNITS_PER_MJ
            delivered_mj = sum(
                circuit.delivered_mj
                for key, circuit in books.circuits.items()
                if key.circuit_id == circuit_id
            )
            kept_mj = promise.promised_mj - promise.missing_mj
            assert 0 <= kept_mj <= delivered_mj
            if expected.stands and expected.even:
                assert kept_mj == delivered_mj


PromiseMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
TestMissingEnergy = PromiseMachine.TestCase
