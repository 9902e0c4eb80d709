"""Pure router devices joined by a simulated network of lines, with a clock of its own.

Lines deliver every datagram after a fixed delay, or lose it: while cut (both ends see the carrier go) or, one way or
both, silent.
"""

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from digitalgrid import physics
from digitalgrid.model import CircuitGeneration, ElectionId, HopSnapshot, Operation, RouterLsa
from digitalgrid.units import NS_PER_MS
from digitalgrid.wire import decode, encode
from router_agent.config import LinkConfig, LoadConfig, RouterConfig, SourceConfig
from router_agent.device.device import RouterDevice
from router_agent.device.effects import Advertise, Answer, Effect, Report, SaveBooks, SendDatagram
from router_agent.device.meter_image import ImageCodec, apply_progress, unpack_image
from router_agent.device.meters import RouterBooks
from router_agent.device.mutation import Mutation, Outcome
from router_agent.device.signs import pulse
from router_agent.device.sink import FlowStatus

ELECTION_ID = ElectionId(0, 1)
# How often a router that gets no time says that it lives.
_BEAT_NS = 50 * NS_PER_MS


@dataclass
class Node:
    config: RouterConfig
    device: RouterDevice
    boot_id: int = 1
    alive: bool = True
    election_id: ElectionId = ElectionId(0, 0)
    floors: dict[int, int] = field(default_factory=dict)
    answers: list[Outcome] = field(default_factory=list)
    statuses: list[tuple[int, FlowStatus]] = field(default_factory=list)
    adverts: int = 0
    # What it has advertised last.
    lsa: RouterLsa | None = None
    # The image of its books that was saved last, and the image's progress.
    image: bytes = b""
    progress: bytes = b""
    codec: ImageCodec = field(init=False)
    saved_ns: int | None = None

    def __post_init__(self) -> None:
        self.codec = ImageCodec(self.device.books_to_save)

    def save(self) -> None:
        """As a router does to its disk."""
        progress = self.codec.progress()
        if progress is None:
            self.image, self.progress = self.codec.pack(), b""
        else:
            self.progress = progress

    @property
    def saved(self) -> RouterBooks:
        """What a router that begins anew finds."""
        books = unpack_image(self.image) if self.image else RouterBooks()
        if self.progress:
            apply_progress(books, self.progress)
        return books


