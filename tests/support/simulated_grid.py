"""Routers as a controller sees them: real circuit tables, joined by lines whose power is simply there or not.

Power follows commitments at once: a sink measures the power of a generation as soon as every hop of it is
committed, every line on its path is up and every router alive. A standby is full as soon as it is complete, if it may
fill at all; its sink selects it when what it had selected is complete no more. Nothing here knows a controller.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from controller.core import messages
from controller.core.messages import (
    CircuitStatus,
    ToRouter,
    TransactionResult,
)
from digitalgrid.capabilities import UNSAID, Capability
from digitalgrid.gridfile import Grid, Link, Load, Router, Source
from digitalgrid.model import (
    NO_ELECTION_ID,
    CircuitGeneration,
    DownCause,
    ElectionId,
    FinalMeter,
    FlowState,
    HopSnapshot,
    LinkAdvertisement,
    LoadAdvertisement,
    Operation,
    ResultCode,
    RouterLsa,
    SourceAdvertisement,
    SwitchCause,
)
from digitalgrid.physics import ACTUATED_FRACTION, current_a
from digitalgrid.sharing import Claim, rank, share_out
from digitalgrid.units import NS_PER_MS
from router_agent.device.circuit_table import CircuitTable
from router_agent.device.mutation import Mutation

# Sums of reservations that two programs computed.
SLACK = 1 + 1e-6


@dataclass
class SimulatedRouter:
    """A cell's router. ``told`` is what its sink last said of each generation, ``full`` likewise of standbys, and
    ``selected`` by circuit what it demands, where it has ever left what it demanded first.
    """

    config: Router
    grid: "SimulatedGrid"
    table: CircuitTable = field(init=False)
    boot_id: int = 0
    lsa_seq: int = 0
    alive: bool = True
    draining: set[CircuitGeneration] = field(default_factory=set)
    told: dict[CircuitGeneration, FlowState] = field(default_factory=dict)
    full: dict[CircuitGeneration, FlowState] = field(default_factory=dict)
    selected: dict[int, CircuitGeneration] = field(default_factory=dict)
    # Whether it knows of standbys at all.
    stands_by: bool = True
    # Whether it holds shared standbys to the pools of its lines.
    holds_pools: bool = True
    # Whether it says what it had metered of what it ends.
    tells_final_meters: bool = True
    floors: dict[int, int] = field(default_factory=dict)
    election_id: ElectionId = NO_ELECTION_ID
    # Of all that was ever committed here, a figure that nothing else has (mJ).
    metered: dict[CircuitGeneration, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A cold start: tombstones and the highest election id were kept, circuits were not."""
        self.boot_id += 1
        self.lsa_seq = 0
        self.alive = True
        self.draining.clear()
        self.told.clear()
        self.full.clear()
        self.selected.clear()
        self.table = CircuitTable(
            self.link_up,
            [each.id for each in self.grid.sources_at(self.config.id)],
            [each.id for each in self.grid.loads_at(self.config.id)],
            self.election_id,
            self.floors,
        )

    def wipe(self) -> None:
        """A start with an empty state directory: a new device under the old id."""
        self.boot_id = 0
        self.floors = {}
        self.metered = {}
        self.election_id = NO_ELECTION_ID
        self.start()

    def link_up(self, link_id: str) -> bool | None:
        link = self.grid.links.get(link_id)
        if link is None or self.config.id not in (link.a, link.b):
            return None
        return self.grid.line_is_up(link_id)

    @property
    def capabilities(self) -> frozenset[Capability]:
        if not self.stands_by:
            return UNSAID
        return frozenset(Capability) - (set() if self.holds_pools else {Capability.POOLS})

    def hop(self, key: CircuitGeneration) -> HopSnapshot | None:
        return next((hop for hop in self.table.hops if hop.key == key), None)

    def apply(
        self, message: ToRouter, election_id: ElectionId, now_ns: int
    ) -> TransactionResult | messages.CircuitTable:
        """Do what a controller says, and answer."""
        if isinstance(message, messages.ReadTable):
            return self.read(message.read_id, now_ns)
        if isinstance(message, messages.Stage) and not self.stands_by:
            assert not any(hop.standby or hop.trickle_w for hop in message.hops), message
        if isinstance(message, messages.Stage) and not self.holds_pools:
            assert not message.pools and not any(hop.shared_standby for hop in message.hops)
        outcome = self.table.apply(_mutation(message, election_id), now_ns)
        self.floors.update(outcome.new_floors)
        self.election_id = outcome.highest_election_id
        if isinstance(message, messages.Drain) and outcome.code is ResultCode.OK:
            self.draining.update(message.circuits)
        for key in outcome.removed:
            self.draining.discard(key)
            self.told.pop(key, None)
            self.full.pop(key, None)
        for hop in outcome.added:
            figure_mj = zlib.crc32(f"{self.config.id} {hop.key}".encode())
            self.metered.setdefault(hop.key, figure_mj)
        ended: tuple[FinalMeter, ...] = ()
        if isinstance(message, messages.Withdraw) and self.tells_final_meters:
            known = [key for key in message.circuits if key in self.metered]
            ended = tuple(
                FinalMeter(key, *(self.metered[key] + more for more in (0, 0, 1, 2)))
                for key in known
            )
        return TransactionResult(
            *(outcome.txn_id, outcome.operation, outcome.code, outcome.message), ended=ended
        )

    @property
    def pools(self) -> Mapping[str, float]:
        """By link, what its shared standbys may put on it together (W)."""
        return self.table.pools.received_w

    def read(self, read_id: int, now_ns: int) -> messages.CircuitTable:
        self.table.expire(now_ns)
        return messages.CircuitTable(
            read_id,
            self.table.version,
            tuple(self.table.hops),
            frozenset(self.table.staged_txn_ids),
            tuple(self.table.pools.told),
        )

    def lsa(self) -> RouterLsa:
        """The next advertisement, of what is true now."""
        self.lsa_seq += 1
        router_id = self.config.id
        return RouterLsa(
            router_id=router_id,
            boot_id=self.boot_id,
            seq=self.lsa_seq,
            efficiency=self.config.efficiency,
            links=tuple(self._advertise(link) for link in self.grid.links_at(router_id)),
            sources=tuple(
                SourceAdvertisement(
                    each.id,
                    each.max_power_w,
                    each.cost_per_mwh,
                    each.renewable,
                    each.carbon_kg_per_mwh,
                )
                for each in self.grid.sources_at(router_id)
            ),
            loads=tuple(
                LoadAdvertisement(each.id, each.power_w, each.priority, each.value_per_mwh)
                for each in self.grid.loads_at(router_id)
            ),
            profile=self.grid.grid.profile_of(self.config),
            at=self.config.at,
        )

    def _advertise(self, link: Link) -> LinkAdvertisement:
        return LinkAdvertisement(
            link.id,
            link.b if link.a == self.config.id else link.a,
            link.resistance_ohm,
            link.voltage_v,
            link.ampacity_a,
            link.cost_per_mwh,
            self.grid.line_is_up(link.id),
            link.risk_groups,
            link.via if link.a == self.config.id else link.via[::-1],
            DownCause.UNKNOWN if self.grid.line_is_up(link.id) else DownCause.CARRIER_LOST,
        )

    def statuses(self) -> Iterator[CircuitStatus]:
        """What this sink's power looks like now, as far as it has not been told yet."""
        yield from self._selections()
        for hop in self.table.hops:
            idle = hop.standby and self.selected.get(hop.circuit_id) != hop.key
            if hop.load_id and idle and hop.key not in self.draining:
                full = self._filling(hop)
                if full is not None and full is not self.full.get(hop.key):
                    self.full[hop.key] = full
                    yield CircuitStatus(hop.key, full)
            elif hop.load_id:
                state = self._flow_state(hop)
                if state is not None and state is not self.told.get(hop.key):
                    self.told[hop.key] = state
                    yield CircuitStatus(hop.key, state, delivered_w=hop.power_w)

    def said(self) -> Iterator[CircuitStatus]:
        """What a new session is told of what was said before."""
        for circuit_id, key in sorted(self.selected.items()):
            if self.hop(key) is not None:
                yield CircuitStatus(key, FlowState.SWITCHED)
            else:
                del self.selected[circuit_id]
        for told in (self.full, self.told):
            for key, state in sorted(told.items()):
                yield CircuitStatus(key, state)

    def _selections(self) -> Iterator[CircuitStatus]:
        """Leave, in each circuit, what is complete no more for a standby that is."""
        at_sink: dict[int, list[HopSnapshot]] = {}
        for hop in self.table.hops:
            if hop.load_id and hop.key not in self.draining:
                at_sink.setdefault(hop.circuit_id, []).append(hop)
        for circuit_id in self.selected.keys() - at_sink.keys():
            del self.selected[circuit_id]
        for circuit_id, hops in at_sink.items():
            key = self._selection(circuit_id, hops)
            if key is not None and key != self.selected.get(circuit_id):
                self.selected[circuit_id] = key
                self.full.pop(key, None)
                yield CircuitStatus(key, FlowState.SWITCHED, switch_cause=SwitchCause.GRANT_LOST)

    def _selection(self, circuit_id: int, hops: list[HopSnapshot]) -> CircuitGeneration | None:
        """What is selected by a switch; None where the newest working generation was never left."""
        complete = [hop for hop in hops if self.grid.path_is_complete(hop.key, self)]
        working = [hop.key for hop in complete if not hop.standby]
        selected = self.selected.get(circuit_id)
        if selected in [hop.key for hop in complete]:
            newer = [key for key in working if selected is not None and key > selected]
            return max(newer, default=selected)
        had_power = any(self.told.get(hop.key) for hop in hops) or selected is not None
        if working or not had_power:
            return max(working, default=None) if selected is not None else None
        return max((hop.key for hop in complete), default=selected)

    def _filling(self, hop: HopSnapshot) -> FlowState | None:
        full = bool(hop.trickle_w) and self.grid.path_is_complete(hop.key, self)
        if full:
            return FlowState.CHARGED
        return FlowState.DISCHARGED if hop.key in self.full else None

    def _flow_state(self, hop: HopSnapshot) -> FlowState | None:
        complete = self.grid.path_is_complete(hop.key, self)
        if hop.key in self.draining:
            return FlowState.DRAINED if complete else None
        share = self.grid.share(hop.key) if complete else 0.0
        if share >= ACTUATED_FRACTION:
            return FlowState.ACTUATED
        return FlowState.STARVED if complete or hop.key in self.told else None


