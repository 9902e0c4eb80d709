"""The books of what loads were promised and did not get: one of each circuit at its sink, with their image."""

import struct
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields

from digitalgrid.limits import MAX_INT64
from digitalgrid.model import MissingCause, MissingEnergy
from digitalgrid.units import MICROWATTS_PER_W, MILLIWATTS_PER_W

# Circuits and counts of each; later versions add counts at the end.
_HEADER = struct.Struct("!qIH")


@dataclass(slots=True)
class PromiseBooks:
    """One circuit, over all its generations; ``promised_mj`` less what is missing was delivered."""

    promised_mj: int = 0
    start_mj: int = 0
    fault_mj: int = 0
    move_mj: int = 0
    curtailment_mj: int = 0
    # Promised now, in microwatts; 0 where the promise has ended.
    power_uw: int = 0
    # The newest that was committed here, and the one that was last seen to deliver for a whole tick; 0: none yet.
    generation: int = 0
    seated_generation: int = 0
    refused_mj: int = 0

    @property
    def stands(self) -> bool:
        return self.power_uw > 0

    @property
    def power_mw(self) -> int:
        return self.power_uw * MILLIWATTS_PER_W // MICROWATTS_PER_W

    @property
    def missing_mj(self) -> int:
        return self.start_mj + self.fault_mj + self.move_mj + self.curtailment_mj + self.refused_mj

    def add(self, cause: MissingCause, energy_mj: int) -> None:
        match cause:
            case MissingCause.START:
                self.start_mj += energy_mj
            case MissingCause.FAULT:
                self.fault_mj += energy_mj
            case MissingCause.MOVE:
                self.move_mj += energy_mj
            case MissingCause.CURTAILMENT:
                self.curtailment_mj += energy_mj
            case MissingCause.REFUSED:
                self.refused_mj += energy_mj

    def energy(self) -> MissingEnergy:
        return MissingEnergy(
            self.promised_mj,
            self.start_mj,
            self.fault_mj,
            self.move_mj,
            self.curtailment_mj,
            self.refused_mj,
        )

    def capped(self) -> "PromiseBooks":
        return PromiseBooks(*(min(count, MAX_INT64) for count in astuple(self)))


_COUNTS = len(fields(PromiseBooks))
_PROMISE = struct.Struct(f"!Q{_COUNTS}q")


def pack_promises(promises: Mapping[int, PromiseBooks], saved_unix_ns: int) -> bytes:
    """The image's last part, which older versions do not read. struct.error where a meter is full."""
    pieces = [_HEADER.pack(saved_unix_ns, len(promises), _COUNTS)]
    for circuit_id, books in promises.items():
        pieces.append(
            _PROMISE.pack(
                circuit_id,
                books.promised_mj,
                books.start_mj,
                books.fault_mj,
                books.move_mj,
                books.curtailment_mj,
                books.power_uw,
                books.generation,
                books.seated_generation,
                books.refused_mj,
            )
        )
    return b"".join(pieces)


def unpack_promises(image: bytes, at: int) -> tuple[dict[int, PromiseBooks], int, int]:
    """What an image says from ``at`` on, when (Unix time, ns) it was saved, and where that ends; nothing and 0 in an
    older one.
    """
    if at == len(image):
        return {}, 0, at
    saved_unix_ns, count, counts = _HEADER.unpack_from(image, at)
    at += _HEADER.size
    promise = struct.Struct(f"!Q{counts}q")
    promises = {}
    for _ in range(count):
        circuit_id, *figures = promise.unpack_from(image, at)
        promises[circuit_id] = PromiseBooks(*figures[:_COUNTS])
        at += promise.size
    return promises, saved_unix_ns, at
