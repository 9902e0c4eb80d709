"""Circuits as tables for people, those that need somebody first."""

from collections.abc import Iterable, Sequence
from functools import cache

from dgctl.listing import Column, Listing, View
from digitalgrid.client import missing_ms
from digitalgrid.columns import Columns, Line, Styled
from digitalgrid.units import (
    MS_PER_S,
    NS_PER_MS,
    format_duration_ns,
    format_fraction,
    format_power,
    format_unix_ns,
    parse_duration_s,
    parse_fraction,
    parse_power_w,
    parse_unix_ns,
)
from digitalgrid.v1 import northbound_pb2 as pb

STATE_STYLES = {
    pb.CIRCUIT_STATE_ACTIVE: "green",
    pb.CIRCUIT_STATE_DEGRADED: "yellow",
    pb.CIRCUIT_STATE_REROUTING: "yellow",
    pb.CIRCUIT_STATE_WAITING: "yellow",
    pb.CIRCUIT_STATE_FAILED: "red",
}
AGAINST = {"risk": "risk group"}
ENDED = (pb.CIRCUIT_STATE_WITHDRAWN, pb.CIRCUIT_STATE_FAILED)
_PROTECTION_STYLES = {
    pb.PROTECTION_PROTECTED: "green",
    pb.PROTECTION_PENDING: "yellow",
    pb.PROTECTION_SWITCHED: "yellow",
    pb.PROTECTION_LOST: "red",
}
# Without power comes before without a standby, that before less than was asked for, and that before what is well.
_RANKS = {
    pb.CIRCUIT_STATE_WAITING: 0,
    pb.CIRCUIT_STATE_FAILED: 1,
    pb.CIRCUIT_STATE_REROUTING: 2,
    pb.CIRCUIT_STATE_DEGRADED: 2,
    pb.CIRCUIT_STATE_ACTIVE: 6,
    pb.CIRCUIT_STATE_WITHDRAWING: 7,
    pb.CIRCUIT_STATE_WITHDRAWN: 8,
}
_RANK_UNPROTECTED, _RANK_CURTAILED, _RANK_SET_UP = 3, 4, 5
_UNPROTECTED = (pb.PROTECTION_LOST, pb.PROTECTION_SWITCHED)


def rank(circuit: pb.Circuit) -> int:
    """How much it needs somebody: 0 is worst."""
    found = _RANKS.get(circuit.state, _RANK_SET_UP)
    if found < _RANK_UNPROTECTED or found > _RANKS[pb.CIRCUIT_STATE_ACTIVE]:
        return found
    if circuit.protection in _UNPROTECTED:
        return _RANK_UNPROTECTED
    return _RANK_CURTAILED if circuit.HasField("curtailed") else found


@cache
def state_name(state: int) -> str:
    return pb.CircuitState.Name(state).removeprefix("CIRCUIT_STATE_")  # type: ignore[arg-type]


def path_of(circuit: pb.Circuit | pb.Standby) -> str:
    return " > ".join(circuit.router_ids)


def state(circuit: pb.Circuit) -> Styled:
    return Styled(state_name(circuit.state), STATE_STYLES.get(circuit.state, ""))


def protection(circuit: pb.Circuit) -> Styled:
    """The second word of a circuit that is to be protected; empty for others."""
    if not circuit.protection:
        return Styled("", "")
    word = pb.Protection.Name(circuit.protection).removeprefix("PROTECTION_").lower()
    return Styled(word, _PROTECTION_STYLES.get(circuit.protection, ""))


def against(circuit: pb.Circuit) -> str:
    """Whose loss it is to outlive; empty where that is nobody's."""
    if not circuit.protect:
        return ""
    word = pb.Protect.Name(circuit.protect).removeprefix("PROTECT_").lower()
    return AGAINST.get(word, word)


def missing_by_cause(circuit: pb.Circuit) -> str:
    """What its load lacked, in time of its full power: ``fault 225 ms, move 3 ms``."""
    lacked = {} if (found := missing_ms(circuit)) is None else found
    return ", ".join(f"{cause} {_of_power(each)}" for cause, each in lacked.items() if each)


def _missing_sum_ms(circuit: pb.Circuit) -> float | None:
    """Nothing is known where no router counts it, which is not the same as 0."""
    found = missing_ms(circuit)
    return None if found is None else sum(found.values())


def _missing(circuit: pb.Circuit) -> str:
    found = _missing_sum_ms(circuit)
    return "-" if found is None else _of_power(found)


def _of_power(milliseconds: float) -> str:
    """To three digits: nobody reads more, and columns stay as wide as they are."""
    return (
        format_duration_ns(round(float(f"{milliseconds:.3g}") * NS_PER_MS)) if milliseconds else "0"
    )


def _ms(text: str) -> float:
    return 0.0 if text.strip() == "0" else parse_duration_s(text) * MS_PER_S


def _any_protected(circuits: Sequence[pb.Circuit]) -> bool:
    return any(circuit.protect for circuit in circuits)


def _granted_w(circuit: pb.Circuit) -> float:
    return circuit.curtailed.granted_w if circuit.HasField("curtailed") else circuit.power_w


def _setup_ns(circuit: pb.Circuit) -> int | None:
    return circuit.timings.actuated_after_ns or None