class SimulatedGrid:
    """All routers and lines of one grid."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.links = {link.id: link for link in grid.links}
        self.cut: set[str] = set()
        self.routers = {router.id: SimulatedRouter(router, self) for router in grid.routers}

    def links_at(self, router_id: str) -> list[Link]:
        return [each for each in self.links.values() if router_id in (each.a, each.b)]

    def sources_at(self, router_id: str) -> list[Source]:
        return [each for each in self.grid.sources if each.router == router_id]

    def loads_at(self, router_id: str) -> list[Load]:
        return [each for each in self.grid.loads if each.router == router_id]

    def line_is_up(self, link_id: str) -> bool:
        link = self.links[link_id]
        return link_id not in self.cut and all(self.routers[end].alive for end in (link.a, link.b))

    def path_is_complete(self, key: CircuitGeneration, sink: SimulatedRouter) -> bool:
        """Whether power can come all the way from the source to this sink."""
        router, visited = sink, set()
        while router.alive and router.config.id not in visited:
            visited.add(router.config.id)
            hop = router.hop(key)
            if hop is None or (hop.egress_link_id and not router.link_up(hop.egress_link_id)):
                return False
            if hop.source_id:
                return True
            if not router.link_up(hop.ingress_link_id):
                return False
            link = self.links[hop.ingress_link_id]
            router = self.routers[link.b if link.a == router.config.id else link.a]
        return False

    def share(self, key: CircuitGeneration) -> float:
        """What part of what it was promised the source of a generation that is complete has for it."""
        return next(
            self.shares(router.config.id, hop.source_id)[key.circuit_id]
            for router in self.routers.values()
            if (hop := router.hop(key)) is not None and hop.source_id
        )

    def shares(self, router_id: str, source_id: str) -> dict[int, float]:
        """What part of its power each circuit at a source gets, by the rule for shortages."""
        hops = [
            each
            for each in self.routers[router_id].table.hops
            if each.source_id == source_id and not self._idles(each)
        ]
        largest: dict[int, HopSnapshot] = {}
        for hop in hops:
            so_far = largest.setdefault(hop.circuit_id, hop)
            if hop.ingress_power_w > so_far.ingress_power_w:
                largest[hop.circuit_id] = hop
        ranked = sorted(largest.values(), key=lambda each: rank(each.priority, each.circuit_id))
        claims = [
            Claim(each.ingress_power_w, each.ingress_power_w * each.floor_w / each.power_w)
            for each in ranked
        ]
        (limit_w,) = (each.max_power_w for each in self.grid.sources if each.id == source_id)
        granted = zip(ranked, share_out(limit_w * SLACK, claims), strict=True)
        return {hop.circuit_id: granted_w / hop.ingress_power_w for hop, granted_w in granted}

    def _idles(self, hop: HopSnapshot) -> bool:
        """Whether it is a standby that its sink does not demand: it draws nothing.

        A sink that was promoted demands it, also while other routers have not heard of that.
        """
        if not hop.standby:
            return False
        for router in self.routers.values():
            at_sink = router.hop(hop.key)
            if at_sink is not None and at_sink.load_id:
                return at_sink.standby and router.selected.get(hop.circuit_id) != hop.key
        return True

    def dim(self, source_id: str, power_w: float) -> None:
        """A source gives this much from now on."""
        sources = tuple(
            replace(each, max_power_w=power_w) if each.id == source_id else each
            for each in self.grid.sources
        )
        self.grid = replace(self.grid, sources=sources)

    def over_subscriptions(self) -> list[str]:
        """Limits beyond which routers would go, each clamping a circuit to the larger of its generations."""
        carried: dict[str, float] = {}
        limits: dict[str, float] = {}
        for link in self.links.values():
            limits[link.id] = link.ampacity_a
            carried[link.id] = sum(
                current_a(power_w, link.voltage_v)
                for end in (link.a, link.b)
                for power_w in (
                    *self._largest(end, "egress_link_id", link.id, "received_power_w"),
                    self._shared_w(end, link.id),
                )
            )
        for source in self.grid.sources:
            limits[source.id] = source.max_power_w
            carried[source.id] = sum(
                self._largest(source.router, "source_id", source.id, "ingress_power_w")
            )
        for load in self.grid.loads:
            limits[load.id] = load.power_w
            carried[load.id] = sum(self._largest(load.router, "load_id", load.id, "power_w"))
        for router in self.grid.routers:
            most_w = self.grid.profile_of(router).max_through_w
            if most_w is not None:
                limits[router.id] = most_w
                carried[router.id] = sum(self._largest(router.id, "", "", "ingress_power_w"))
        return [
            f"{name}: routers carry {carried[name]} of {limit}"
            for name, limit in limits.items()
            if carried[name] > limit * SLACK
        ]

    def _shared_w(self, router_id: str, link_id: str) -> float:
        """What shared standbys may put on a line together."""
        router = self.routers[router_id]
        shared_w = sum(
            hop.received_power_w
            for hop in router.table.hops
            if hop.shared_standby and hop.egress_link_id == link_id
        )
        return min(shared_w, router.pools.get(link_id, 0.0))

    def _largest(self, router_id: str, field_name: str, id_: str, amount: str) -> list[float]:
        """Of each circuit that uses something at a router (or it at all), the larger of its generations; or what
        standbys fill with, beside the largest other one. Those that share their room do so by the account.
        """
        held: dict[int, dict[CircuitGeneration, float]] = {}
        filling: dict[CircuitGeneration, float] = {}
        for hop in self.routers[router_id].table.hops:
            if hop.shared_standby or (hop.standby and self._shares(hop.key)):
                continue
            if not field_name or getattr(hop, field_name) == id_:
                held.setdefault(hop.circuit_id, {})[hop.key] = getattr(hop, amount)
                if hop.standby:
                    at_entrance = field_name in ("", "source_id")
                    filling[hop.key] = (
                        hop.trickle_w if at_entrance else self._trickle_w(router_id, hop)
                    )
        return [
            max(
                *of.values(),
                *(
                    max((of[each] for each in of if each != key), default=0.0)
                    + filling.get(key, 0.0)
                    for key in of
                ),
            )
            for of in held.values()
        ]

    def _shares(self, key: CircuitGeneration) -> bool:
        return any(
            hop is not None and hop.shared_standby
            for router in self.routers.values()
            for hop in [router.hop(key)]
        )

    def _trickle_w(self, router_id: str, hop: HopSnapshot) -> float:
        """What of a standby that only fills arrives beyond the line; nothing at a load."""
        if hop.load_id:
            return 0.0
        link = self.links[hop.egress_link_id]
        beyond = self.routers[link.b if link.a == router_id else link.a].hop(hop.key)
        return beyond.trickle_w if beyond is not None else 0.0

    def held(self) -> set[tuple[str, CircuitGeneration]]:
        """Every hop that is committed anywhere."""
        return {
            (router_id, hop.key)
            for router_id, router in self.routers.items()
            for hop in router.table.hops
        }


def _mutation(message: ToRouter, election_id: ElectionId) -> Mutation:
    match message:
        case messages.Stage(txn_id, lease_ms, hops, pools):
            return Mutation(
                Operation.STAGE,
                "dgc",
                election_id,
                txn_id,
                hops=hops,
                lease_ns=lease_ms * NS_PER_MS,
                pools=pools,
            )
        case (
            messages.Drain(txn_id, circuits)
            | messages.Withdraw(txn_id, circuits)
            | messages.Promote(txn_id, circuits)
        ):
            operation = Operation[type(message).__name__.upper()]
            return Mutation(operation, "dgc", election_id, txn_id, circuits=circuits)
        case messages.Commit(txn_id) | messages.Abort(txn_id):
            operation = Operation[type(message).__name__.upper()]
            return Mutation(operation, "dgc", election_id, txn_id)
    raise TypeError(f"{message} is no mutation")
