"""A client's request for power, checked against itself and the network."""

import hashlib
from dataclasses import dataclass, field
from json import JSONEncoder
from math import isfinite

from controller.core.circuits.circuit import Constraints
from controller.core.errors import Refusal, invalid
from controller.core.network.view import GridView
from digitalgrid.limits import MAX_POWER_W
from digitalgrid.reasons import Reason

# Meters count millijoules and rates are milliwatts; below this, rounding would rule.
MIN_POWER_W = 1.0
_json = JSONEncoder()


@dataclass(frozen=True, slots=True)
class PowerRequest:
    """``source_ids`` are candidates; none means any. ``allow_split`` lets several circuits serve it."""

    request_id: str
    sink_id: str
    power_w: float
    source_ids: tuple[str, ...] = ()
    constraints: Constraints = field(default_factory=Constraints)
    allow_split: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether one compiled call can admit it among others; what asks for more is admitted by itself."""
        return not self.allow_split and not self.constraints.avoid_ids

    def fingerprint(self) -> str:
        """Equal for equal content; tells a retry from a reused request id."""
        limits = self.constraints
        # In the order of its keys: stores keep what earlier programs made of it.
        content = {
            "allow_split": self.allow_split,
            "constraints": {
                "avoid_ids": limits.avoid_ids,
                "max_hops": limits.max_hops,
                "max_loss_fraction": limits.max_loss_fraction,
            },
            "power_w": self.power_w,
            "request_id": self.request_id,
            "sink_id": self.sink_id,
            "source_ids": self.source_ids,
        }
        return hashlib.sha256(_json.encode(content).encode()).hexdigest()


def asked_for(request: PowerRequest) -> str:
    """What a request asks for, of that which is not left to the controller, in the words of the audit log."""
    limits = request.constraints
    said = {
        "sink": request.sink_id,
        "power_w": request.power_w,
        "sources": " ".join(request.source_ids),
        "max_loss_fraction": limits.max_loss_fraction,
        "max_hops": limits.max_hops,
        "avoid": " ".join(limits.avoid_ids),
        "split": request.allow_split or None,
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
            f"{field} is {power_w} W; ask for at least {MIN_POWER_W} W",
        )
    if power_w > MAX_POWER_W:
        raise invalid(
            field,
            Reason.POWER_TOO_LARGE,
            f"{field} is {power_w} W; no more than {MAX_POWER_W:g} W",
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


def unknown(field: str, kind: str, missing_id: str) -> Refusal:
    return Refusal(
        Reason.UNKNOWN_ID,
        f"no {kind} {missing_id!r} is known; `dgctl topology` lists what is",
        field=field,
        metadata={"id": missing_id},
    )
