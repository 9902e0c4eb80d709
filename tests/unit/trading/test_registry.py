"""Which log has a meter: by its own word, one at a time, by epochs, from log to log by proofs of release."""

from collections.abc import Callable
from functools import partial

import pytest

from digitalgrid.market.v1 import ledger_pb2 as pb
from tests.support.ledgers import KEY, Clock, ledger
from tests.support.meters import (
    METER,
    OTHER_METER,
    depart,
    log,
    register,
    registration,
    release,
    resigned,
)
from trading.ledger.departures import check_departure
from trading.ledger.keys import SigningKey
from trading.ledger.ledger import Ledger
from trading.ledger.refusals import LedgerReason, LedgerRefused
from trading.ledger.registry import Registry
from trading.ledger.storage import MemoryStorage
from trading.ledger.verifying import BadLog, verify
from trading.reasons import MarketReason

R = MarketReason


def why(done: Callable[[], object]) -> MarketReason:
    with pytest.raises(LedgerRefused) as caught:
        done()
    reason = caught.value.reason
    assert isinstance(reason, MarketReason)
    return reason


def write(book: Ledger, entry: pb.Entry) -> None:
    book.write(f"entry {book.size}", entry)


def test_a_meter_goes_from_log_to_log_and_back_by_epochs_and_each_log_verifies_by_itself() -> None:
    here, there = log(1), log(2)
    register(here)
    for epoch, (left, following) in enumerate(((here, there), (there, here)) * 3, start=1):
        stay = left.stay(METER.public_key)
        assert stay is not None and (stay.epoch, stay.lasts) == (epoch, True)
        departure = depart(left, following.log_id)
        assert left.registered(METER.public_key) is None
        register(following, departure)
        assert following.registered(METER.public_key) == 1_000
    for book in (here, there):
        verified = verify(book.entries(0, book.size), book.head())
        assert verified.registry.of(METER.public_key) == book.stay(METER.public_key)


def test_a_meter_that_went_nowhere_comes_back_without_a_proof() -> None:
    here = log(1)
    register(here)
    depart(here)
    register(here)
    stay = here.stay(METER.public_key)
    assert stay is not None and stay.epoch == 2


def test_a_log_that_is_taken_up_again_has_the_meters_that_it_had() -> None:
    storage = MemoryStorage()
    book = ledger(storage)
    register(book)
    book = Ledger(storage, KEY, Clock(), "")
    assert book.registered(METER.public_key) == 1_000
    # Whoever writes looks at signatures, also of a log that was there before.
    unsigned = release(book)
    unsigned.signature = b""
    assert why(lambda: write(book, pb.Entry(release=unsigned))) is R.BAD_METER_SIGNATURE
    there = log(2)
    register(there, depart(book, there.log_id))


def test_a_release_is_proved_over_new_keys_of_its_log() -> None:
    here, there = log(1), log(2)
    for number in (1, 2):
        here.rotate(SigningKey.of_seed(bytes(31) + bytes([number])))
    register(here)
    departure = depart(here, there.log_id)
    # The head of then is as good once the log has another key, and so is a newer one.
    here.rotate(SigningKey.new())
    newer = here.departure(METER.public_key)
    assert newer is not None and len(check_departure(newer).public_keys) == 4
    register(there, departure)
    stay = there.stay(METER.public_key)
    assert stay is not None and stay.came is not None
    assert len(stay.came.public_keys) == 3


@pytest.mark.parametrize(("name", "least"), [("", 10 * 52 + 1), ("long " * 45, 300)])
def test_a_log_has_no_more_keys_than_a_release_is_proved_over(name: str, least: int) -> None:
    here, there = log(1), log(2)
    rotated = 0
    with pytest.raises(LedgerRefused) as caught:
        for rotated in range(1_000):
            here.rotate(SigningKey.of_seed(rotated.to_bytes(32)), name and f"{name}{rotated}")
    assert caught.value.reason is LedgerReason.TOO_MANY_KEYS and rotated >= least
    assert bool(here.keys_left) == bool(name)
    register(here)
    register(there, depart(here, there.log_id))


@pytest.mark.parametrize("padding", [1, 300_000])
@pytest.mark.parametrize("part", ["keys", "release", "head"])
@pytest.mark.parametrize("field", ["signature", "key_id"])
def test_nothing_of_a_proof_can_be_padded(part: str, field: str, padding: int) -> None:
    """What is not looked at would make a copy of the log as long as anybody likes."""
    here, there = log(1), log(2)
    register(here)
    departure = depart(here, there.log_id)
    padded = departure.keys[0] if part == "keys" else getattr(departure, part)
    setattr(padded, field, getattr(padded, field) + bytes(padding))
    assert why(lambda: check_departure(departure)) is R.RELEASE_FORGED
    setattr(padded, field, getattr(padded, field)[:-padding])
    check_departure(departure)


