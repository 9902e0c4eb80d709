"""Random demands, programming and faults on a mesh of pure devices: the books must hold at every step."""

import itertools
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec.structs import replace as replace_hop

from digitalgrid.model import CircuitGeneration, FlowState, HopSnapshot, ResultCode
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.config import RouterConfig
from tests.support.device_network import DeviceNetwork, Node, circuit_hops, router

AMPACITY_A = 300.0
SOURCE_W = 9e6
LOAD_W = 6e6
# Of what a generation has reserved: what it may take to charge while it is idle.
TRICKLE = 0.1
DEAD_NS = 170 * NS_PER_MS
LINKS = {"ab": "ab", "bc": "bc", "cd": "cd", "da": "da", "ac": "ac"}
PATHS = [
    path
    for length in (1, 2, 3, 4)
    for path in itertools.permutations("abcd", length)
    if all(
        "".join(pair) in LINKS or "".join(pair[::-1]) in LINKS for pair in itertools.pairwise(path)
    )
]

Hops = dict[str, HopSnapshot]
Way = tuple[str, str]


def mesh() -> list[RouterConfig]:
    """Four routers in a ring with one chord, lossy lines, an efficiency that never comes out even."""
    configs = []
    for name in "abcd":
        links = [
            (link_id, next(end for end in ends if end != name))
            for link_id, ends in LINKS.items()
            if name in ends
        ]
        configs.append(
            router(
                name,
                *links,
                source_w=SOURCE_W,
                load_w=LOAD_W,
                resistance_ohm=1.7,
                ampacity_a=AMPACITY_A,
                efficiency=0.9613,
            )
        )
    return configs


class Admission:
    """A controller's reservations, as small as it can be: what every generation has reserved."""

    def __init__(self, configs: list[RouterConfig], trickle: float) -> None:
        self._trickle = trickle
        self._configs = {config.router_id: config for config in configs}
        self._seq = itertools.count(1)
        self.reserved: dict[CircuitGeneration, Hops] = {}

    def admit(
        self,
        key: CircuitGeneration,
        path: tuple[str, ...],
        power_w: float,
        *,
        standby: bool = False,
    ) -> Hops | None:
        """The hops of a new generation at the tail of every link, or None where it does not fit."""
        before_a = self._currents(without=key.circuit_id)
        routers = [self._configs[name] for name in path]
        hops = {
            name: replace_hop(hop, standby=standby, trickle_w=self._trickle * hop.ingress_power_w)
            for name, hop in circuit_hops(key, next(self._seq), routers, power_w, before_a).items()
        }
        self.reserved[key] = hops
        if self._fits():
            return hops
        del self.reserved[key]
        return None

    def _currents(self, without: int = 0) -> dict[Way, float]:
        """By link and sender; the generations of one circuit reserve the largest, and a trickle for the others."""
        by_circuit: dict[tuple[int, Way], list[float]] = {}
        for key, hops in self.reserved.items():
            if key.circuit_id == without:
                continue
            for router_id, hop in hops.items():
                if hop.egress_link_id:
                    place = (key.circuit_id, (hop.egress_link_id, router_id))
                    current_a = hop.received_power_w / 20e3
                    by_circuit.setdefault(place, []).append(current_a)
        total: dict[Way, float] = {}
        for (_, way), currents_a in by_circuit.items():
            trickles_a = self._trickle * sum(sorted(currents_a)[:-1]) * 1.1
            total[way] = total.get(way, 0.0) + max(currents_a) + trickles_a
        return total

    def _fits(self) -> bool:
        both_a: dict[str, float] = {}
        for (link_id, _), current_a in self._currents().items():
            both_a[link_id] = both_a.get(link_id, 0.0) + current_a
        cells: dict[tuple[str, int], float] = {}
        for key, hops in self.reserved.items():
            for hop in hops.values():
                for name, power_w in (
                    (hop.source_id, hop.ingress_power_w),
                    (hop.load_id, hop.received_power_w),
                ):
                    if name:
                        place = (name, key.circuit_id)
                        cells[place] = max(cells.get(place, 0.0), power_w)
        used: dict[str, float] = {}
        for (name, _), power_w in cells.items():
            used[name] = used.get(name, 0.0) + power_w
        return all(current_a <= AMPACITY_A for current_a in both_a.values()) and all(
            power_w <= (SOURCE_W if name.startswith("pv") else LOAD_W)
            for name, power_w in used.items()
        )


