"""The energy books of one router: integers in millijoules.

At any instant ``received + injected == sent + delivered + converter loss + dissipated + buffered``; line loss is
inside what was sent. The books themselves never overflow: where they are written as 64-bit integers, in the image and
on the wire, a meter that is full stays at the largest, and the books say that they are saturated.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from itertools import islice

from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration, FinalMeter
from router_agent.device.promise_books import PromiseBooks
from router_agent.device.standing_books import Moved, StandingBooks, StandingFlow

# Ended circuit generations whose meters can still be read.
ENDED_KEPT = 64
# Ended ones whose final meters are still told to a controller that withdraws them again, since the first answer was
# lost: as many as withdrawals may end until another leads. In memory only; those above are in the image too.
FINAL_KEPT = 4096
# Circuit generations that a crash ended, and that nobody has withdrawn or programmed again: as many as a router holds.
INTERRUPTED_KEPT = 200_000


@dataclass(slots=True)
class LinkBooks:
    """One end of a power link."""

    sent_mj: int = 0
    line_loss_mj: int = 0
    received_mj: int = 0
    lost_to_faults_mj: int = 0
    lost_in_transit_mj: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    frames_dropped: int = 0
    oversubscribed_instants: int = 0
    # The neighbour's running total as of the last frame that was taken.
    heard_total_mj: int = 0
    # Well-formed frames with energy that this line cannot have carried: nothing of them counts.
    frames_refused: int = 0
    # Frames that were taken with demands or grants beyond the line, each as the most that it carries.
    frames_clamped: int = 0

    @property
    def total_mj(self) -> int:
        """Energy that should have arrived at the far end by now."""
        return self.sent_mj - self.line_loss_mj


@dataclass(slots=True)
class CircuitBooks:
    """One circuit generation: at its source's and its sink's router, and on the line by which it leaves."""

    injected_mj: int = 0
    delivered_mj: int = 0
    missed_ticks: int = 0
    sent_mj: int = 0
    line_loss_mj: int = 0
    # Whether those two are counted from its beginning. Else an earlier release, which did not count them, ran it: they
    # are a part only, and told to nobody.
    line_counted: bool = field(default=True, kw_only=True)

    def on_line_mj(self) -> tuple[int, int] | tuple[None, None]:
        """Sent, and of that lost; None where that is not known."""
        if not self.line_counted:
            return None, None
        return _cap(self.sent_mj), _cap(self.line_loss_mj)

    def counts(self) -> tuple[int, ...]:
        return (
            *(self.injected_mj, self.delivered_mj, self.missed_ticks),
            *(self.sent_mj, self.line_loss_mj),
        )

    def capped(self) -> "CircuitBooks":
        return CircuitBooks(*map(_cap, self.counts()), line_counted=self.line_counted)


@dataclass(slots=True)
class RouterBooks:
    converter_loss_mj: int = 0
    dissipated_mj: int = 0
    buffered_mj: int = 0
    oversubscribed_instants: int = 0
    max_formula_deviation_mj: float = 0.0
    links: dict[str, LinkBooks] = field(default_factory=dict)
    injected_mj: dict[str, int] = field(default_factory=dict)
    delivered_mj: dict[str, int] = field(default_factory=dict)
    circuits: dict[CircuitGeneration, CircuitBooks] = field(default_factory=dict)
    # By circuit, at its sink.
    promises: dict[int, PromiseBooks] = field(default_factory=dict)
    # When these books were last saved, by the clock on the wall; 0: never, or by an older version.
    saved_unix_ns: int = 0
    # At which more was wanted than the converter takes, since the router was started.
    through_power_clamped_instants: int = 0
    # While nothing changes: what the time has moved beyond what stands here.
    standing: StandingBooks | None = field(default=None, compare=False)
    # Of `circuits`, those that were withdrawn, in that order, and those that a crash ended and may be programmed again.
    _ended: dict[CircuitGeneration, None] = field(default_factory=dict, compare=False)
    _interrupted: dict[CircuitGeneration, None] = field(default_factory=dict, compare=False)
    _final: OrderedDict[CircuitGeneration, CircuitBooks] = field(
        default_factory=OrderedDict, compare=False
    )
    _ended_promises: deque[int] = field(default_factory=deque)

    def open(self, links: Iterable[str], sources: Iterable[str], loads: Iterable[str]) -> None:
        """Make sure that every meter the router has is there; those of former ports stay."""
        for link_id in links:
            self.links.setdefault(link_id, LinkBooks())
        for source_id in sources:
            self.injected_mj.setdefault(source_id, 0)
        for load_id in loads:
            self.delivered_mj.setdefault(load_id, 0)

    def begin_circuit(self, key: CircuitGeneration) -> CircuitBooks:
        """It goes on with what it had metered, as far as that is remembered."""
        self._ended.pop(key, None)
        self._interrupted.pop(key, None)
        known = self._final.pop(key, None)
        return self.circuits.setdefault(key, known or CircuitBooks())

    def end_circuit(self, key: CircuitGeneration) -> None:
        self._interrupted.pop(key, None)
        self._ended[key] = None
        if len(self._ended) > ENDED_KEPT:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            self._final[oldest] = self.circuits.pop(oldest)
            if len(self._final) > FINAL_KEPT:
                self._final.popitem(last=False)

    def end_interrupted(self, keys: Iterable[CircuitGeneration]) -> None:
        """What is withdrawn comes back no more, also where a crash had ended it before."""
        for key in keys:
            if key in self._interrupted:
                self.end_circuit(key)

    def final_meters(self, keys: Iterable[CircuitGeneration]) -> tuple[FinalMeter, ...]:
        """Of generations that have ended, as far as they are remembered."""
        found = ((key, self.circuits.get(key) or self._final.get(key)) for key in keys)
        return tuple(
            FinalMeter(
                *(key, _cap(books.injected_mj), _cap(books.delivered_mj)),
                *books.on_line_mj(),
            )
            for key, books in found
            if books is not None
        )

    def begin_promise(self, circuit_id: int) -> PromiseBooks:
        if circuit_id in self._ended_promises:
            self._ended_promises.remove(circuit_id)
        return self.promises.setdefault(circuit_id, PromiseBooks())

    def end_promise(self, circuit_id: int) -> None:
        self.promises[circuit_id].power_uw = 0
        self._ended_promises.append(circuit_id)
        if len(self._ended_promises) > ENDED_KEPT:
            del self.promises[self._ended_promises.popleft()]

    def dissipate_buffers(self, floors: Mapping[int, int] | None = None) -> None:
        """What the converters held when the router died is heat now, and no circuit is known any more. Generations
        below the ``floors`` of their circuits were withdrawn; all others may be programmed again.
        """
        self._end_standing()
        self.dissipated_mj += self.buffered_mj
        self.buffered_mj = 0
        for key in list(self.circuits):
            if floors is not None and key.generation < floors.get(key.circuit_id, 0):
                self.end_circuit(key)
            elif key not in self._ended:
                self._interrupted[key] = None
        too_many = max(0, len(self._interrupted) - INTERRUPTED_KEPT)
        for key in list(islice(self._interrupted, too_many)):
            self.end_circuit(key)
        # What was promised stands: whether it still does its controller will say.
        for circuit_id, promise in self.promises.items():
            if not promise.stands and circuit_id not in self._ended_promises:
                self._ended_promises.append(circuit_id)

    def settle_standing(self) -> list[Moved]:
        """Book what flows that stand have moved by now, and return it for each; what came for them is booked."""
        if self.standing is None:
            return []
        moves = self.standing.settle()
        for flow, moved in zip(self.standing.flows, moves, strict=True):
            self._book(flow, moved)
        self.max_formula_deviation_mj = max(
            self.max_formula_deviation_mj, self.standing.deviation_mj()
        )
        return moves

    def _book(self, flow: StandingFlow, moved: Moved) -> None:
        """A source gives as much as is taken; everything else comes out of the buffer."""
        taken_mj = moved.taken_mj
        circuit = self.circuits[flow.key]
        if flow.source_id:
            self.injected_mj[flow.source_id] += taken_mj
            circuit.injected_mj += taken_mj
        else:
            self.buffered_mj -= taken_mj
        self.converter_loss_mj += moved.converter_loss_mj
        if flow.egress_id:
            link = self.links[flow.egress_id]
            link.sent_mj += moved.arrives_mj + moved.line_loss_mj
            link.line_loss_mj += moved.line_loss_mj
            circuit.sent_mj += moved.arrives_mj + moved.line_loss_mj
            circuit.line_loss_mj += moved.line_loss_mj
        else:
            self.delivered_mj[flow.load_id] += moved.arrives_mj
            circuit.delivered_mj += moved.arrives_mj

    def _end_standing(self) -> None:
        """Of a router that died: book all that the time tells, also what came."""
        if self.standing is None:
            return
        for link_id, stream in self.standing.streams.items():
            received_mj = sum(energy_mj for _, energy_mj in stream.settle())
            self.links[link_id].received_mj += received_mj
            self.links[link_id].heard_total_mj += received_mj
            self.buffered_mj += received_mj
        for flow, moved in zip(self.standing.flows, self.settle_standing(), strict=True):
            promise = self.promises.get(flow.key.circuit_id)
            if flow.load_id and promise is not None:
                # It was kept, else the flow had not stood.
                promise.promised_mj += moved.arrives_mj
        self.standing = None

    @property
    def saturated(self) -> bool:
        """A meter is full: what it shows from now on is too little."""
        own = (self.converter_loss_mj, self.dissipated_mj, self.buffered_mj)
        cells = (*self.injected_mj.values(), *self.delivered_mj.values())
        links = (max(astuple(each)) for each in self.links.values())
        circuits = (max(each.counts()) for each in self.circuits.values())
        promises = (max(astuple(each)) for each in self.promises.values())
        return any(count >= MAX_INT64 for count in (*own, *cells, *links, *circuits, *promises))

    def capped(self) -> "RouterBooks":
        """A copy of which each meter fits into a signed 64-bit integer."""
        return RouterBooks(
            _cap(self.converter_loss_mj),
            _cap(self.dissipated_mj),
            _cap(self.buffered_mj),
            _cap(self.oversubscribed_instants),
            self.max_formula_deviation_mj,
            {link_id: LinkBooks(*map(_cap, astuple(each))) for link_id, each in self.links.items()},
            {source_id: _cap(energy_mj) for source_id, energy_mj in self.injected_mj.items()},
            {load_id: _cap(energy_mj) for load_id, energy_mj in self.delivered_mj.items()},
            {key: each.capped() for key, each in self.circuits.items()},
            {circuit_id: each.capped() for circuit_id, each in self.promises.items()},
            self.saved_unix_ns,
            self.through_power_clamped_instants,
        )

    def imbalance_mj(self) -> int:
        """In minus out, loss and held: zero, or a bug."""
        received = sum(link.received_mj for link in self.links.values())
        sent = sum(link.sent_mj for link in self.links.values())
        into = received + sum(self.injected_mj.values())
        out = sent + sum(self.delivered_mj.values())
        return into - out - self.converter_loss_mj - self.dissipated_mj - self.buffered_mj


def _cap(count: int) -> int:
    return min(count, MAX_INT64)
