"""Frames survive the wire whole or not at all."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digitalgrid.model import CircuitGeneration
from digitalgrid.wire import (
    DemandRecord,
    Frame,
    FrameError,
    PowerRecord,
    decode,
    encode,
    name_hash,
    split_records,
)

KEYS = st.builds(CircuitGeneration, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
AMOUNTS = st.integers(0, 2**40)
UNMARKED = (st.just(False),) * 3
POWER = st.builds(PowerRecord, KEYS, AMOUNTS, AMOUNTS, AMOUNTS, st.booleans(), *UNMARKED)
DEMANDS = st.builds(DemandRecord, KEYS, AMOUNTS, st.just(0))
MARKED_POWER = st.builds(PowerRecord, KEYS, AMOUNTS, AMOUNTS, AMOUNTS)
MARKED_DEMANDS = st.builds(DemandRecord, KEYS, AMOUNTS, st.integers(0, 255))


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    parts = draw(st.integers(0, 5))
    marked = draw(st.booleans())
    power_records = MARKED_POWER if marked else POWER
    demand_records = MARKED_DEMANDS if marked else DEMANDS
    power = tuple(draw(st.lists(power_records, max_size=6))) if parts else ()
    tells = draw(st.booleans())
    stands_on = draw(st.integers(0, 2**64 - 1)) if tells and not parts else 0
    interval_ns = draw(st.integers(0, 2**62))
    since_ns = draw(st.integers(0, 2**62))
    return Frame(
        link_hash=draw(st.integers(0, 2**64 - 1)),
        sender_hash=draw(st.integers(0, 2**64 - 1)),
        discriminator=draw(st.integers(0, 2**64 - 1)),
        heard_discriminator=draw(st.integers(0, 2**64 - 1)),
        seq=draw(st.integers(0, 2**64 - 1)),
        origin_ns=since_ns + interval_ns,
        interval_ns=interval_ns,
        total_mj=sum(record.received_mj for record in power) + draw(AMOUNTS),
        part=draw(st.integers(0, parts - 1)) if parts else 0,
        parts=parts,
        power=power,
        demands=tuple(draw(st.lists(demand_records, max_size=6))) if parts else (),
        reads_marks=draw(st.booleans()),
        marked=marked,
        reads_standing=draw(st.booleans()),
        tells_standing=tells,
        heard_state=draw(st.integers(0, 2**64 - 1)) if tells else 0,
        stands_on=stands_on,
        stands_since_ns=since_ns if stands_on else 0,
        pulse=draw(st.booleans()) if not parts and not stands_on else False,
    )


@given(frames(), st.binary(max_size=40))
def test_a_frame_comes_back_as_it_was_whatever_pads_it(frame: Frame, padding: bytes) -> None:
    assert decode(encode(frame) + padding) == frame


@given(st.binary(max_size=300))
def test_noise_is_no_frame(noise: bytes) -> None:
    with pytest.raises(FrameError):
        decode(noise)


@given(frames(), st.data())
def test_a_truncated_frame_is_refused(frame: Frame, data: st.DataObject) -> None:
    whole = encode(frame)
    with pytest.raises(FrameError):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(frames(), st.data())
def test_a_damaged_byte_is_found(frame: Frame, data: st.DataObject) -> None:
    whole = bytearray(encode(frame))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameError):
        decode(bytes(whole))


def _sealed(body: bytes) -> bytes:
    return body + struct.pack("!I", zlib.crc32(body))


def test_another_version_is_refused_by_name() -> None:
    body = bytearray(encode(Frame(1, 2, 3, 4, 5, 6, 7, 8))[:-4])
    body[2] = 9
    with pytest.raises(FrameError, match="version 9"):
        decode(_sealed(bytes(body)))


@pytest.mark.parametrize(
    "frame",
    [
        Frame(1, 2, 3, 4, 5, 6, -1, 8),
        Frame(1, 2, 3, 4, 5, 6, 7, 8, part=2, parts=2),
        # It stands, and carries a state; its energy flowed before it began to stand.
        Frame(1, 2, 3, 4, 5, 6, 7, 8, parts=1, tells_standing=True, stands_on=1),
        Frame(1, 2, 3, 4, 5, 60, 7, 8, tells_standing=True, stands_on=1, stands_since_ns=54),
        # A pulse says nothing else.
        Frame(1, 2, 3, 4, 5, 6, 7, 8, parts=1, pulse=True),
        Frame(1, 2, 3, 4, 5, 6, 7, 8, tells_standing=True, stands_on=1, pulse=True),
        Frame(1, 2, 3, 4, 5, 6, 7, -8),
        Frame(
            1, 2, 3, 4, 5, 6, 7, 8, 0, 1, (PowerRecord(CircuitGeneration(1, 1), -1, 0, 0, False),)
        ),
        Frame(
            1, 2, 3, 4, 5, 6, 7, 8, 0, 1, (PowerRecord(CircuitGeneration(1, 1), 9, 0, 0, False),)
        ),
        Frame(1, 2, 3, 4, 5, 6, 7, 8, 0, 1, (), (DemandRecord(CircuitGeneration(1, 1), -1),)),
        Frame(1, 2, 3, 4, 5, 6, 7, 8, 0, 0, (), (DemandRecord(CircuitGeneration(1, 1), 1),)),
    ],
)
def test_numbers_that_make_no_sense_are_refused(frame: Frame) -> None:
    with pytest.raises(FrameError):
        decode(encode(frame))


@settings(max_examples=50)
@given(st.lists(POWER, max_size=90), st.lists(DEMANDS, max_size=90), st.integers(200, 1500))
def test_records_are_shared_out_over_frames_that_fit(
    power: list[PowerRecord], demands: list[DemandRecord], frame_bytes: int
) -> None:
    shares = list(split_records(power, demands, frame_bytes))
    assert shares
    assert [record for share, _ in shares for record in share] == power
    assert [record for _, asked in shares for record in asked] == demands
    for part, (share, asked) in enumerate(shares):
        frame = Frame(1, 2, 3, 4, 5, 6, 7, 2**60, part, len(shares), share, asked)
        assert len(encode(frame)) <= frame_bytes


def test_names_have_hashes_of_their_own() -> None:
    names = [f"r{number}" for number in range(1000)]
    assert len({name_hash(name) for name in names}) == len(names)
