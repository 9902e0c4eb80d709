"""Whatever a ledger takes into its log, everybody can read and verify: with fields that nobody knows, of any length."""

from collections.abc import Iterator
from io import BytesIO

import hypothesis.strategies as st
from google.protobuf.message import Message
from hypothesis import given, settings

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.ledgers import KEY, Clock, close, deposit, lock, payment, transfer
from tests.support.meters import METER, OTHER_METER, depart, log, register, registration, release
from trading.ledger.keys import SigningKey
from trading.ledger.ledger import Ledger
from trading.ledger.log_file import CopyReader, verify_rows, write_copy
from trading.ledger.refusals import LedgerRefused
from trading.ledger.storage import MemoryStorage

# Of no message of a log.
UNKNOWN = b"\xfa\x01\x03abc"


def wanted(book: Ledger) -> Iterator[pb.Entry]:
    """Such as it takes, one after another: with all that an entry can have."""
    there = log(2)
    for number in (1, 2):
        there.rotate(SigningKey.of_seed(bytes(31) + bytes([number])))
    register(there)
    yield pb.Entry(registration=registration(book, depart(there, book.log_id)))
    yield pb.Entry(registration=registration(book, key=OTHER_METER))
    yield pb.Entry(release=release(book, there.log_id, METER))
    yield deposit("ann", 1_000)
    yield transfer("ann", "bob", 1)
    yield lock("t1", ann=100, bob=1)
    yield payment("t1", ("ann", "eve", 10))
    yield close("t1", ("ann", "bob", 90), ("bob", "bob", 1))
    yield pb.Entry(commitment=pb.Commitment(kind="terms", sha256=bytes(32)))


def parts(message: Message) -> Iterator[Message]:
    """It, and all messages within it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else (value,):
                yield from parts(each)


def grown(part: Message, size: int) -> None:
    """A text of it is longer, if it has any."""
    for field, value in part.ListFields():
        if isinstance(value, str | bytes):
            filling = "x" if isinstance(value, str) else b"x"
            setattr(part, field.name, value + filling * size)  # type: ignore[operator]
            return


def check_read(book: Ledger) -> None:
    """From a copy of it, and by whoever takes it up."""
    file = BytesIO()
    write_copy(file, book.entries(0, book.size), book.head())
    file.seek(len(b"dg-market-log-v1\n"))
    assert verify_rows(CopyReader(file), ()).tree.size == book.size


@settings(max_examples=100)
@given(data=st.data())
def test_what_a_ledger_writes_everybody_reads(data: st.DataObject) -> None:
    storage = MemoryStorage()
    book = Ledger(storage, KEY, Clock(), "log")
    written = 1
    for number, entry in enumerate(wanted(book)):
        spoilt = pb.Entry()
        spoilt.CopyFrom(entry)
        part = data.draw(st.sampled_from(list(parts(spoilt))))
        how = data.draw(st.sampled_from(["as it is", "unknown", "long", "very long"]))
        match how:
            case "unknown":
                part.MergeFromString(UNKNOWN)
            case "long" | "very long":
                grown(part, 1 << 10 if how == "long" else 1 << 18)
        try:
            book.write(f"entry {number}", spoilt)
        except LedgerRefused:
            assert how != "as it is"
            # So that what comes after it is taken.
            book.write(f"entry {number}", entry)
        else:
            assert how != "unknown" and (how != "very long" or spoilt == entry)
        written += 1
    assert book.size == written
    check_read(book)
    Ledger(storage, KEY, Clock(), "log")
