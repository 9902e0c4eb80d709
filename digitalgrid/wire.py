"""Frames that routers exchange over a power link: the power packets of all circuits, and demands the other way.

A frame says who sent it and whom it has heard (discriminators, as in BFD), when its energy flowed, and the sender's
running total of energy that should have arrived, by which the receiver finds every loss. A *state* frame carries the
whole state of the sender's end, in as many parts as the size allows: what no part names is not there any more.
A frame without the state is a hello and changes nothing.

Records are marked (a hop that only charges, a hop that primes) for neighbours that say in their header that they read
marks; those that do not are of an earlier release, and are sent frames as it knows them.

A *standing* frame is a hello that says: all is as in the state that ended with a certain frame of mine, and its grants
have flowed at these rates since a certain instant. So both ends know every flow's energy by the time alone, to the
millijoule, and a frame of 104 bytes stands for any number of records. It stands only on a state of which the receiver
has said that it has it.

A *pulse* is a hello under the number of the sender's last frame, from beside its work: it lives, and is late with what
comes next. It says nothing else; routers of an earlier release drop it as one that they have had.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from digitalgrid.model import CircuitGeneration

# Of the frames' layout: who reads another one drops them.
WIRE_VERSION = 1
# Within Ethernet's 1,500, with room for headers of tunnels.
DEFAULT_FRAME_BYTES = 1400

_MAGIC = b"DG"
# Of a frame: it carries the state; its sender reads marks; its records carry them.
_FLAG_STATE = 0x01
_FLAG_READS_MARKS = 0x02
_FLAG_MARKED = 0x04
# It says which state of its receiver its sender has, and on which of its own it stands; its sender reads that.
_FLAG_STANDING = 0x08
_FLAG_READS_STANDING = 0x10
# It says once more that its sender lives, with the number of the frame before.
_FLAG_PULSE = 0x20
# Of a power record.
_FLAG_DRAINED = 0x01
_FLAG_CHARGED = 0x02
_FLAG_QUICK = 0x04
_FLAG_CURTAILED = 0x08
_MARKS = _FLAG_CHARGED | _FLAG_QUICK | _FLAG_CURTAILED
# By flags: drained, charged, quick, curtailed.
_TOLD = [tuple(bool(flags & 1 << bit) for bit in range(4)) for flags in range(16)]
# Of a demand record: idle, wanted only to fill buffers; the sender primes, and wants packets at short intervals; more
# is wanted than what is demanded, for a buffer there or below that holds less than routers are late.
MARK_IDLE = 0x01
MARK_PRIMES = 0x02
MARK_FILLS = 0x04
# magic, version, flags, part, parts, link, sender, mine, yours, seq, origin, interval, total, power and demand records
_HEADER = struct.Struct("!2sBBHHQQQQQqqqHH")
_POWER = struct.Struct("!QQBqqq")
_DEMAND = struct.Struct("!QQq")
_MARKED_DEMAND = struct.Struct("!QQqB")
# The receiver's state that the sender has, the sender's that stands, and since when.
_STANDING = struct.Struct("!QQq")
_CRC = struct.Struct("!I")
_SMALLEST_BYTES = _HEADER.size + _CRC.size
# Room for jumbo frames; what is longer is no frame, however well-formed.
MAX_FRAME_BYTES = 9000
MIN_FRAME_BYTES = _SMALLEST_BYTES + _STANDING.size + _POWER.size + _MARKED_DEMAND.size


# Makes a record of all its fields in half the time: there are thousands in a tick.
record_of = tuple.__new__


class FrameError(ValueError):
    """A datagram that is not a whole, undamaged frame of this version."""


class PowerRecord(NamedTuple):
    """The power packet of one circuit generation."""

    key: CircuitGeneration
    # Arrives with this frame, and was charged as line loss on the way.
    received_mj: int
    loss_mj: int
    # What the sender grants at the receiving end from now on.
    grant_mw: int
    # Nothing is under way any more at the sender or above it.
    drained: bool
    # It is idle, and the buffers of the sender and of all above it are full.
    charged: bool = False
    # Its packets come at short intervals.
    quick: bool = False
    # Its source, or a line above, gives less than it needs: what is not granted is not lost to a fault.
    curtailed: bool = False


class DemandRecord(NamedTuple):
    """What the sender wants to receive for one circuit generation from now on."""

    key: CircuitGeneration
    demand_mw: int
    # MARK_IDLE, MARK_PRIMES, MARK_FILLS.
    marks: int = 0


class Frame(NamedTuple):
    """One datagram on a power link. Times are the sender's monotonic clock."""

    link_hash: int
    sender_hash: int
    discriminator: int
    heard_discriminator: int
    seq: int
    origin_ns: int
    # The energy in this frame flowed in the interval that ends at origin_ns.
    interval_ns: int
    # All energy that should have arrived since the sender's books were opened, this frame's included.
    total_mj: int
    # Part `part` of `parts` of a state; parts is 0 in a hello, and `part` how late its sender is, in milliseconds.
    part: int = 0
    parts: int = 0
    power: tuple[PowerRecord, ...] = ()
    demands: tuple[DemandRecord, ...] = ()
    # Its sender understands marks; its own records carry them.
    reads_marks: bool = False
    marked: bool = False
    # Its sender understands standing frames, and says so of itself: states are named by the sequence number of their
    # last frame, of which the sender has ``heard_state`` (0: none), and stands on its own ``stands_on`` (0: on none).
    reads_standing: bool = False
    tells_standing: bool = False
    heard_state: int = 0
    stands_on: int = 0
    stands_since_ns: int = 0
    pulse: bool = False

    @property
    def received_mj(self) -> int:
        return sum([record[1] for record in self.power])