class DeviceNetwork:
    def __init__(
        self,
        configs: Sequence[RouterConfig],
        delay_ns: int = 200_000,
        without_marks: frozenset[str] = frozenset(),
    ) -> None:
        self.now_ns = 1_000_000_000
        self.delay_ns = delay_ns
        self._order = itertools.count()
        self._in_flight: list[tuple[int, int, str, str, bytes]] = []
        self.ends: dict[str, list[str]] = {}
        self.cut_links: set[str] = set()
        # (link, from router): datagrams that way are lost though the carrier is up.
        self.silent: set[tuple[str, str]] = set()
        # Routers that get no time before the time that stands here.
        self.delay_to: dict[str, int] = {}
        # Routers that come to what is due so much later, drawn anew each time they have slept.
        self.late_by: dict[str, Callable[[], int]] = {}
        self._beats_ns: dict[str, int] = {}
        # Routers of an earlier release, which know no marks and never stand; they must be sent what they know.
        self.without_marks = without_marks
        self.nodes: dict[str, Node] = {}
        for config in configs:
            self.nodes[config.router_id] = Node(
                config, RouterDevice(config, 1, RouterBooks(), self.now_ns)
            )
            for link in config.links:
                self.ends.setdefault(link.id, []).append(config.router_id)
        for link_id in self.ends:
            self._carriers(link_id)

    def run(self, duration_ns: int) -> None:
        """Let time pass, event by event."""
        until_ns = self.now_ns + duration_ns
        while True:
            self._beat()
            timers = [
                (self._awake_ns(router_id, node.device.next_deadline_ns()), router_id)
                for router_id, node in self.nodes.items()
                if node.alive
            ]
            at_ns, router_id = min(timers, default=(until_ns + 1, ""))
            if self._in_flight and self._in_flight[0][0] <= at_ns:
                arrives_ns, _, link_id, receiver, datagram = self._in_flight[0]
                if arrives_ns > until_ns:
                    break
                heapq.heappop(self._in_flight)
                self.now_ns = max(self.now_ns, arrives_ns)
                if self.nodes[receiver].alive:
                    device = self.nodes[receiver].device
                    self.carry_out(
                        receiver, device.datagram_received(link_id, datagram, self.now_ns)
                    )
                continue
            if at_ns > until_ns:
                break
            self.now_ns = max(self.now_ns, at_ns)
            if router_id in self.late_by and at_ns > self.delay_to.get(router_id, 0):
                # It wakes then, with all that has come in by then.
                self.delay_to[router_id] = at_ns + self.late_by[router_id]()
                self._hold_back(router_id)
                continue
            self.carry_out(router_id, self.nodes[router_id].device.timer(self.now_ns))
        self.now_ns = until_ns

    def run_until_all_arrived(self) -> None:
        """Until an instant at which no frame is under way."""
        while self._in_flight:
            self.run(self.delay_ns)

    def _beat(self) -> None:
        """Those that get no time, and live, say so as a process of their own would: see router_agent.pulse."""
        if not self.delay_to:
            return
        for router_id, node in self.nodes.items():
            if not node.alive or self.delay_to.get(router_id, 0) <= self.now_ns:
                continue
            if self.now_ns < self._beats_ns.get(router_id, 0):
                continue
            self._beats_ns[router_id] = self.now_ns + _BEAT_NS
            for link_id, line in node.device.lines.items():
                datagram, _ = pulse(line.sign(), node.config.hello_ns, self.now_ns)
                if datagram is not None:
                    self._send(router_id, link_id, datagram)

    def cut(self, link_id: str) -> None:
        self.cut_links.add(link_id)
        self._in_flight = [item for item in self._in_flight if item[2] != link_id]
        heapq.heapify(self._in_flight)
        self._carriers(link_id)

    def restore(self, link_id: str) -> None:
        self.cut_links.discard(link_id)
        self._carriers(link_id)

    def silence(self, link_id: str, *senders: str) -> None:
        self.silent.update((link_id, sender) for sender in senders or self.ends[link_id])

    def heal(self, link_id: str) -> None:
        self.silent = {item for item in self.silent if item[0] != link_id}

    def kill(self, router_id: str) -> None:
        """As kill -9: nothing is said, the lines stay there."""
        self.nodes[router_id].alive = False

    def restart(self, router_id: str) -> None:
        node = self.nodes[router_id]
        node.boot_id += 1
        node.alive = True
        books = node.saved
        books.dissipate_buffers(node.floors)
        away_ns = 0 if node.saved_ns is None else self.now_ns - node.saved_ns
        node.device = RouterDevice(
            node.config, node.boot_id, books, self.now_ns, node.election_id, node.floors, away_ns
        )
        node.codec = ImageCodec(books)
        for link in node.config.links:
            up = link.id not in self.cut_links
            self.carry_out(router_id, node.device.carrier_changed(link.id, up, self.now_ns))

    def _carriers(self, link_id: str) -> None:
        up = link_id not in self.cut_links
        for router_id in self.ends[link_id]:
            if self.nodes[router_id].alive:
                device = self.nodes[router_id].device
                self.carry_out(router_id, device.carrier_changed(link_id, up, self.now_ns))

    def carry_out(self, router_id: str, effects: Sequence[Effect]) -> None:
        node = self.nodes[router_id]
        for effect in effects:
            match effect:
                case SendDatagram(link_id, datagram):
                    self._send(router_id, link_id, datagram)
                case Answer(outcome):
                    node.answers.append(outcome)
                case Report(status):
                    node.statuses.append((self.now_ns, status))
                case Advertise(lsa):
                    node.adverts += 1
                    node.lsa = lsa
                case SaveBooks():
                    node.save()
                    node.saved_ns = self.now_ns

    def _send(self, router_id: str, link_id: str, datagram: bytes) -> None:
        if link_id in self.cut_links or (link_id, router_id) in self.silent:
            return
        (receiver,) = (end for end in self.ends[link_id] if end != router_id)
        if receiver in self.without_marks:
            assert not decode(datagram).marked
            assert not decode(datagram).tells_standing
        if router_id in self.without_marks:
            frame = decode(datagram)._replace(reads_marks=False, marked=False)
            datagram = encode(frame._replace(reads_standing=False, tells_standing=False))
        arrives_ns = self._awake_ns(receiver, self.now_ns + self.delay_ns)
        item = (arrives_ns, next(self._order), link_id, receiver, datagram)
        heapq.heappush(self._in_flight, item)

    def stand_still(self, router_id: str, duration_ns: int) -> None:
        """It gets no time from now on; what comes meanwhile waits."""
        self.delay_to[router_id] = self.now_ns + duration_ns
        self._hold_back(router_id)

    def _hold_back(self, router_id: str) -> None:
        """What is under way to a router that sleeps is heard when it wakes."""
        self._in_flight = [
            (self._awake_ns(to, at_ns) if to == router_id else at_ns, order, link_id, to, datagram)
            for at_ns, order, link_id, to, datagram in self._in_flight
        ]
        heapq.heapify(self._in_flight)

    def _awake_ns(self, router_id: str, at_ns: int) -> int:
        return max(at_ns, self.delay_to.get(router_id, 0))

    def mutate(self, router_id: str, mutation: Mutation) -> Outcome:
        node = self.nodes[router_id]
        promise = node.device.table.promised_by(mutation)
        node.election_id = promise.election_id or node.election_id
        node.floors.update(promise.floors)
        self.carry_out(router_id, node.device.mutate(mutation, self.now_ns))
        return node.answers[-1]

    def stage(self, router_id: str, txn_id: int, *hops: HopSnapshot) -> Outcome:
        return self.mutate(
            router_id,
            Mutation(Operation.STAGE, "test", ELECTION_ID, txn_id, hops, lease_ns=2000 * NS_PER_MS),
        )

    def commit(self, router_id: str, txn_id: int) -> Outcome:
        return self.mutate(router_id, Mutation(Operation.COMMIT, "test", ELECTION_ID, txn_id))

    def drain(self, router_id: str, *keys: CircuitGeneration) -> Outcome:
        return self.mutate(
            router_id, Mutation(Operation.DRAIN, "test", ELECTION_ID, 0, circuits=keys)
        )

    def promote(self, router_id: str, *keys: CircuitGeneration) -> Outcome:
        return self.mutate(
            router_id, Mutation(Operation.PROMOTE, "test", ELECTION_ID, 0, circuits=keys)
        )

    def withdraw(
        self, router_id: str, *keys: CircuitGeneration, promise_stands: bool = False
    ) -> Outcome:
        mutation = Mutation(
            Operation.WITHDRAW,
            "test",
            ELECTION_ID,
            0,
            circuits=keys,
            standing_ids=frozenset(key.circuit_id for key in keys if promise_stands),
        )
        return self.mutate(router_id, mutation)

    def program(self, hops: dict[str, HopSnapshot], txn_id: int) -> bool:
        """Stage and commit a circuit, from the sink towards the source."""
        routers = list(reversed(hops))
        for router_id in routers:
            self.stage(router_id, txn_id, hops[router_id])
        return all(self.commit(router_id, txn_id).code == 1 for router_id in routers)


