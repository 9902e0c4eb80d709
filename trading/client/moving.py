"""Moving of a meter from market to market: what its own key signs, and the proof that it takes along, in a file."""

import time
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from digitalgrid.config_file import open_regular
from digitalgrid.errors import ExplainedError
from digitalgrid.market.v1 import ledger_pb2 as pb
from digitalgrid.market.v1.meter_service_pb2 import MeterStanding
from trading.ledger.keys import Domain, SigningKey


class BadDeparture(ExplainedError):
    """A file, or a proof, that is none of a meter's release; or a key that is not the meter's."""


def registration_of(
    standing: MeterStanding,
    key: SigningKey,
    log_id: bytes,
    departure: pb.MeterDeparture | None,
    now_unix_ns: int | None = None,
) -> pb.MeterRegistration:
    """A meter's word that it trades at the market of a log from now on: for the epoch after that which it has left.

    Raises BadDeparture.
    """
    _check_key(standing, key)
    now_unix_ns = time.time_ns() if now_unix_ns is None else now_unix_ns
    epoch, not_before_unix_ns = standing.epoch + 1, max(now_unix_ns, standing.released_unix_ns)
    if departure is not None:
        try:
            release = pb.Entry.FromString(departure.release.entry)
            notice = pb.MeterNotice.FromString(release.release.notice)
        except DecodeError as error:
            raise BadDeparture(f"the release cannot be read: {error}") from error
        epoch = notice.epoch + 1
        not_before_unix_ns = max(not_before_unix_ns, release.at_unix_ns)
    certificate = pb.MeterCertificate(
        meter_public_key=key.public_key,
        log_id=log_id,
        epoch=epoch,
        not_before_unix_ns=not_before_unix_ns,
    ).SerializeToString(deterministic=True)
    return pb.MeterRegistration(
        certificate=certificate,
        signature=key.sign(Domain.METER_REGISTRATION, log_id, certificate),
        departure=departure,
    )


def release_of(
    standing: MeterStanding, key: SigningKey, log_id: bytes, to_log_id: bytes = b""
) -> pb.MeterRelease:
    """A meter's word that it leaves the market of a log, for that of another; for none, without one. Raises
    BadDeparture.
    """
    _check_key(standing, key)
    notice = pb.MeterNotice(
        meter_public_key=key.public_key,
        log_id=log_id,
        epoch=standing.epoch,
        to_log_id=to_log_id or log_id,
    ).SerializeToString(deterministic=True)
    signature = key.sign(Domain.METER_RELEASE, log_id, notice)
    return pb.MeterRelease(notice=notice, signature=signature)


def _check_key(standing: MeterStanding, key: SigningKey) -> None:
    if standing.public_key != key.public_key:
        known = standing.public_key.hex() or "none"
        raise BadDeparture(
            f"the market knows meter {standing.meter_id} by the key {known}, and this one is"
            f" {key.public_key.hex()}"
        )


def read_departure(path: Path) -> pb.MeterDeparture:
    """Raises BadDeparture, and OSError where the file cannot be read. Whether it proves anything, the market says."""
    with open(path, "rb", opener=open_regular) as file:
        content = file.read()
    try:
        departure = json_format.Parse(content, pb.MeterDeparture())
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise BadDeparture(f"{path} is no proof of a meter's release: {error}") from error
    return departure


def departure_text(departure: pb.MeterDeparture) -> str:
    """As a file has it: JSON, bytes in base64."""
    return json_format.MessageToJson(departure, indent=1) + "\n"