def test_what_must_not_be_registered_is_refused_and_changes_nothing() -> None:
    here, there = log(1), log(2)
    good = registration(here)
    certificate = pb.MeterCertificate.FromString(good.certificate)

    def other(key: SigningKey = METER, **changed: object) -> pb.Entry:
        made = pb.MeterCertificate()
        made.CopyFrom(certificate)
        for name, value in changed.items():
            setattr(made, name, value)
        return pb.Entry(registration=resigned(made, key))

    def as_entry(**changed: bytes) -> pb.Entry:
        made = pb.MeterRegistration()
        made.CopyFrom(good)
        for name, value in changed.items():
            setattr(made, name, value)
        return pb.Entry(registration=made)

    for entry, reason in (
        (other(epoch=0), R.CERTIFICATE_UNFIT),
        (other(epoch=2), R.EPOCH_NOT_NEXT),
        (other(not_before_unix_ns=-1), R.CERTIFICATE_UNFIT),
        (other(log_id=there.log_id), R.CERTIFICATE_UNFIT),
        (other(log_id=b""), R.CERTIFICATE_UNFIT),
        # Whoever else has signed it.
        (other(key=OTHER_METER), R.BAD_METER_SIGNATURE),
        (other(meter_public_key=b""), R.BAD_METER_SIGNATURE),
        (as_entry(signature=b""), R.BAD_METER_SIGNATURE),
        (as_entry(certificate=b"\xff"), R.CERTIFICATE_UNFIT),
        # The same, said otherwise.
        (as_entry(certificate=good.certificate + b"\x78\x01"), R.CERTIFICATE_UNFIT),
    ):
        size = here.size
        assert why(partial(write, here, entry)) is reason, entry
        assert here.size == size and here.stay(METER.public_key) is None
    register(here)
    assert why(lambda: register(here)) is R.METER_REGISTERED
    assert why(lambda: depart(there)) is R.CERTIFICATE_UNFIT


def test_what_must_not_be_released_is_refused() -> None:
    here, there = log(1), log(2)
    never = pb.MeterNotice(
        meter_public_key=METER.public_key, log_id=here.log_id, epoch=1, to_log_id=there.log_id
    )
    register(here)
    good = release(here, there.log_id)
    register(there)
    # Another log's word of the same meter and epoch.
    assert why(lambda: write(there, pb.Entry(release=good))) is R.CERTIFICATE_UNFIT
    unsigned = pb.MeterRelease(notice=never.SerializeToString(deterministic=True))
    assert why(lambda: write(here, pb.Entry(release=unsigned))) is R.BAD_METER_SIGNATURE
    assert (
        why(lambda: write(here, pb.Entry(release=release(here, b"short")))) is R.CERTIFICATE_UNFIT
    )
    write(here, pb.Entry(release=good))
    assert why(lambda: write(here, pb.Entry(release=good))) is R.METER_NOT_REGISTERED
    assert why(lambda: register(here)) is R.RELEASE_MISSING


def test_a_release_of_an_epoch_that_is_over_ends_no_other() -> None:
    here = log(1)
    register(here)
    old = release(here)
    depart(here)
    register(here)
    assert why(lambda: write(here, pb.Entry(release=old))) is R.EPOCH_NOT_NEXT


def test_the_time_of_a_registration_does_not_begin_before_the_release() -> None:
    clock = Clock(5_000)
    here, there = log(1, clock), log(2)
    register(here)
    departure = depart(here, there.log_id)
    early = pb.MeterCertificate(
        meter_public_key=METER.public_key, log_id=there.log_id, epoch=2, not_before_unix_ns=4_999
    )
    said = resigned(early, METER)
    said.departure.CopyFrom(departure)
    assert why(lambda: write(there, pb.Entry(registration=said))) is R.CERTIFICATE_UNFIT
    register(there, departure)
    assert there.registered(METER.public_key) == 5_000


def test_a_log_that_says_of_a_meter_what_must_not_be_is_bad_though_it_is_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = log(1)
    with monkeypatch.context() as patched:
        patched.setattr(Registry, "apply", lambda *_: None)
        entry = pb.Entry(registration=registration(here))
        entry.registration.signature = b"no"
        write(here, entry)
    with pytest.raises(
        BadLog, match="entry 1: it says what must not be: the meter has not signed its registration"
    ):
        verify(here.entries(0, here.size), here.head())
