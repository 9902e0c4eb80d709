"""The image of a router's books that outlives a crash, and its progress while nothing changes.

Later versions add their parts at the end, which earlier ones do not read.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from digitalgrid.model import CircuitGeneration
from router_agent.device.meters import CircuitBooks, LinkBooks, RouterBooks
from router_agent.device.promise_books import pack_promises, unpack_promises
from router_agent.device.standing_books import (
    Places,
    StandingBooks,
    pack_standing,
    unpack_standing,
)


class ImageError(ValueError):
    """Bytes that are no image of a router's books."""


# How many counts of a link and of a circuit follow is in the image: later versions add theirs at the end.
_HEADER = struct.Struct("!4sHHIIqqqqd")
_MAGIC = b"DGM2"
_LINK_COUNTS, _CIRCUIT_COUNTS = len(fields(LinkBooks)), len(CircuitBooks().counts())
_LINK = struct.Struct(f"!{_LINK_COUNTS}q")
_ENERGY = struct.Struct("!q")
_CIRCUIT = struct.Struct(f"!QQ{_CIRCUIT_COUNTS}q")
# Of a circuit in place of what is not counted from its beginning: what it sent on its line, and lost there.
_NOT_COUNTED = -1
# Until when all that stands has moved, and when that was saved; of each link until when its far end's stream has come,
# and what is counted on though nothing changes.
_PROGRESS = struct.Struct("!qq")
_COUNTED_ON = (
    "frames_sent",
    "frames_received",
    "frames_dropped",
    "oversubscribed_instants",
    "frames_refused",
    "frames_clamped",
)
_LINK_PROGRESS = struct.Struct(f"!q{len(_COUNTED_ON)}q")
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
        self._standing: StandingBooks | None = None
        self._revision = 0

    def pack(self) -> bytes:
        standing = self._books.standing
        try:
            image = self._pack(self._books)
        except struct.error:
            standing = None
            image = self._pack(self._books.capped())
        self._standing, self._revision = standing, standing.revision if standing else 0
        return image

    def progress(self) -> bytes | None:
        """What time has changed since the last image; None where more has changed, or all is as in the image."""
        standing = self._books.standing
        if standing is None or standing is not self._standing:
            return None
        if standing.revision != self._revision:
            return None
        pieces = [_PROGRESS.pack(standing.until_ns, self._books.saved_unix_ns)]
        for link_id, link in self._books.links.items():
            stream = standing.streams.get(link_id)
            until_ns = stream.until_ns if stream is not None else 0
            counts = [getattr(link, name) for name in _COUNTED_ON]
            pieces.append(_LINK_PROGRESS.pack(until_ns, *counts))
        return b"".join(pieces)

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
                    circuit.sent_mj if circuit.line_counted else _NOT_COUNTED,
                    circuit.line_loss_mj if circuit.line_counted else _NOT_COUNTED,
                )
            )
        pieces.append(pack_promises(books.promises, books.saved_unix_ns))
        pieces.append(pack_standing(books.standing, _places(books)))
        return b"".join(pieces)


def unpack_image(image: bytes) -> RouterBooks:
    """The books that :meth:`ImageCodec.pack` wrote, of this version or an earlier one. Raises :class:`ImageError`."""
    try:
        if image.startswith(_MAGIC):
            _, link_counts, circuit_counts, *header = _HEADER.unpack_from(image)
            return _unpack(image, _HEADER.size, link_counts, circuit_counts, *header)
        first = _HEADER_1.unpack_from(image)
        return _unpack(image, _HEADER_1.size, _LINK_COUNTS_1, _CIRCUIT_COUNTS_1, *first)
    except (struct.error, ValueError, TypeError, LookupError) as error:
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
    """Counts that a later version has added are left out; those that an earlier one has not are 0, or not counted."""
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
        books.circuits[key] = _circuit_books(counts)
        at += circuit.size
    books.promises, books.saved_unix_ns, at = unpack_promises(image, at)
    books.standing = unpack_standing(image, at, _places(books))
    return books


def _circuit_books(counts: Sequence[int]) -> CircuitBooks:
    known = counts[:_CIRCUIT_COUNTS]
    if len(known) < _CIRCUIT_COUNTS or _NOT_COUNTED in known:
        return CircuitBooks(*known[:_CIRCUIT_COUNTS_1], line_counted=False)
    return CircuitBooks(*known)


def _places(books: RouterBooks) -> Places:
    return Places(list(books.links), list(books.injected_mj), list(books.delivered_mj))


def progress_bytes(books: RouterBooks) -> int:
    """How long the progress of books with as many links is."""
    return _PROGRESS.size + len(books.links) * _LINK_PROGRESS.size


def apply_progress(books: RouterBooks, progress: bytes) -> None:
    """Bring books as they were in an image up to its ``progress``."""
    standing = books.standing
    if standing is None:
        return
    standing.until_ns, books.saved_unix_ns = _PROGRESS.unpack_from(progress)
    at = _PROGRESS.size
    for link_id, link in books.links.items():
        until_ns, *counts = _LINK_PROGRESS.unpack_from(progress, at)
        at += _LINK_PROGRESS.size
        if link_id in standing.streams:
            standing.streams[link_id].until_ns = until_ns
        for name, count in zip(_COUNTED_ON, counts, strict=True):
            setattr(link, name, count)
