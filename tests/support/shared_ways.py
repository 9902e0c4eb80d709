"""Circuits with ways of their own, whose standbys share lines, on devices in simulated time.

Circuit k works over ``w{k}`` - ``t`` from a source of its own. All standbys run ``s`` - ``m`` - ``n`` - ``t``, beside
one working circuit, number 100, that has no other way. The lines in common carry that circuit and the pool, and no
more; the source at ``s`` gives as much.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from msgspec.structs import replace as replace_hop

from digitalgrid.model import CircuitGeneration, HopSnapshot, Operation, StandbyPool
from digitalgrid.units import MILLIJOULES_PER_J, NS_PER_MS, NS_PER_S
from router_agent.config import LinkConfig, RouterConfig
from router_agent.device.mutation import Mutation
from tests.support.device_network import ELECTION_ID, DeviceNetwork, circuit_hops, router

SINK, COMMON = "t", ("s", "m", "n", "t")
VOLTAGE_V = 20e3
BESIDE = 100
TRICKLE = 0.1


@dataclass(frozen=True)
class Wish:
    """A protected circuit."""

    power_w: float
    priority: int = 0


class SharedPlan:
    """What there is, and what is told to whom.

    ``pooled`` circuits can be served at once: theirs is the largest need of any failure that is foreseen.
    """

    def __init__(
        self, wishes: Sequence[Wish], pooled: Sequence[int], beside_w: float = 1e6
    ) -> None:
        self.wishes = dict(enumerate(wishes, start=1))
        self.beside_w = beside_w
        self._seqs = itertools.count(1)
        configs = self._configs(1e9, {})
        common = [configs[name] for name in COMMON]
        # Losses are convex, and are worked out in order of admission, each beside all before it.
        reserved_a: dict[tuple[str, str], float] = {}
        self.hops = {
            CircuitGeneration(BESIDE, 1): circuit_hops(
                CircuitGeneration(BESIDE, 1), next(self._seqs), common, beside_w, reserved_a
            )
        }
        working_a = dict(reserved_a)
        standbys: dict[int, dict[str, HopSnapshot]] = {}
        for number, wish in self.wishes.items():
            key = CircuitGeneration(number, 1)
            way = [configs[f"w{number}"], configs[SINK]]
            hops = circuit_hops(key, next(self._seqs), way, wish.power_w, {})
            self.hops[key] = _with(hops, priority=wish.priority)
        worst_a = self._worst_a(configs, pooled, working_a)
        for number, wish in self.wishes.items():
            key = CircuitGeneration(number, 2)
            hops = circuit_hops(key, next(self._seqs), common, wish.power_w, dict(worst_a))
            standbys[number] = _with(
                hops, priority=wish.priority, standby=True, shared_standby=True, trickle=TRICKLE
            )
            self.hops[key] = standbys[number]
        self.pools = {
            name: StandbyPool(
                f"{name}-{after}", sum(standbys[each][name].received_power_w for each in pooled)
            )
            for name, after in itertools.pairwise(COMMON)
        }
        beside = self.hops[CircuitGeneration(BESIDE, 1)]
        source_w = beside["s"].ingress_power_w + sum(
            standbys[each]["s"].ingress_power_w for each in pooled
        )
        ampacity_a = {
            pool.link_id: (pool.received_power_w + beside[name].received_power_w) / VOLTAGE_V
            for name, pool in self.pools.items()
        }
        self.configs = self._configs(source_w, ampacity_a)

    def pools_at(self, name: str, hop: HopSnapshot) -> list[StandbyPool]:
        """Those that come with a hop."""
        return [self.pools[name]] if hop.shared_standby and name in self.pools else []

    def _worst_a(
        self,
        configs: dict[str, RouterConfig],
        pooled: Sequence[int],
        before_a: dict[tuple[str, str], float],
    ) -> dict[tuple[str, str], float]:
        """What any standby has beside it under its worst failure, and more."""
        worst_a = dict(before_a)
        common = [configs[name] for name in COMMON]
        for number in pooled:
            power_w = self.wishes[number].power_w
            circuit_hops(CircuitGeneration(number, 2), 1, common, power_w, worst_a)
        return worst_a

    def _configs(self, source_w: float, ampacity_a: dict[str, float]) -> dict[str, RouterConfig]:
        links: dict[str, list[tuple[str, str]]] = {}
        ways = [COMMON, *((f"w{number}", SINK) for number in self.wishes)]
        for one, other in (pair for way in ways for pair in itertools.pairwise(way)):
            links.setdefault(one, []).append((f"{one}-{other}", other))
            links.setdefault(other, []).append((f"{one}-{other}", one))
        return {
            name: replace(
                config,
                links=tuple(
                    _rated(link, ampacity_a.get(link.id, link.ampacity_a)) for link in config.links
                ),
            )
            for name, config in (
                (each, router(each, *ends, source_w=source_w if each == "s" else 1e9, load_w=1e9))
                for each, ends in links.items()
            )
        }


class SharedWays(SharedPlan):
    """The same, running."""

    def __init__(
        self, wishes: Sequence[Wish], pooled: Sequence[int], beside_w: float = 1e6
    ) -> None:
        super().__init__(wishes, pooled, beside_w)
        self._txn_ids = itertools.count(1)
        self.network = DeviceNetwork(list(self.configs.values()))
        self.run_ms(400)
        for key, hops in self.hops.items():
            self.program(key, hops)

    def program(self, key: CircuitGeneration, hops: dict[str, HopSnapshot]) -> None:
        """From the load towards the source, with the pools that it needs."""
        txn_id = next(self._txn_ids)
        for name in reversed(hops):
            self.stage(name, txn_id, [hops[name]], self.pools_at(name, hops[name]))
        for name in reversed(hops):
            assert self.network.commit(name, txn_id).code == 1, key

    def stage(
        self, name: str, txn_id: int, hops: Sequence[HopSnapshot], pools: Sequence[StandbyPool]
    ) -> None:
        stage = Mutation(
            Operation.STAGE,
            "test",
            ELECTION_ID,
            txn_id,
            tuple(hops),
            lease_ns=NS_PER_S,
            pools=tuple(pools),
        )
        assert self.network.mutate(name, stage).code == 1

    def restored(self, name: str) -> None:
        """What a controller does for a router that has come back with nothing."""
        txn_id = next(self._txn_ids)
        hops = [of[name] for of in self.hops.values() if name in of]
        self.stage(name, txn_id, hops, [self.pools[name]])
        assert self.network.commit(name, txn_id).code == 1

    def run_ms(self, duration_ms: float) -> None:
        self.network.run(round(duration_ms * NS_PER_MS))

    def cut(self, *numbers: int) -> None:
        for number in numbers:
            self.network.cut(f"w{number}-{SINK}")

    def delivered_mj(self, circuit_id: int) -> int:
        books = self.network.nodes[SINK].device.read_books(self.network.now_ns)
        return sum(
            each.delivered_mj
            for key, each in books.circuits.items()
            if key.circuit_id == circuit_id
        )

    def missing_ms(self, duration_ms: float) -> dict[int, float]:
        """Of each circuit, what its load does not get from now on, in ms of its power; the pools are kept meanwhile."""
        powers_w = {number: wish.power_w for number, wish in self.wishes.items()}
        powers_w[BESIDE] = self.beside_w
        before = {number: self.delivered_mj(number) for number in powers_w}
        began_ns = self.network.now_ns
        while (self.network.now_ns - began_ns) < duration_ms * NS_PER_MS:
            self.run_ms(3)
            self.assert_within_pools()
        seconds = (self.network.now_ns - began_ns) / NS_PER_S
        return {
            number: (
                power_w * MILLIJOULES_PER_J * seconds - self.delivered_mj(number) + before[number]
            )
            / power_w
            for number, power_w in powers_w.items()
        }

    def active_w(self, name: str) -> float:
        return sum(
            flow.accepted_w
            for flow in self.network.nodes[name].device.flows
            if flow.hop.shared_standby and flow.egress is not None
        )

    def assert_within_pools(self) -> None:
        for name, pool in self.pools.items():
            device = self.network.nodes[name].device
            shared = [each for each in device.flows if each.hop.shared_standby]
            active_w = sum(Fraction(flow.accepted_w) for flow in shared)
            trickles_w = sum(flow.surplus_w for flow in shared if flow.idle)
            assert active_w <= pool.received_power_w + 0.1, name
            assert trickles_w == 0.0 or active_w == 0.0, name
            assert trickles_w <= pool.received_power_w, name

    def assert_sound(self) -> None:
        """Books balance to the millijoule; no line and no source carried more than what works and the pool."""
        for node in self.network.nodes.values():
            if not node.alive:
                continue
            assert node.device.fault() == ""
            assert node.device.books.oversubscribed_instants == 0
            for link in node.device.books.links.values():
                assert link.oversubscribed_instants == 0


def _rated(link: LinkConfig, ampacity_a: float) -> LinkConfig:
    return replace(link, ampacity_a=ampacity_a)


def _with(
    hops: dict[str, HopSnapshot], *, trickle: float = 0.0, **changes: object
) -> dict[str, HopSnapshot]:
    return {
        name: replace_hop(hop, trickle_w=trickle * hop.ingress_power_w, **changes)
        for name, hop in hops.items()
    }