def router(
    router_id: str,
    *links: tuple[str, str],
    source_w: float = 15e6,
    load_w: float = 5e6,
    resistance_ohm: float = 0.48,
    ampacity_a: float = 700.0,
    efficiency: float = 0.97,
) -> RouterConfig:
    """``links`` are (link id, neighbour); source and load are named after the router."""
    return RouterConfig(
        router_id=router_id,
        efficiency=efficiency,
        links=tuple(
            LinkConfig(
                id=link_id,
                neighbor=neighbor,
                resistance_ohm=resistance_ohm,
                ampacity_a=ampacity_a,
                interface=link_id,
            )
            for link_id, neighbor in links
        ),
        sources=(SourceConfig(id=f"pv-{router_id}", max_power_w=source_w),),
        loads=(LoadConfig(id=f"town-{router_id}", power_w=load_w),),
    )


def circuit_hops(
    key: CircuitGeneration,
    admission_seq: int,
    path: Sequence[RouterConfig],
    power_w: float,
    reserved_a: dict[tuple[str, str], float],
) -> dict[str, HopSnapshot]:
    """One circuit along routers that are neighbours, as admission reserves it.

    ``reserved_a`` maps (link, sending router) to the current reserved there before, and is added to.
    """
    hops: dict[str, HopSnapshot] = {}
    far_end_w = power_w
    for index in range(len(path) - 1, -1, -1):
        config = path[index]
        egress_link = None
        sent_w = far_end_w
        if index < len(path) - 1:
            after = path[index + 1].router_id
            egress_link = next(link for link in config.links if link.neighbor == after)
            way = (egress_link.id, config.router_id)
            before_a = reserved_a.get(way, 0.0)
            sent_w = physics.sent_w(
                far_end_w, egress_link.resistance_ohm, egress_link.voltage_v, before_a
            )
            reserved_a[way] = before_a + far_end_w / egress_link.voltage_v
        ingress_w = sent_w / config.efficiency
        ingress_link = ""
        if index > 0:
            before = path[index - 1].router_id
            ingress_link = next(link.id for link in config.links if link.neighbor == before)
        hops[config.router_id] = HopSnapshot(
            circuit_id=key.circuit_id,
            generation=key.generation,
            admission_seq=admission_seq,
            power_w=power_w,
            ingress_power_w=ingress_w,
            egress_power_w=sent_w,
            received_power_w=far_end_w,
            source_id="" if index else config.sources[0].id,
            ingress_link_id=ingress_link,
            load_id="" if egress_link else config.loads[0].id,
            egress_link_id=egress_link.id if egress_link else "",
        )
        far_end_w = ingress_w
    return dict(reversed(hops.items()))