def name_hash(name: str) -> int:
    """64 bits that stand for a router's or link's id in a frame."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def split_records(
    power: Sequence[PowerRecord],
    demands: Sequence[DemandRecord],
    frame_bytes: int,
    *,
    marked: bool = False,
) -> Iterator[tuple[tuple[PowerRecord, ...], tuple[DemandRecord, ...]]]:
    """Share records out over frames of at most ``frame_bytes``; at least one share, even if it is empty."""
    room = frame_bytes - _SMALLEST_BYTES - _STANDING.size
    demand_bytes = _MARKED_DEMAND.size if marked else _DEMAND.size
    whole = len(power) * _POWER.size + len(demands) * demand_bytes
    if whole <= room:
        yield tuple(power), tuple(demands)
        return
    at_power = at_demand = 0
    while at_power < len(power) or at_demand < len(demands):
        share = tuple(power[at_power : at_power + room // _POWER.size])
        at_power += len(share)
        left = room - len(share) * _POWER.size
        asked = tuple(demands[at_demand : at_demand + left // demand_bytes])
        at_demand += len(asked)
        yield share, asked


def encode(frame: Frame) -> bytes:
    header = _HEADER.pack(
        _MAGIC,
        WIRE_VERSION,
        _flags_of(frame),
        frame.part,
        frame.parts,
        frame.link_hash,
        frame.sender_hash,
        frame.discriminator,
        frame.heard_discriminator,
        frame.seq,
        frame.origin_ns,
        frame.interval_ns,
        frame.total_mj,
        len(frame.power),
        len(frame.demands),
    )
    pieces = [header]
    told = _FLAG_DRAINED | (_MARKS if frame.marked else 0)
    pack = _POWER.pack
    for key, received_mj, loss_mj, grant_mw, drained, charged, quick, curtailed in frame.power:
        flags = (drained | charged << 1 | quick << 2 | curtailed << 3) & told
        pieces.append(pack(key[0], key[1], flags, received_mj, loss_mj, grant_mw))
    if frame.marked:
        pack = _MARKED_DEMAND.pack
        pieces += [pack(key[0], key[1], mw, marks) for key, mw, marks in frame.demands]
    else:
        pieces += [_DEMAND.pack(*key, mw) for key, mw, _ in frame.demands]
    if frame.tells_standing:
        pieces.append(_STANDING.pack(frame.heard_state, frame.stands_on, frame.stands_since_ns))
    body = b"".join(pieces)
    return body + _CRC.pack(zlib.crc32(body))


def _flags_of(frame: Frame) -> int:
    flags = _FLAG_STATE if frame.parts else 0
    if frame.reads_marks:
        flags |= _FLAG_READS_MARKS
    if frame.reads_standing:
        flags |= _FLAG_READS_STANDING
    if frame.tells_standing:
        flags |= _FLAG_STANDING
    if frame.pulse:
        flags |= _FLAG_PULSE
    return flags | _FLAG_MARKED if frame.marked else flags


def decode(datagram: bytes) -> Frame:
    """Raises :class:`FrameError` for anything but a whole frame whose every number makes sense.

    Bytes after the frame are padding (Ethernet fills short frames up) and ignored.
    """
    if len(datagram) < _SMALLEST_BYTES:
        raise FrameError(f"{len(datagram)} bytes are too short for a frame")
    (
        magic,
        version,
        flags,
        part,
        parts,
        link_hash,
        sender_hash,
        mine,
        yours,
        seq,
        origin_ns,
        interval_ns,
        total_mj,
        power_count,
        demand_count,
    ) = _HEADER.unpack_from(datagram)
    if magic != _MAGIC:
        raise FrameError("not a power link frame")
    if version != WIRE_VERSION:
        raise FrameError(f"frame of version {version}, this router speaks {WIRE_VERSION}")
    marked = bool(flags & _FLAG_MARKED)
    demands_at = _HEADER.size + power_count * _POWER.size
    standing_at = demands_at + demand_count * (_MARKED_DEMAND if marked else _DEMAND).size
    tells_standing = bool(flags & _FLAG_STANDING)
    end = standing_at + (_STANDING.size if tells_standing else 0)
    if end + _CRC.size > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {end + _CRC.size} bytes; {MAX_FRAME_BYTES} is the most")
    if len(datagram) < end + _CRC.size:
        raise FrameError(f"{len(datagram)} bytes are too short for the frame's records")
    if _CRC.unpack_from(datagram, end)[0] != zlib.crc32(datagram[:end]):
        raise FrameError("checksum does not match")
    if bool(flags & _FLAG_STATE) != (parts > 0) or (parts and part >= parts):
        raise FrameError(f"part {part} of {parts} makes no sense")
    if not parts and (power_count or demand_count):
        raise FrameError("a hello carries records")
    power = _power_of(datagram[_HEADER.size : demands_at], marked) if power_count else ()
    demands = _demands_of(datagram[demands_at:standing_at], marked) if demand_count else ()
    standing = _STANDING.unpack_from(datagram, standing_at) if tells_standing else (0, 0, 0)
    frame = Frame(
        link_hash=link_hash,
        sender_hash=sender_hash,
        discriminator=mine,
        heard_discriminator=yours,
        seq=seq,
        origin_ns=origin_ns,
        interval_ns=interval_ns,
        total_mj=total_mj,
        part=part,
        parts=parts,
        power=power,
        demands=demands,
        reads_marks=bool(flags & _FLAG_READS_MARKS),
        marked=marked,
        reads_standing=bool(flags & _FLAG_READS_STANDING),
        tells_standing=tells_standing,
        heard_state=standing[0],
        stands_on=standing[1],
        stands_since_ns=standing[2],
        pulse=bool(flags & _FLAG_PULSE),
    )
    _require_sense(frame)
    return frame


def _power_of(records: bytes, marked: bool) -> tuple[PowerRecord, ...]:
    """Senders that do not mark records put nothing but the one flag there."""
    told = _FLAG_DRAINED | (_MARKS if marked else 0)
    return tuple(
        [
            record_of(
                PowerRecord,
                (record_of(CircuitGeneration, each[:2]), *each[3:], *_TOLD[each[2] & told]),
            )
            for each in _POWER.iter_unpack(records)
        ]
    )


def _demands_of(records: bytes, marked: bool) -> tuple[DemandRecord, ...]:
    if marked:
        return tuple(
            [
                record_of(DemandRecord, (record_of(CircuitGeneration, each[:2]), each[2], each[3]))
                for each in _MARKED_DEMAND.iter_unpack(records)
            ]
        )
    return tuple(
        DemandRecord(CircuitGeneration(circuit_id, generation), demand_mw)
        for circuit_id, generation, demand_mw in _DEMAND.iter_unpack(records)
    )


def _require_sense(frame: Frame) -> None:
    for power in frame.power:
        if power[1] < 0 or power[2] < 0 or power[3] < 0:
            raise FrameError("a power record with a negative number")
    if min([each.demand_mw for each in frame.demands], default=0) < 0:
        raise FrameError("a demand record with a negative number")
    if frame.pulse and (frame.parts or frame.stands_on):
        raise FrameError("a pulse that says more than that its sender lives")
    if frame.stands_on and (frame.parts or not _stands_in_order(frame)):
        raise FrameError("a standing frame that is none")
    if frame.interval_ns < 0 or frame.total_mj < frame.received_mj:
        raise FrameError("interval or total energy makes no sense")


def _stands_in_order(frame: Frame) -> bool:
    """Its energy flowed after it began to stand."""
    return frame.stands_since_ns <= frame.origin_ns - frame.interval_ns
