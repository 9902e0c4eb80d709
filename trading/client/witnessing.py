"""Witnessing of a market's log: the newest head that was seen, kept in a file, and signed only where it goes on.

The file is JSON and evidence by itself: it has the head with the log's signature and the witness's. Of two that do not
go on from each other, whoever runs the log has shown two histories.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Protocol

import msgspec
from google.protobuf.message import DecodeError

from digitalgrid.config_file import open_regular
from digitalgrid.errors import ExplainedError
from digitalgrid.market.v1 import ledger_pb2, ledger_service_pb2
from trading.ledger.keys import Domain, SigningKey, is_signed, key_id_of
from trading.ledger.verifying import BadLog
from trading.ledger.witness import Witness


class NoWitness(ExplainedError):
    """A file that is no witness's, or was altered."""


class Seen(msgspec.Struct, frozen=True):
    """A head of a log with both signatures over it; bytes are base64 in the file."""

    log_public_key: bytes
    head: bytes
    head_key_id: bytes
    head_signature: bytes
    witness_public_key: bytes
    witness_signature: bytes


class Log(Protocol):
    """What a witness asks a log for, as MarketClient does."""

    def head(self) -> ledger_service_pb2.GetHeadResponse: ...

    def consistency(self, from_size: int, to_size: int) -> Sequence[bytes]: ...

    def entries(self, from_seq: int, to_seq: int) -> Iterable[ledger_pb2.SignedEntry]: ...


def read_seen(path: Path) -> Seen:
    """Raises :class:`NoWitness` for a file that is none, and OSError where it cannot be read."""
    try:
        with open(path, "rb", opener=open_regular) as file:
            seen = msgspec.json.decode(file.read(), type=Seen)
        read_head(seen)
    except (msgspec.DecodeError, RecursionError, BadLog) as error:
        raise NoWitness(f"{path} is no file of a witness, or was altered: {error}") from error
    return seen


def read_head(seen: Seen) -> ledger_pb2.TreeHead:
    """The head, which both have signed. Raises BadLog where they have not."""
    try:
        head = ledger_pb2.TreeHead.FromString(seen.head)
    except DecodeError as error:
        raise BadLog(f"its head cannot be read: {error}") from error
    signatures = (
        (seen.log_public_key, Domain.TREE_HEAD, seen.head_signature),
        (seen.witness_public_key, Domain.WITNESSED, seen.witness_signature),
    )
    for public_key, domain, signature in signatures:
        if not is_signed(public_key, domain, head.log_id, seen.head, signature):
            raise BadLog("a signature of its head is not good")
    if seen.head_key_id != key_id_of(seen.log_public_key):
        raise BadLog("its head is signed with another key than it names")
    return head


def write_seen(path: Path, seen: Seen) -> None:
    """In the place of what was there, durable, all or nothing."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:
            file.write(msgspec.json.format(msgspec.json.encode(seen), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def witness_once(log: Log, signer: SigningKey, before: Seen | None) -> Seen:
    """Asks a log for its head, and signs it if it goes on from the one before. Raises BadLog where it does not.

    Of a log that was never seen before its present key is believed, and from then on none that it does not announce.
    """
    answer = log.head()
    public_key = answer.log_public_key if before is None else before.log_public_key
    seen = None if before is None else read_head(before)
    newest = _parsed(answer.head)
    witness = Witness(newest.log_id if seen is None else seen.log_id, public_key, signer, seen)
    if seen is not None and answer.head.key_id != key_id_of(public_key):
        for entry in log.entries(seen.size, newest.size):
            public_key = _followed(witness, entry, public_key)
    signed = witness.sign(answer.head, log.consistency)
    return Seen(
        log_public_key=public_key,
        head=answer.head.head,
        head_key_id=answer.head.key_id,
        head_signature=answer.head.signature,
        witness_public_key=signer.public_key,
        witness_signature=signed.signature,
    )


def _followed(witness: Witness, signed: ledger_pb2.SignedEntry, public_key: bytes) -> bytes:
    """The key that signs after an entry."""
    try:
        entry = ledger_pb2.Entry.FromString(signed.entry)
    except DecodeError as error:
        raise BadLog(f"an entry cannot be read: {error}") from error
    if not entry.HasField("log_key"):
        return public_key
    witness.follow(signed)
    return entry.log_key.public_key


def _parsed(signed: ledger_pb2.SignedTreeHead) -> ledger_pb2.TreeHead:
    try:
        return ledger_pb2.TreeHead.FromString(signed.head)
    except DecodeError as error:
        raise BadLog(f"the head cannot be read: {error}") from error
