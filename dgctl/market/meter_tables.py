"""Where a meter stands with a market's log, for people."""

from digitalgrid.columns import Columns, Part
from digitalgrid.market.v1 import meter_service_pb2 as pb
from digitalgrid.units import format_unix_ns


def found(answer: pb.GetMeterResponse) -> list[Part]:
    return _standing(answer.standing)


def moved(answer: pb.RegisterMeterResponse | pb.ReleaseMeterResponse) -> list[Part]:
    return [f"entry {answer.seq} of the log", *_standing(answer.standing)]


def _standing(standing: pb.MeterStanding) -> list[Part]:
    facts = Columns("", "", show_names=False)
    named = f"{standing.meter_id}, of {standing.party}"
    facts.add_row("meter", named if standing.meter_id else "none that the market has any more")
    facts.add_row("key", standing.public_key.hex() or "none")
    facts.add_row("trades here", _where(standing))
    if standing.epoch:
        facts.add_row("registered", f"entry {standing.registration_seq}, epoch {standing.epoch}")
    if standing.release_seq:
        at = format_unix_ns(standing.released_unix_ns)
        facts.add_row("released", f"entry {standing.release_seq}, {at}")
    return [facts]


def _where(standing: pb.MeterStanding) -> str:
    if not standing.public_key:
        return "yes; it has no key, and the market's operator says so"
    if standing.registered:
        return f"in intervals from {format_unix_ns(standing.not_before_unix_ns)} on"
    if not standing.epoch:
        return "no; it was never registered"
    return f"no; it was released to the log {standing.to_log_id.hex()}"
