"""The energy books of one router: integers in millijoules, and their image that outlives a crash.

At any instant ``received + injected == sent + delivered + converter loss + dissipated + buffered``; line loss is
inside what was sent.
"""

import json
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from digitalgrid.model import CircuitGeneration

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
    _ended: deque[CircuitGeneration] = field(default_factory=deque)

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

    def dissipate_buffers(self) -> None:
        """What the converters held when the router died is heat now, and no circuit is known any more."""
        self.dissipated_mj += self.buffered_mj
        self.buffered_mj = 0
        for key in self.circuits:
            if key not in self._ended:
                self._ended.append(key)

    def imbalance_mj(self) -> int:
        """In minus out, loss and held: zero, or a bug."""
        received = sum(link.received_mj for link in self.links.values())
        sent = sum(link.sent_mj for link in self.links.values())
        into = received + sum(self.injected_mj.values())
        out = sent + sum(self.delivered_mj.values())
        return into - out - self.converter_loss_mj - self.dissipated_mj - self.buffered_mj


_LINK_FIELDS = tuple(spec.name for spec in fields(LinkBooks))
_LINK = struct.Struct(f"!{len(_LINK_FIELDS)}q")
_ROUTER = struct.Struct("!IIqqqqd")
_ENERGY = struct.Struct("!q")
_CIRCUIT = struct.Struct("!QQqqq")


class ImageCodec:
    """Packs one router's books into bytes; the ids, which never change while it runs, are packed once."""

    def __init__(self, books: RouterBooks) -> None:
        self._books = books
        self._ids = json.dumps(
            [list(books.links), list(books.injected_mj), list(books.delivered_mj)]
        ).encode()

    def pack(self) -> bytes:
        books = self._books
        pieces = [
            _ROUTER.pack(
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
        return b"".join(pieces)


def unpack_image(image: bytes) -> RouterBooks:
    """The books that :meth:`ImageCodec.pack` wrote. Raises :class:`ImageError` for other bytes."""
    try:
        (
            ids_bytes,
            circuit_count,
            converter_loss_mj,
            dissipated_mj,
            buffered_mj,
            instants,
            deviation,
        ) = _ROUTER.unpack_from(image)
        at = _ROUTER.size + ids_bytes
        link_ids, source_ids, load_ids = json.loads(image[_ROUTER.size : at])
        books = RouterBooks(converter_loss_mj, dissipated_mj, buffered_mj, instants, deviation)
        for link_id in link_ids:
            books.links[link_id] = LinkBooks(*_LINK.unpack_from(image, at))
            at += _LINK.size
        for meters, meter_ids in ((books.injected_mj, source_ids), (books.delivered_mj, load_ids)):
            for meter_id in meter_ids:
                (meters[meter_id],) = _ENERGY.unpack_from(image, at)
                at += _ENERGY.size
        for _ in range(circuit_count):
            circuit_id, generation, *counts = _CIRCUIT.unpack_from(image, at)
            books.circuits[CircuitGeneration(circuit_id, generation)] = CircuitBooks(*counts)
            at += _CIRCUIT.size
    except (struct.error, ValueError, TypeError) as error:
        raise ImageError(f"no image of a router's books: {error}") from error
    return books