class DeviceMachine(RuleBasedStateMachine):
    # Circuits get standbys, and generations a trickle to charge by before power moves to them.
    protects: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.network = DeviceNetwork(mesh())
        self.network.run(200 * NS_PER_MS)
        configs = [node.config for node in self.network.nodes.values()]
        self.admission = Admission(configs, TRICKLE if self.protects else 0.0)
        self.txn_ids = itertools.count(1)
        self.circuit_ids = itertools.count(1)
        # Newest last; two while a newer generation takes over.
        self.running: dict[int, list[CircuitGeneration]] = {}
        self.newest: dict[int, int] = {}
        self.began_ns: dict[str, list[int]] = {name: [] for name in "abcd"}

    @initialize(
        paths=st.lists(st.sampled_from(PATHS), min_size=2, max_size=4), charged=st.booleans()
    )
    def begin_with_power(self, paths: list[tuple[str, ...]], charged: bool) -> None:
        """Some circuits, with standbys on whatever other way there is."""
        for path in paths:
            self.request(path, 1e6)
        self.network.run(700 * NS_PER_MS)
        if not self.protects:
            return
        for circuit_id, path in zip(list(self.running), paths, strict=False):
            others = [
                each for each in PATHS if each[-1] == path[-1] and not set(each[:-1]) & set(path)
            ]
            if others:
                self._add(circuit_id, others[0], 1e6, standby=True)
        self.network.run(5 * NS_PER_S if charged else 0)

    @rule(
        duration_us=st.sampled_from([0, 50, 700, 2_100, 9_000, 33_000, 101_000, 260_000, 3_000_000])
    )
    def wait(self, duration_us: int) -> None:
        self.network.run(duration_us * 1000)

    @rule(link_id=st.sampled_from(sorted(LINKS)))
    def cut_or_restore(self, link_id: str) -> None:
        if link_id in self.network.cut_links:
            self.network.restore(link_id)
        else:
            self.network.cut(link_id)

    @rule(link_id=st.sampled_from(sorted(LINKS)), both=st.booleans())
    def silence_or_heal(self, link_id: str, both: bool) -> None:
        if any(link_id == silent for silent, _ in self.network.silent):
            self.network.heal(link_id)
        else:
            self.network.silence(link_id, *(() if both else link_id[:1]))
            # A silence shorter than the dead interval goes unnoticed: it is loss in transit.
            self.network.run(200 * NS_PER_MS)

    @rule(router_id=st.sampled_from("abcd"))
    def kill_or_restart(self, router_id: str) -> None:
        if self.network.nodes[router_id].alive:
            self.network.kill(router_id)
        else:
            self.network.restart(router_id)
            self.began_ns[router_id].append(self.network.now_ns)

    @rule(path=st.sampled_from(PATHS), power_w=st.floats(1.0, 6e6))
    def request(self, path: tuple[str, ...], power_w: float) -> None:
        key = CircuitGeneration(next(self.circuit_ids), 1)
        if self._program(key, path, power_w):
            self.running[key.circuit_id] = [key]

    @precondition(lambda self: self.running)
    @rule(data=st.data(), power_w=st.floats(1.0, 6e6))
    def reroute(self, data: st.DataObject, power_w: float) -> None:
        """Another path to the same load, or the same with another power; the old one is drained later."""
        circuit_id = data.draw(st.sampled_from(sorted(self.running)))
        keys = self.running[circuit_id]
        sink = list(self.admission.reserved[keys[-1]])[-1]
        path = data.draw(st.sampled_from([path for path in PATHS if path[-1] == sink]))
        self._add(circuit_id, path, power_w, standby=False)

    @precondition(lambda self: self.running and self.protects)
    @rule(data=st.data())
    def protect(self, data: st.DataObject) -> None:
        """A standby for what carries the circuit, on any way to its load."""
        circuit_id = data.draw(st.sampled_from(sorted(self.running)))
        hops = self.admission.reserved[self.running[circuit_id][-1]]
        sink = list(hops)[-1]
        path = data.draw(st.sampled_from([path for path in PATHS if path[-1] == sink]))
        self._add(circuit_id, path, hops[sink].power_w, standby=True)

    @precondition(lambda self: self.running and self.protects)
    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        """As a controller does that heard of a switch: wherever it can."""
        circuit_id = data.draw(st.sampled_from(sorted(self.running)))
        key = data.draw(st.sampled_from(self.running[circuit_id]))
        for router_id in self.admission.reserved[key]:
            if self.network.nodes[router_id].alive:
                self.network.promote(router_id, key)

    def _add(
        self, circuit_id: int, path: tuple[str, ...], power_w: float, *, standby: bool
    ) -> None:
        keys = self.running[circuit_id]
        key = CircuitGeneration(circuit_id, self.newest[circuit_id] + 1)
        if len(keys) < 3 and self._program(key, path, power_w, standby=standby):
            keys.append(key)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), wait_us=st.sampled_from([0, 3_000, 150_000, 700_000]))
    def retire(self, data: st.DataObject, wait_us: int) -> None:
        """Drain and withdraw a generation of a circuit, in time or too early."""
        circuit_id = data.draw(st.sampled_from(sorted(self.running)))
        key = data.draw(st.sampled_from(self.running[circuit_id]))
        self.running[circuit_id].remove(key)
        if not self.running[circuit_id]:
            del self.running[circuit_id]
        hops = self.admission.reserved[key]
        sink = list(hops)[-1]
        if self.network.nodes[sink].alive:
            self.network.drain(sink, key)
        self.network.run(wait_us * 1000)
        self._withdraw(key)

    def _program(
        self,
        key: CircuitGeneration,
        path: tuple[str, ...],
        power_w: float,
        *,
        standby: bool = False,
    ) -> bool:
        """All or nothing, from the sink towards the source."""
        hops = self.admission.admit(key, path, power_w, standby=standby)
        if hops is None:
            return False
        self.newest[key.circuit_id] = key.generation
        txn_id = next(self.txn_ids)
        staged = all(
            self.network.nodes[router_id].alive
            and self.network.stage(router_id, txn_id, hop).code is ResultCode.OK
            for router_id, hop in reversed(hops.items())
        )
        if not staged:
            self._withdraw(key)
            return False
        for router_id in reversed(hops):
            assert self.network.commit(router_id, txn_id).code is ResultCode.OK
        return True

    def _withdraw(self, key: CircuitGeneration) -> None:
        hops = self.admission.reserved.pop(key)
        for router_id in hops:
            if self.network.nodes[router_id].alive:
                assert self.network.withdraw(router_id, key).code is ResultCode.OK

    @invariant()
    def books_balance(self) -> None:
        for node in self.network.nodes.values():
            if not node.alive:
                continue
            books = node.device.books
            assert books.imbalance_mj() == 0
            assert books.buffered_mj == sum(flow.buffer_mj for flow in node.device.flows)
            assert all(flow.buffer_mj >= 0 for flow in node.device.flows)
            assert books.max_formula_deviation_mj <= 1.0

    @invariant()
    def lines_lose_nothing_without_a_fault(self) -> None:
        for node in self.network.nodes.values():
            for link_id, mine in node.device.books.links.items():
                assert mine.lost_in_transit_mj == 0
                assert mine.received_mj + mine.lost_to_faults_mj == mine.heard_total_mj
                (far,) = (end for end in self.network.ends[link_id] if end != node.config.router_id)
                total_mj = self.network.nodes[far].device.books.links[link_id].total_mj
                assert mine.heard_total_mj <= total_mj

    @invariant()
    def nothing_is_oversubscribed(self) -> None:
        for node in self.network.nodes.values():
            books = node.device.books
            assert books.oversubscribed_instants == 0
            assert all(link.oversubscribed_instants == 0 for link in books.links.values())

    @invariant()
    def one_role_is_demanded_at_each_sink(self) -> None:
        for node in self.network.nodes.values():
            roles: dict[int, set[bool]] = {}
            for flow in node.device.flows:
                if flow.egress is None and flow.demand_w > 0.0:
                    roles.setdefault(flow.key.circuit_id, set()).add(flow.hop.standby)
            assert all(len(of_one) == 1 for of_one in roles.values())

    @invariant()
    def no_selector_swings_faster_than_it_may(self) -> None:
        for node in self.network.nodes.values():
            switched_ns: dict[tuple[int, int], int] = {}
            for at_ns, status in node.statuses:
                if status.state is FlowState.SWITCHED:
                    place = (status.key.circuit_id, self.boots(node, at_ns))
                    before_ns = switched_ns.get(place, at_ns - 3 * DEAD_NS)
                    assert at_ns - before_ns >= 3 * DEAD_NS
                    switched_ns[place] = at_ns

    def boots(self, node: Node, at_ns: int) -> int:
        """How often the router had begun anew by then: what it selected before is forgotten."""
        return sum(began_ns <= at_ns for began_ns in self.began_ns[node.config.router_id])

    def teardown(self) -> None:
        """Heal and release all: everything becomes quiet, and every millijoule is accounted for."""
        for link_id in LINKS:
            self.network.heal(link_id)
            if link_id in self.network.cut_links:
                self.network.restore(link_id)
        for router_id, node in self.network.nodes.items():
            if not node.alive:
                self.network.restart(router_id)
        self.network.run(500 * NS_PER_MS)
        for keys in self.running.values():
            for key in keys:
                sink = list(self.admission.reserved[key])[-1]
                self.network.drain(sink, key)
        self.network.run(3000 * NS_PER_MS)
        for key in list(self.admission.reserved):
            self._withdraw(key)
        self.network.run(500 * NS_PER_MS)
        self.books_balance()
        self.lines_lose_nothing_without_a_fault()
        self.nothing_is_oversubscribed()
        for node in self.network.nodes.values():
            assert node.device.books.buffered_mj == 0
            assert node.device.demand_mw == 0
            for link_id, line in node.device.lines.items():
                assert line.up
                assert not line.stated.demands and not line.stated.grants and not line.pending
                (far,) = (end for end in self.network.ends[link_id] if end != node.config.router_id)
                total_mj = self.network.nodes[far].device.books.links[link_id].total_mj
                assert node.device.books.links[link_id].heard_total_mj == total_mj


DeviceMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
TestDevices = DeviceMachine.TestCase
