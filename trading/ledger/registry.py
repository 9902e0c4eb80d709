"""The registry of a log: which meters trade under it, by their own word, one after another by epochs (the third layer
against selling twice: one exchange at a time has a meter).

A release names the only log that may have the meter next, and a registration after the first needs the proof of one: so
epochs of a meter are a chain through logs. What no log alone can tell, as of a first registration in each of two, is
told by whoever compares them (:mod:`trading.ledger.comparing`).
Pure, and the same for whoever writes a log and whoever verifies it.
"""

import msgspec

from digitalgrid.market.v1 import ledger_pb2 as pb
from trading.ledger.departures import Departed, check_departure, read_certificate, read_notice
from trading.ledger.refusals import LedgerRefused
from trading.reasons import MarketReason


class Stay(msgspec.Struct, frozen=True):
    """A meter's time with a log, from one entry to another (``end_seq`` None: it lasts). ``came``: how it left the log
    before; None of the first of all, and of one that left for this same log.
    """

    epoch: int
    seq: int
    not_before_unix_ns: int
    came: Departed | None = None
    end_seq: int | None = None
    end_unix_ns: int = 0
    to_log_id: bytes = b""

    @property
    def lasts(self) -> bool:
        return self.end_seq is None


class Registry:
    """``stays``: by the meter's key, in their order. Without ``check_signatures`` meters' own are taken as they are, as
    of a log whose head covers all.
    """

    def __init__(self, *, check_signatures: bool = True) -> None:
        self._is_known = not check_signatures
        self.stays: dict[bytes, tuple[Stay, ...]] = {}

    def of(self, public_key: bytes) -> Stay | None:
        """The newest."""
        return self.stays.get(public_key, (None,))[-1]

    @property
    def keys(self) -> list[bytes]:
        """Of meters that are registered by now."""
        return [key for key, stays in self.stays.items() if stays[-1].lasts]

    @property
    def count(self) -> int:
        """How many these are."""
        return len(self.keys)

    def apply(self, entry: pb.Entry, log_id: bytes) -> None:
        """Do what an entry says of a meter, if it does. Raises LedgerRefused for what it must not say."""
        match entry.WhichOneof("body"):
            case "registration":
                self._register(entry, log_id)
            case "release":
                self._release(entry, log_id)

    def _register(self, entry: pb.Entry, log_id: bytes) -> None:
        registration = entry.registration
        certificate = read_certificate(registration, log_id, is_known=self._is_known)
        public_key, epoch = certificate.meter_public_key, certificate.epoch
        before = self.of(public_key)
        if before is not None and before.lasts:
            raise LedgerRefused(
                MarketReason.METER_REGISTERED,
                f"the meter is registered here, under epoch {before.epoch}",
                "certificate",
            )
        came = None
        if registration.HasField("departure"):
            came = check_departure(registration.departure)
            _check_for_here(came, certificate, log_id)
        left, left_unix_ns = _left(before, came, log_id)
        if epoch != left + 1:
            raise LedgerRefused(
                MarketReason.EPOCH_NOT_NEXT,
                f"its epoch is {epoch}, and the next is {left + 1}",
                "epoch",
            )
        if certificate.not_before_unix_ns < left_unix_ns:
            raise LedgerRefused(
                MarketReason.CERTIFICATE_UNFIT,
                f"it holds from {certificate.not_before_unix_ns} on, and the meter left at {left_unix_ns} only",
                "not_before_unix_ns",
            )
        stay = Stay(epoch, entry.seq, certificate.not_before_unix_ns, came)
        self.stays[public_key] = (*self.stays.get(public_key, ()), stay)

    def _release(self, entry: pb.Entry, log_id: bytes) -> None:
        notice = read_notice(entry.release, log_id, is_known=self._is_known)
        stay = self.of(notice.meter_public_key)
        if stay is None or not stay.lasts:
            raise LedgerRefused(
                MarketReason.METER_NOT_REGISTERED, "the meter is not registered here", "notice"
            )
        if notice.epoch != stay.epoch:
            raise LedgerRefused(
                MarketReason.EPOCH_NOT_NEXT,
                f"it ends epoch {notice.epoch}, and the meter is here under {stay.epoch}",
                "epoch",
            )
        if len(notice.to_log_id) != len(log_id):
            raise LedgerRefused(
                MarketReason.CERTIFICATE_UNFIT, "it names no log to go to", "to_log_id"
            )
        ended = msgspec.structs.replace(
            stay, end_seq=entry.seq, end_unix_ns=entry.at_unix_ns, to_log_id=notice.to_log_id
        )
        self.stays[notice.meter_public_key] = (*self.stays[notice.meter_public_key][:-1], ended)


def _check_for_here(came: Departed, certificate: pb.MeterCertificate, log_id: bytes) -> None:
    """A proof of another meter, or of one that went elsewhere, proves nothing here."""
    if came.notice.meter_public_key != certificate.meter_public_key:
        raise LedgerRefused(
            MarketReason.RELEASE_OF_ANOTHER, "what was released is another meter", "departure"
        )
    if came.notice.to_log_id != log_id:
        raise LedgerRefused(
            MarketReason.RELEASE_OF_ANOTHER,
            f"the meter was released to the log {came.notice.to_log_id.hex()}, and this is {log_id.hex()}",
            "departure",
        )


def _left(before: Stay | None, came: Departed | None, log_id: bytes) -> tuple[int, int]:
    """The epoch that was released last, and when: 0 of a meter that was never registered, as far as is known here."""
    here = 0 if before is None else before.epoch
    if came is not None:
        if came.notice.epoch <= here:
            raise LedgerRefused(
                MarketReason.RELEASE_REPLAYED,
                f"what was released is epoch {came.notice.epoch}, and the meter was here under {here} since",
                "departure",
            )
        return came.notice.epoch, came.at_unix_ns
    if before is None:
        return 0, 0
    if before.to_log_id != log_id:
        raise LedgerRefused(
            MarketReason.RELEASE_MISSING,
            f"the meter left for the log {before.to_log_id.hex()}, whose release of it is not given",
            "departure",
        )
    return before.epoch, before.end_unix_ns
