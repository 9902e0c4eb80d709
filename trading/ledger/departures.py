"""Departures: the proof that a meter has left another log. Whoever knows that log by its id believes nothing else.

The proof begins with that log's first entry, of which the id is the hash and which names its key, goes from key to key
to the one that signs the head, and from the head to the release that the meter has signed.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from google.protobuf.message import DecodeError, Message

from digitalgrid.market.v1 import ledger_pb2 as pb
from trading.ledger.forms import MAX_ENTRY_BYTES, bare, has_unknown
from trading.ledger.keys import Domain, is_signed, key_id_of
from trading.ledger.merkle import includes, leaf_hash
from trading.ledger.refusals import LedgerRefused
from trading.reasons import MarketReason

M = TypeVar("M", bound=Message)

# Keys that a log has had, of a proof: a new one each week for ten years, and the first.
MAX_KEYS = 523
# And steps from a leaf to a root, of as many entries as 64 bits count.
_MAX_STEPS = 64
# Of all of it. The entry that brings it has the rest.
MAX_DEPARTURE_BYTES = MAX_ENTRY_BYTES * 3 // 4
# What it has besides the keys, and the one that comes next, is not half of this.
_REST_BYTES = 1 << 13


class Departed(msgspec.Struct, frozen=True):
    """What is proved: a meter's release, its entry in a log, and the head that it is beneath. ``public_keys``: those
    that have signed that log, the newest last.
    """

    notice: pb.MeterNotice
    seq: int
    at_unix_ns: int
    size: int
    root: bytes
    public_keys: tuple[bytes, ...]


def check_departure(departure: pb.MeterDeparture) -> Departed:
    """Raises LedgerRefused where anything of it is not as its signers made it."""
    if not 0 < len(departure.keys) <= MAX_KEYS or len(departure.inclusion) > _MAX_STEPS:
        raise _forged(f"it has {len(departure.keys)} keys and {len(departure.inclusion)} steps")
    if departure.ByteSize() > MAX_DEPARTURE_BYTES:
        raise _forged(f"it is of {departure.ByteSize()} bytes, more than any has")
    log_id = log_of(departure)
    keys = _keys(departure.keys, log_id)
    public_keys = tuple(keys.values())
    head = _head(departure.head, log_id, public_keys[-1])
    entry = _parsed(pb.Entry(), departure.release.entry, "its release")
    signing = [key for seq, key in keys.items() if seq < entry.seq]
    if not signing or not _is_by(signing[-1], departure.release, log_id):
        raise _forged("its release is not signed with the log's key of then")
    leaf = leaf_hash(departure.release.entry)
    if not includes(leaf, entry.seq, head.size, departure.inclusion, head.root):
        raise _forged(f"its release does not stand in the log of {head.size} entries")
    if not entry.HasField("release"):
        raise _forged("what it proves is an entry of something else than a release")
    notice = read_notice(entry.release, log_id)
    return Departed(notice, entry.seq, entry.at_unix_ns, head.size, head.root, public_keys)


def log_of(departure: pb.MeterDeparture) -> bytes:
    """The id of the log that it is of, and nothing of it is checked. Raises LedgerRefused."""
    if not departure.keys:
        raise _forged("it is of no log")
    return leaf_hash(departure.keys[0].entry)


def named_keys(departure: pb.MeterDeparture) -> list[bytes]:
    """That the log has had, if the proof holds: nothing of it is checked. Raises LedgerRefused."""
    entries = [_parsed(pb.Entry(), signed.entry, "a key") for signed in departure.keys[:MAX_KEYS]]
    return [each.log_key.public_key or each.genesis.public_key for each in entries]


def has_room(keys: Sequence[pb.SignedEntry]) -> bool:
    """For one more, of the keys that a log has had: with too many nothing could be proved to leave it."""
    size = sum(each.ByteSize() for each in keys)
    return len(keys) < MAX_KEYS and size <= MAX_DEPARTURE_BYTES - _REST_BYTES


def _keys(entries: Sequence[pb.SignedEntry], log_id: bytes) -> dict[int, bytes]:
    """By the entries after which they sign. Each announced by the one before, the first by itself."""
    first = _parsed(pb.Entry(), entries[0].entry, "its first key")
    last_seq, key = first.seq, first.genesis.public_key
    if not _is_by(key, entries[0], log_id):
        raise _forged("its log's first key has not signed that it is one")
    keys = {last_seq: key}
    for signed in entries[1:]:
        entry = _parsed(pb.Entry(), signed.entry, "a key")
        is_next = entry.seq > last_seq and entry.HasField("log_key")
        if not is_next or not _is_by(key, signed, log_id):
            raise _forged("one of its log's keys is none that the key before has announced")
        last_seq, key = entry.seq, entry.log_key.public_key
        keys[last_seq] = key
    return keys


def _is_by(public_key: bytes, signed: pb.SignedEntry, log_id: bytes) -> bool:
    return signed.key_id == key_id_of(public_key) and is_signed(
        public_key, Domain.ENTRY, log_id, signed.entry, signed.signature
    )


def _head(signed: pb.SignedTreeHead, log_id: bytes, public_key: bytes) -> pb.TreeHead:
    good = signed.key_id == key_id_of(public_key) and is_signed(
        public_key, Domain.TREE_HEAD, log_id, signed.head, signed.signature
    )
    if not good:
        raise _forged("the log's signature of its head is not good")
    head = _parsed(pb.TreeHead(), signed.head, "its head")
    if head.log_id != log_id:
        raise _forged("its head is of another log")
    return head


def read_notice(
    release: pb.MeterRelease, log_id: bytes, *, is_known: bool = False
) -> pb.MeterNotice:
    """What a meter has said as it left a log; ``is_known``: its signature is known to be good. Raises LedgerRefused."""
    _check_form(release)
    notice = _parsed(pb.MeterNotice(), release.notice, "a meter's notice")
    _check_words(notice, log_id)
    if not is_known and not is_signed(
        notice.meter_public_key,
        Domain.METER_RELEASE,
        log_id,
        release.notice,
        release.signature,
    ):
        raise LedgerRefused(
            MarketReason.BAD_METER_SIGNATURE, "the meter has not signed its release", "signature"
        )
    return notice


def read_certificate(
    registration: pb.MeterRegistration, log_id: bytes, *, is_known: bool = False
) -> pb.MeterCertificate:
    """What a meter has said as it came to a log; ``is_known`` as of a notice. Raises LedgerRefused."""
    _check_form(registration)
    certificate = _parsed(pb.MeterCertificate(), registration.certificate, "a certificate")
    _check_words(certificate, log_id)
    if not is_known and not is_signed(
        certificate.meter_public_key,
        Domain.METER_REGISTRATION,
        log_id,
        registration.certificate,
        registration.signature,
    ):
        raise LedgerRefused(
            MarketReason.BAD_METER_SIGNATURE,
            "the meter has not signed its registration",
            "signature",
        )
    return certificate


def _check_form(brought: pb.MeterRegistration | pb.MeterRelease) -> None:
    """It comes from outside, and stands in a log as it is. Signatures are over parts of it only."""
    size = brought.ByteSize()
    if size > MAX_ENTRY_BYTES:
        raise LedgerRefused(
            MarketReason.CERTIFICATE_UNFIT,
            f"it is of {size} bytes, and an entry of {MAX_ENTRY_BYTES} at most",
        )
    if has_unknown(brought):
        raise LedgerRefused(MarketReason.CERTIFICATE_UNFIT, "it has fields that nobody knows")


def _check_words(words: pb.MeterCertificate | pb.MeterNotice, log_id: bytes) -> None:
    if words.log_id != log_id:
        raise LedgerRefused(
            MarketReason.CERTIFICATE_UNFIT,
            f"it is of the log {words.log_id.hex() or 'of nobody'}, and this is {log_id.hex()}",
            "log_id",
        )
    if not words.epoch:
        raise LedgerRefused(MarketReason.CERTIFICATE_UNFIT, "its epoch is 0", "epoch")


def _parsed(into: M, content: bytes, what: str) -> M:
    """Of the only bytes that say it: a signature is over these, and there is one of each."""
    try:
        into.ParseFromString(content)
    except DecodeError as error:
        raise LedgerRefused(MarketReason.CERTIFICATE_UNFIT, f"{what} cannot be read") from error
    if bare(into) != content:
        raise LedgerRefused(MarketReason.CERTIFICATE_UNFIT, f"{what} has bytes that say nothing")
    return into


def _forged(why: str) -> LedgerRefused:
    return LedgerRefused(
        MarketReason.RELEASE_FORGED, f"the proof of its release: {why}", "departure"
    )
