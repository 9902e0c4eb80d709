"""A client's request for power, checked against itself and the network."""

import hashlib
from json import JSONEncoder
from json.encoder import encode_basestring_ascii
from math import inf, isfinite

import msgspec

from controller.core.circuits.circuit import Constraints
from controller.core.circuits.hold import MAX_TTL_MS
from controller.core.circuits.proposed import ProposedWay
from controller.core.circuits.protection import Against
from controller.core.errors import Refusal, invalid
from controller.core.network.view import GridView
from digitalgrid.limits import MAX_POWER_W
from digitalgrid.reasons import Reason
from digitalgrid.units import format_power, format_power_below

# Meters count millijoules and rates are milliwatts; below this, rounding would rule.
MIN_POWER_W = 1.0
_json = JSONEncoder()


class PowerRequest(msgspec.Struct, frozen=True):
    """``source_ids`` are candidates; none means any. ``allow_split`` lets several circuits serve it.

    Priorities that are not given follow that of the load. ``floor_w`` is kept over all of its circuits.
    ``proposed`` is tried first; neither it nor the ``owner`` is part of what the client asks for. With ``hold_ms`` the
    circuit is reserved for so long, and carries nothing until it is activated. ``explicit_route``: the links that it is
    set up on, source first. At ``until_unix_ns`` it ends by itself.
    """

    request_id: str
    sink_id: str
    power_w: float
    source_ids: tuple[str, ...] = ()
    constraints: Constraints = Constraints()
    allow_split: bool = False
    setup_priority: int | None = None
    hold_priority: int | None = None
    floor_w: float = 0.0
    # Against the loss of what a standby is wanted, if at all; and whether with room of its own, not a part of a pool.
    protect: Against | None = None
    dedicated: bool = False
    proposed: ProposedWay | None = None
    hold_ms: int | None = None
    explicit_route: tuple[str, ...] | None = None
    owner: str = ""
    until_unix_ns: int | None = None

    def priorities(self, load_priority: int) -> tuple[int, int]:
        """Setup and hold (RFC 3209, 4.7): as given, or as the load's, with setup no higher than hold."""
        hold = load_priority if self.hold_priority is None else self.hold_priority
        if self.setup_priority is not None:
            return self.setup_priority, hold
        return min(load_priority, hold), hold

    @property
    def is_plain(self) -> bool:
        """Whether one compiled call can admit it among others; what asks for more is admitted by itself."""
        limits = self.constraints
        by_itself = self.allow_split or self.protect or self.proposed
        explicit = self.explicit_route is not None
        return not (by_itself or explicit or limits.avoid_ids or limits.packets)

    @property
    def takes_one_path(self) -> bool:
        """Whether a path is all that serves it: a split takes several, a standby is chosen along with the first."""
        return not (self.allow_split or self.protect)

    @property
    def is_bare(self) -> bool:
        """Whether it asks for power and nothing else, perhaps from sources that it names, as most do."""
        return self == PowerRequest(
            *(self.request_id, self.sink_id, self.power_w, self.source_ids),
            proposed=self.proposed,
            owner=self.owner,
        )

    def fingerprint(self) -> str:
        """Equal for equal content; tells a retry from a reused request id."""
        content = self._bare_json() if self.is_bare else _json.encode(self._content())
        return hashlib.sha256(content.encode()).hexdigest()

    def _bare_json(self) -> str:
        """:meth:`_content` of one that is bare, as JSON: batches have many of them."""
        quoted = encode_basestring_ascii
        sources = ", ".join(map(quoted, self.source_ids))
        return (
            '{"allow_split": false, "constraints": {"avoid_ids": [], "max_hops": null,'
            f' "max_loss_fraction": null}}, "power_w": {self.power_w!r}, "request_id":'
            f' {quoted(self.request_id)}, "sink_id": {quoted(self.sink_id)}, "source_ids": [{sources}]}}'
        )

    def _content(self) -> dict[str, object]:
        limits = self.constraints
        # In the order of its keys: stores keep what earlier programs made of it.
        constraints: dict[str, object] = {
            "avoid_ids": limits.avoid_ids,
            "max_hops": limits.max_hops,
            "max_loss_fraction": limits.max_loss_fraction,
        }
        if limits.packets:
            constraints["packets"] = True
        content: dict[str, object] = {
            "allow_split": self.allow_split,
            "constraints": constraints,
            "power_w": self.power_w,
            "request_id": self.request_id,
            "sink_id": self.sink_id,
            "source_ids": self.source_ids,
        }
        # Left out where they are not given: programs that did not know them left them out.
        given = {
            "dedicated": self.dedicated or None,
            "explicit_route": self.explicit_route,
            "floor_w": self.floor_w or None,
            "hold_ms": self.hold_ms,
            "hold_priority": self.hold_priority,
            "protect": self.protect,
            "setup_priority": self.setup_priority,
            "until_unix_ns": self.until_unix_ns,
        }
        if any(value is not None for value in given.values()):
            content |= {key: value for key, value in given.items() if value is not None}
            content = dict(sorted(content.items()))
        return content


def asked_for(request: PowerRequest) -> str:
    """What a request asks for, of that which is not left to the controller, in the words of the audit log."""
    if request.is_bare and not request.source_ids:
        return f"sink={request.sink_id}, power_w={request.power_w}"
    limits = request.constraints
    said = {
        "sink": request.sink_id,
        "power_w": request.power_w,
        "sources": " ".join(request.source_ids),
        "max_loss_fraction": limits.max_loss_fraction,
        "max_hops": limits.max_hops,
        "avoid": " ".join(limits.avoid_ids),
        "packets": limits.packets or None,
        "split": request.allow_split or None,
        "setup_priority": request.setup_priority,
        "hold_priority": request.hold_priority,
        "floor_w": request.floor_w or None,
        "protect": request.protect,
        "dedicated": request.dedicated or None,
        "hold_ms": request.hold_ms,
        "over": None if request.explicit_route is None else " ".join(request.explicit_route),
        "until_unix_ns": request.until_unix_ns,
    }
    return ", ".join(f"{key}={value}" for key, value in said.items() if value not in (None, ""))