def _setup(circuit: pb.Circuit) -> str:
    taken_ns = _setup_ns(circuit)
    return "-" if taken_ns is None else format_duration_ns(taken_ns)


def _setup_ms(circuit: pb.Circuit) -> float | None:
    taken_ns = _setup_ns(circuit)
    return None if taken_ns is None else taken_ns / NS_PER_MS


def _moment(unix_ns: int) -> str:
    return format_unix_ns(unix_ns) if unix_ns else "-"


def _number(
    name: str, figure_of: str, head: str = "", *, default: bool = False
) -> Column[pb.Circuit]:
    """Of a field that is a whole number."""
    return Column(
        name,
        lambda circuit: str(getattr(circuit, figure_of)),
        lambda circuit: getattr(circuit, figure_of),
        head=head,
        right=True,
        default=default,
    )


CIRCUITS: Listing[pb.Circuit] = Listing(
    "circuits",
    (
        Column(
            "id",
            lambda circuit: str(circuit.circuit_id) if circuit.circuit_id else "-",
            lambda circuit: circuit.circuit_id,
            right=True,
        ),
        Column("state", state),
        # Who asks for no protection anywhere is not told of it.
        Column("protection", protection, when=_any_protected),
        Column("source", lambda circuit: circuit.source_id),
        Column("sink", lambda circuit: circuit.sink_id),
        Column(
            "power",
            lambda circuit: format_power(circuit.power_w),
            lambda circuit: circuit.power_w,
            parse_power_w,
            right=True,
        ),
        Column(
            "injected",
            lambda circuit: format_power(circuit.injected_w),
            lambda circuit: circuit.injected_w,
            parse_power_w,
            right=True,
        ),
        Column(
            "loss",
            lambda circuit: format_fraction(circuit.loss_fraction),
            lambda circuit: circuit.loss_fraction,
            parse_fraction,
            right=True,
        ),
        Column("missing", _missing, _missing_sum_ms, _ms, right=True),
        Column("path", path_of),
        Column("standby", lambda circuit: path_of(circuit.standby), when=_any_protected),
        Column(
            "reason",
            lambda circuit: "; ".join(
                each for each in (circuit.reason, circuit.protection_reason) if each
            ),
        ),
        # Shown where they are asked for.
        Column("request", lambda circuit: circuit.request_id, default=False),
        Column(
            "hops",
            lambda circuit: str(len(circuit.links)),
            lambda circuit: len(circuit.links),
            right=True,
            default=False,
        ),
        Column(
            "links", lambda circuit: " ".join(each.link_id for each in circuit.links), default=False
        ),
        Column(
            "lost",
            lambda circuit: format_power(circuit.injected_w - circuit.power_w),
            lambda circuit: circuit.injected_w - circuit.power_w,
            parse_power_w,
            right=True,
            default=False,
        ),
        Column(
            "granted",
            lambda circuit: format_power(_granted_w(circuit)),
            _granted_w,
            parse_power_w,
            right=True,
            default=False,
        ),
        Column(
            "floor",
            lambda circuit: format_power(circuit.floor_w),
            lambda circuit: circuit.floor_w,
            parse_power_w,
            right=True,
            default=False,
        ),
        _number("hold", "hold_priority"),
        _number("setup", "setup_priority"),
        Column("against", against, default=False),
        _number("generation", "generation"),
        _number("interruptions", "interruptions"),
        Column("after", _setup, _setup_ms, _ms, head="power after", right=True, default=False),
        Column(
            "created",
            lambda circuit: _moment(circuit.created_unix_ns),
            lambda circuit: circuit.created_unix_ns or None,
            parse_unix_ns,
            default=False,
        ),
        Column(
            "changed",
            lambda circuit: _moment(circuit.changed_unix_ns),
            lambda circuit: circuit.changed_unix_ns or None,
            parse_unix_ns,
            default=False,
        ),
        Column("owner", lambda circuit: circuit.owner, default=False),
        Column(
            "until",
            lambda circuit: _moment(circuit.hold.until_unix_ns),
            lambda circuit: circuit.hold.until_unix_ns or None,
            parse_unix_ns,
            head="held until",
            default=False,
        ),
        Column(
            "ends",
            lambda circuit: _moment(circuit.until_unix_ns),
            lambda circuit: circuit.until_unix_ns or None,
            parse_unix_ns,
            default=False,
        ),
    ),
    lambda circuit: (rank(circuit), circuit.circuit_id),
)


def table(circuits: Iterable[pb.Circuit], title: str = "") -> Columns:
    """In the order in which they are given."""
    return View(CIRCUITS).table(list(circuits), title)


def line(circuit: pb.Circuit) -> Line:
    """One line of a watch."""
    words = f"  {circuit.source_id} -> {circuit.sink_id}  {format_power(circuit.power_w)}"
    missing = missing_by_cause(circuit)
    second: list[str | Styled] = [", ", protection(circuit)] if circuit.protection else []
    return Line(
        (
            f"circuit {circuit.circuit_id} ",
            state(circuit),
            *second,
            f"{words}  {path_of(circuit)}",
            Styled(f"  missing: {missing}" if missing else "", "dim"),
            Styled(f"  ({circuit.reason})" if circuit.reason else "", "dim"),
            Styled(f"  ({circuit.protection_reason})" if circuit.protection_reason else "", "dim"),
        )
    )
