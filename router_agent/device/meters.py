"""The energy books of one router: integers in millijoules, and their image that outlives a crash.

At any instant ``received + injected == sent + delivered + converter loss + dissipated + buffered``; line loss is
inside what was sent. The books themselves never overflow: where they are written as 64-bit integers, in the image and
on the wire, a meter that is full stays at the largest, and the books say that they are saturated.
"""

import json
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, fields
from typing import Any

from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration
from router_agent.device.promise_books import PromiseBooks, pack_promises, unpack_promises

# Ended circuit generations whose meters can still be read.
ENDED_KEPT = 64


class ImageError(ValueError):
    """Bytes that are no image of a router's books."""


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
    """One circuit generation at its source's and its sink's router."""

    injected_mj: int = 0
    delivered_mj: int = 0
    missed_ticks: int = 0


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
    _ended: deque[CircuitGeneration] = field(default_factory=deque)
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
        if key in self._ended:
            self._ended.remove(key)
        return self.circuits.setdefault(key, CircuitBooks())

    def end_circuit(self, key: CircuitGeneration) -> None:
        self._ended.append(key)
        if len(self._ended) > ENDED_KEPT:
            del self.circuits[self._ended.popleft()]

    def begin_promise(self, circuit_id: int) -> PromiseBooks:
        if circuit_id in self._ended_promises:
            self._ended_promises.remove(circuit_id)
        return self.promises.setdefault(circuit_id, PromiseBooks())

    def end_promise(self, circuit_id: int) -> None:
        self.promises[circuit_id].power_uw = 0
        self._ended_promises.append(circuit_id)
        if len(self._ended_promises) > ENDED_KEPT:
            del self.promises[self._ended_promises.popleft()]

    def dissipate_buffers(self) -> None:
        """What the converters held when the router died is heat now, and no circuit is known any more."""
        self.dissipated_mj += self.buffered_mj
        self.buffered_mj = 0
        for key in self.circuits:
            if key not in self._ended:
                self._ended.append(key)
        # What was promised stands: whether it still does its controller will say.
        for circuit_id, promise in self.promises.items():
            if not promise.stands and circuit_id not in self._ended_promises:
                self._ended_promises.append(circuit_id)

    @property
    def saturated(self) -> bool:
        """A meter is full: what it shows from now on is too little."""
        own = (self.converter_loss_mj, self.dissipated_mj, self.buffered_mj)
        cells = (*self.injected_mj.values(), *self.delivered_mj.values())
        links = (max(astuple(each)) for each in self.links.values())
        circuits = (max(astuple(each)) for each in self.circuits.values())
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
            {key: CircuitBooks(*map(_cap, astuple(each))) for key, each in self.circuits.items()},
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


# How many counts of a link and of a circuit follow is in the image: later versions add theirs at the end.
_HEADER = struct.Struct("!4sHHIIqqqqd")
_MAGIC = b"DGM2"
_LINK_COUNTS, _CIRCUIT_COUNTS = len(fields(LinkBooks)), len(fields(CircuitBooks))
_LINK = struct.Struct(f"!{_LINK_COUNTS}q")
_ENERGY = struct.Struct("!q")
_CIRCUIT = struct.Struct(f"!QQ{_CIRCUIT_COUNTS}q")
# The first version, which had neither: it began with the length of the ids.
_HEADER_1 = struct.Struct("!IIqqqqd")
_LINK_COUNTS_1, _CIRCUIT_COUNTS_1 = 10, 3


class ImageCodec:
    """Packs one router's books into bytes; the ids, which never change while it runs, are packed once."""

    def __init__(self, books: RouterBooks) -> None:
        self._books = books
        self._ids = json.dumps(
            [list(books.links), list(books.injected_mj), list(books.delivered_mj)]
        ).encode()

    def pack(self) -> bytes:
        try:
            return self._pack(self._books)
        except struct.error:
            return self._pack(self._books.capped())

    def _pack(self, books: RouterBooks) -> bytes:
        pieces = [
            _HEADER.pack(
                _MAGIC,
                _LINK_COUNTS,
                _CIRCUIT_COUNTS,
                len(self._ids),
                len(books.circuits),
                books.converter_loss_mj,
                books.dissipated_mj,
                books.buffered_mj,
                books.oversubscribed_instants,
                books.max_formula_deviation_mj,
            ),
            self._ids,
        ]
        for link in books.links.values():
            pieces.append(
                _LINK.pack(
                    link.sent_mj,
                    link.line_loss_mj,
                    link.received_mj,
                    link.lost_to_faults_mj,
                    link.lost_in_transit_mj,
                    link.frames_sent,
                    link.frames_received,
                    link.frames_dropped,
                    link.oversubscribed_instants,
                    link.heard_total_mj,
                    link.frames_refused,
                    link.frames_clamped,
                )
            )
        for energy_mj in (*books.injected_mj.values(), *books.delivered_mj.values()):
            pieces.append(_ENERGY.pack(energy_mj))
        for key, circuit in books.circuits.items():
            pieces.append(
                _CIRCUIT.pack(
                    key.circuit_id,
                    key.generation,
                    circuit.injected_mj,
                    circuit.delivered_mj,
                    circuit.missed_ticks,
                )
            )
        pieces.append(pack_promises(books.promises, books.saved_unix_ns))
        return b"".join(pieces)


def unpack_image(image: bytes) -> RouterBooks:
    """The books that :meth:`ImageCodec.pack` wrote, of this version or an earlier one. Raises :class:`ImageError`."""
    try:
        if image.startswith(_MAGIC):
            _, link_counts, circuit_counts, *header = _HEADER.unpack_from(image)
            return _unpack(image, _HEADER.size, link_counts, circuit_counts, *header)
        first = _HEADER_1.unpack_from(image)
        return _unpack(image, _HEADER_1.size, _LINK_COUNTS_1, _CIRCUIT_COUNTS_1, *first)
    except (struct.error, ValueError, TypeError) as error:
        raise ImageError(f"no image of a router's books: {error}") from error


def _unpack(
    image: bytes,
    at: int,
    link_counts: int,
    circuit_counts: int,
    ids_bytes: int,
    circuit_count: int,
    *figures: Any,
) -> RouterBooks:
    """Counts that a later version has added are left out; those that an earlier one has not are 0."""
    books = RouterBooks(*figures)
    link = struct.Struct(f"!{link_counts}q")
    circuit = struct.Struct(f"!QQ{circuit_counts}q")
    link_ids, source_ids, load_ids = json.loads(image[at : at + ids_bytes])
    at += ids_bytes
    for link_id in link_ids:
        books.links[link_id] = LinkBooks(*link.unpack_from(image, at)[:_LINK_COUNTS])
        at += link.size
    for meters, meter_ids in ((books.injected_mj, source_ids), (books.delivered_mj, load_ids)):
        for meter_id in meter_ids:
            (meters[meter_id],) = _ENERGY.unpack_from(image, at)
            at += _ENERGY.size
    for _ in range(circuit_count):
        circuit_id, generation, *counts = circuit.unpack_from(image, at)
        key = CircuitGeneration(circuit_id, generation)
        books.circuits[key] = CircuitBooks(*counts[:_CIRCUIT_COUNTS])
        at += circuit.size
    books.promises, books.saved_unix_ns = unpack_promises(image, at)
    return books