def check_power(power_w: float, field: str) -> None:
    if not isfinite(power_w):
        raise invalid(
            field, Reason.POWER_NOT_FINITE, f"{field} must be a finite number, not {power_w}"
        )
    if power_w < MIN_POWER_W:
        raise invalid(
            field,
            Reason.POWER_TOO_SMALL,
            f"{field} is {format_power_below(power_w)}; ask for at least {format_power(MIN_POWER_W)}",
        )
    if power_w > MAX_POWER_W:
        raise invalid(
            field,
            Reason.POWER_TOO_LARGE,
            f"{field} is {format_power(power_w)}; no more than {format_power(MAX_POWER_W)}",
        )


def check_protection(request: PowerRequest) -> None:
    if request.dedicated and request.protect is None:
        raise invalid(
            "dedicated",
            Reason.DEDICATED_UNPROTECTED,
            "dedicated says how a standby is reserved, and none is asked for: say against what the circuit is to be"
            " protected too (`--protect link`, `router` or `risk`)",
        )


def check_hold(ttl_ms: int | None) -> None:
    if ttl_ms is not None and not 1 <= ttl_ms <= MAX_TTL_MS:
        raise invalid(
            "hold.ttl_ms",
            Reason.HOLD_OUT_OF_RANGE,
            f"hold.ttl_ms must lie between 1 and {MAX_TTL_MS} (a day), not be {ttl_ms}",
        )


def check_explicit_route(request: PowerRequest) -> None:
    if request.explicit_route is not None and not request.takes_one_path:
        raise invalid(
            "explicit_route",
            Reason.EXPLICIT_ROUTE_NOT_ALONE,
            "an explicit route is that of one circuit by itself; leave it out, or the split or protection",
        )


def check_constraints(constraints: Constraints, view: GridView) -> None:
    loss, hops = constraints.max_loss_fraction, constraints.max_hops
    if loss is not None and not 0.0 < loss < 1.0:
        raise invalid(
            "constraints.max_loss_fraction",
            Reason.LOSS_LIMIT_OUT_OF_RANGE,
            f"max_loss_fraction must lie between 0 and 1, not be {loss}",
        )
    if hops is not None and hops < 0:
        raise invalid("constraints.max_hops", Reason.HOP_LIMIT_NEGATIVE, "max_hops is negative")
    for avoid_id in constraints.avoid_ids:
        if avoid_id not in view.routers and avoid_id not in view.links:
            raise unknown("constraints.avoid_ids", "router or link", avoid_id)


def check_precedence(request: PowerRequest, view: GridView) -> None:
    """Refuse priorities that would let circuits displace each other for ever, and floors that nothing could keep."""
    setup, hold = request.priorities(view.loads[request.sink_id][1].priority)
    if setup > hold:
        raise invalid(
            "setup_priority",
            Reason.SETUP_ABOVE_HOLD,
            f"setup_priority {setup} is above hold_priority {hold}: whom it displaces would displace"
            f" it in turn; ask for a hold priority of {setup} or more",
        )
    floor_w = request.floor_w
    if floor_w == 0.0:
        return
    if not MIN_POWER_W <= floor_w < inf:
        raise invalid(
            "floor_w",
            Reason.FLOOR_OUT_OF_RANGE,
            f"floor_w must be 0, or {format_power(MIN_POWER_W)} at least and finite, not {floor_w}",
        )
    if floor_w > request.power_w:
        raise invalid(
            "floor_w",
            Reason.FLOOR_ABOVE_POWER,
            f"floor_w is {format_power(floor_w)}, and power_w only {format_power(request.power_w)};"
            " ask for a lower floor",
        )
    limits_w = [view.sources[each][1].max_power_w for each in request.source_ids or view.sources]
    most_w = sum(limits_w) if request.allow_split else max(limits_w, default=0.0)
    if floor_w > most_w:
        raise Refusal(
            Reason.FLOOR_ABOVE_SOURCE,
            f"floor_w is {format_power(floor_w)}, and {format_power_below(most_w)} is all that its"
            " sources have; ask for a lower floor, or name others",
            field="floor_w",
            metadata={"available_w": repr(most_w)},
        )


def check_request(request: PowerRequest, view: GridView) -> None:
    """Refuse what no state of the network could make right, or what names things that are not there."""
    check_power(request.power_w, "power_w")
    if not request.sink_id:
        raise invalid(
            "sink_id", Reason.SINK_MISSING, "sink_id is empty; name the load to be served"
        )
    if request.sink_id in request.source_ids:
        raise invalid(
            "source_ids",
            Reason.SOURCE_IS_SINK,
            f"{request.sink_id!r} is named as source and as sink; name a source",
        )
    if request.sink_id not in view.loads:
        raise unknown("sink_id", "load", request.sink_id)
    for source_id in request.source_ids:
        if source_id not in view.sources:
            raise unknown("source_ids", "source", source_id)
    check_constraints(request.constraints, view)
    check_precedence(request, view)
    check_protection(request)
    check_hold(request.hold_ms)
    check_explicit_route(request)


def unknown(field: str, kind: str, missing_id: str) -> Refusal:
    return Refusal(
        Reason.UNKNOWN_ID,
        f"no {kind} {missing_id!r} is known; `dgctl topology` lists what is",
        field=field,
        metadata={"id": missing_id},
    )
