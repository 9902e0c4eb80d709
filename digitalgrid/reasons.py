"""Reasons of refusals: the constants that the controller answers with and clients compare, one meaning each.

``python -m digitalgrid.reasons`` prints them as the table in docs/refusals.md.
"""

from collections.abc import Iterable
from enum import Enum, StrEnum
from typing import Self


class RefusalCode(Enum):
    """Canonical gRPC status codes, by name."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    ABORTED = "ABORTED"
    UNAVAILABLE = "UNAVAILABLE"


_INVALID = RefusalCode.INVALID_ARGUMENT
_NOT_FOUND = RefusalCode.NOT_FOUND
_DENIED = RefusalCode.PERMISSION_DENIED
_EXISTS = RefusalCode.ALREADY_EXISTS
_PRECONDITION = RefusalCode.FAILED_PRECONDITION
_EXHAUSTED = RefusalCode.RESOURCE_EXHAUSTED
_ABORTED = RefusalCode.ABORTED
_UNAVAILABLE = RefusalCode.UNAVAILABLE


class ExplainedReason(StrEnum):
    """A reason with its gRPC status, what it means, and what to do; ``field``: of the request, if it is always the same
    that is wrong. Members are (value, code, meaning, remedy), or (value, code, field, meaning, remedy).
    """

    code: RefusalCode
    field: str
    meaning: str
    remedy: str

    def __new__(cls, value: str, code: RefusalCode, *words: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        *field, member.meaning, member.remedy = words
        member.code, member.field = code, "".join(field)
        return member


class Reason(ExplainedReason):
    """Why something is refused: the ``reason`` of google.rpc.ErrorInfo. Each has one gRPC status."""

    # The message itself.
    MALFORMED_MESSAGE = (
        "MALFORMED_MESSAGE",
        _INVALID,
        "the bytes received are no message of the API",
        "use stubs of this API's protos",
    )
    REQUEST_MISSING = ("REQUEST_MISSING", _INVALID, "`request` is not set", "say what to serve")
    CIRCUIT_ID_MISSING = (
        "CIRCUIT_ID_MISSING",
        _INVALID,
        "`circuit_id` is not set",
        "name a circuit; ids begin with 1",
    )
    SINK_MISSING = ("SINK_MISSING", _INVALID, "`sink_id` is empty", "name the load to be served")
    EXPLICIT_ROUTE_NOT_ALONE = (
        "EXPLICIT_ROUTE_NOT_ALONE",
        _INVALID,
        "an explicit route for several circuits, or for one with a standby",
        "leave out `explicit_route`, or `allow_split` and `protect`",
    )
    HOLD_OUT_OF_RANGE = (
        "HOLD_OUT_OF_RANGE",
        _INVALID,
        "a hold is to last no time, or more than a day",
        "give `hold.ttl_ms` between 1 and 86400000",
    )
    SOURCE_IS_SINK = (
        "SOURCE_IS_SINK",
        _INVALID,
        "one id is named as source and as sink",
        "name a source",
    )
    LOAD_TWICE = ("LOAD_TWICE", _INVALID, "a dispatch names a load twice", "name it once")
    ID_TOO_LONG = ("ID_TOO_LONG", _INVALID, "an id is longer than any may be", "use shorter ids")
    ID_NOT_PRINTABLE = (
        "ID_NOT_PRINTABLE",
        _INVALID,
        "an id has characters that no terminal can show",
        "use letters, digits and signs",
    )
    TOO_MANY_IDS = ("TOO_MANY_IDS", _INVALID, "a list has too many ids", "name fewer")
    UNKNOWN_ALGORITHM = (
        "UNKNOWN_ALGORITHM",
        _NOT_FOUND,
        "a routing algorithm is named that is not installed with the controller",
        "see `dgc plugins` there",
    )
    TOO_MANY_PATHS = (
        "TOO_MANY_PATHS",
        _INVALID,
        "more alternative paths are asked for than are ever worked out",
        "ask for fewer",
    )
    BATCH_TOO_LARGE = (
        "BATCH_TOO_LARGE",
        _INVALID,
        "a batch has too many requests",
        "send several batches",
    )
    POWER_NOT_FINITE = ("POWER_NOT_FINITE", _INVALID, "a power is NaN or infinite", "give a number")
    POWER_TOO_SMALL = (
        "POWER_TOO_SMALL",
        _INVALID,
        "a power is below the least that is metered",
        "ask for more",
    )
    POWER_TOO_LARGE = (
        "POWER_TOO_LARGE",
        _INVALID,
        "a power is above all that is reckoned with",
        "ask for less; powers are in watts",
    )
    LOSS_LIMIT_OUT_OF_RANGE = (
        "LOSS_LIMIT_OUT_OF_RANGE",
        _INVALID,
        "`max_loss_fraction` does not lie between 0 and 1",
        "give a fraction",
    )
    HOP_LIMIT_NEGATIVE = (
        "HOP_LIMIT_NEGATIVE",
        _INVALID,
        "`max_hops` is negative",
        "give 0 or more, or leave it out",
    )
    SETUP_ABOVE_HOLD = (
        "SETUP_ABOVE_HOLD",
        _INVALID,
        "`setup_priority` is above `hold_priority`: circuits would displace each other for ever",
        "ask for a hold priority that is no lower",
    )
    FLOOR_OUT_OF_RANGE = (
        "FLOOR_OUT_OF_RANGE",
        _INVALID,
        "`floor_w` is negative, NaN, infinite, or less than is metered",
        "give what is to be kept when power is short, or leave it out",
    )
    FLOOR_ABOVE_POWER = (
        "FLOOR_ABOVE_POWER",
        _INVALID,
        "`floor_w` is above `power_w`",
        "ask for a lower floor",
    )
    FRACTION_OUT_OF_RANGE = (
        "FRACTION_OUT_OF_RANGE",
        _INVALID,
        "`least_gain_fraction` does not lie between 0 and 1",
        "give a fraction",
    )
    OBJECTIVE_OUT_OF_RANGE = (
        "OBJECTIVE_OUT_OF_RANGE",
        _INVALID,
        "a share or price of a dispatch's objective is negative or not finite",
        "correct the one that the message names",
    )
    PAGE_SIZE_NEGATIVE = (
        "PAGE_SIZE_NEGATIVE",
        _INVALID,
        "a page of less than nothing is asked for",
        "ask for 1 or more, or 0 for all at once",
    )
    PAGE_TOKEN_UNKNOWN = (
        "PAGE_TOKEN_UNKNOWN",
        _INVALID,
        "the page token is none that was given for this listing",
        "repeat the listing with the token as it was given, or begin without one",
    )
    DISJOINTNESS_UNKNOWN = (
        "DISJOINTNESS_UNKNOWN",
        _INVALID,
        "this controller knows no such kind of disjointness",
        "use one that it knows, or a newer controller",
    )
    PROTECT_UNKNOWN = (
        "PROTECT_UNKNOWN",
        _INVALID,
        "this controller knows no such kind of protection",
        "use one that it knows, or a newer controller",
    )
    DEDICATED_UNPROTECTED = (
        "DEDICATED_UNPROTECTED",
        _INVALID,
        "room of its own is asked for a standby, and no standby",
        "say against what the circuit is to be protected too, or leave that out",
    )
    ADMISSION_MODE_UNKNOWN = (
        "ADMISSION_MODE_UNKNOWN",
        _INVALID,
        "this controller knows no such mode of admission",
        "use one that it knows, or a newer controller",
    )
    EVENT_KIND_UNKNOWN = (
        "EVENT_KIND_UNKNOWN",
        _INVALID,
        "events of a kind are asked for that there is not",
        "use one of those that the message names",
    )
    PAIR_FOR_CIRCUIT = (
        "PAIR_FOR_CIRCUIT",
        _INVALID,
        "a disjoint pair is asked for, as if for a circuit that stands",
        "leave out `as_circuit_id`, or `disjointness`",
    )
    FLOOR_ABOVE_SOURCE = (
        "FLOOR_ABOVE_SOURCE",
        _PRECONDITION,
        "`floor_w` is more than the sources that may serve it have now",
        "ask for a lower floor, or name other sources",
    )
    # What is named is not there.
    UNKNOWN_ID = (
        "UNKNOWN_ID",
        _NOT_FOUND,
        "no load, source, link or router has this id",
        "`dgctl topology` lists those that are known",
    )
    UNKNOWN_ROUTER = (
        "UNKNOWN_ROUTER",
        _NOT_FOUND,
        "an operator names a router that is not known",
        "`dgctl topology` lists those that are",
    )
    UNKNOWN_CIRCUIT = (
        "UNKNOWN_CIRCUIT",
        _NOT_FOUND,
        "no circuit has this id, or it ended so long ago that it is forgotten",
        "`dgctl list` shows those that are known",
    )
    NOT_ALLOWED = (
        "NOT_ALLOWED",
        _DENIED,
        "none of the roles of whoever asks may do that",
        "ask somebody with one of the roles that the message names",
    )
    # What was decided before stands against it.
    REQUEST_ID_REUSED = (
        "REQUEST_ID_REUSED",
        _EXISTS,
        "the request id was used before for something else",
        "use a new id, or repeat the request unchanged",
    )
    CIRCUIT_ENDED = (
        "CIRCUIT_ENDED",
        _PRECONDITION,
        "the circuit has ended, or is being taken down",
        "request power anew",
    )
    CIRCUIT_HELD = (
        "CIRCUIT_HELD",
        _PRECONDITION,
        "the circuit is a hold that is not activated",
        "activate it first, or release it and request power anew",
    )
    HOLD_EXPIRED = (
        "HOLD_EXPIRED",
        _PRECONDITION,
        "the hold was not activated in time, and what it reserved is free again",
        "request power anew",
    )
    END_PASSED = (
        "END_PASSED",
        _PRECONDITION,
        "the circuit would end before it begins",
        "name a later end, or none",
    )
    CIRCUIT_IN_TRANSITION = (
        "CIRCUIT_IN_TRANSITION",
        _ABORTED,
        "the circuit is being set up or moved just now",
        "try again once it is active",
    )
    # The network cannot do it.
    LOAD_LIMIT_EXCEEDED = (
        "LOAD_LIMIT_EXCEEDED",
        _PRECONDITION,
        "the load takes no more beside what it is promised",
        "ask for less; `missing_w` says how much is too much",
    )
    ROUTER_NOT_CONNECTED = (
        "ROUTER_NOT_CONNECTED",
        _PRECONDITION,
        "the router of the load has no session with the controller",
        "try again later",
    )
    NO_SOURCE_CONNECTED = (
        "NO_SOURCE_CONNECTED",
        _PRECONDITION,
        "no candidate source is at a router that is connected",
        "try again later, or name other sources",
    )
    ROUTER_LEFT_TO_AGENTS = (
        "ROUTER_LEFT_TO_AGENTS",
        _PRECONDITION,
        "by its profile, the router of the load or source is left to its agents: no controller programs it",
        "ask for another load or source, or give the router a profile with `autonomy: controller`",
    )
    ROUTER_NOT_ADDRESSED = (
        "ROUTER_NOT_ADDRESSED",
        _PRECONDITION,
        "by its profile, the router of the load or source has no address: circuits pass it, and do not end there",
        "ask for another load or source, or give the router a profile with `addressing: ip`",
    )
    THROUGH_POWER_EXCEEDED = (
        "THROUGH_POWER_EXCEEDED",
        _EXHAUSTED,
        "the router of the load cannot convert so much more, for all circuits together",
        "ask for `deliverable_w` or less",
    )
    CONSTRAINTS_UNSATISFIABLE = (
        "CONSTRAINTS_UNSATISFIABLE",
        _PRECONDITION,
        "there is a route, but none within the constraints",
        "loosen them; `loss_fraction` and `hops` are those of the best without",
    )
    INSUFFICIENT_CAPACITY = (
        "INSUFFICIENT_CAPACITY",
        _EXHAUSTED,
        "lines, sources or routers' converters cannot carry that much to the load",
        "ask for `deliverable_w` or less; `bottleneck_links` and `bottleneck_routers` are in the way",
    )
    NO_SINGLE_PATH = (
        "NO_SINGLE_PATH",
        _EXHAUSTED,
        "the power arrives only over several paths at once",
        "allow a split, or ask for `largest_single_w` or less",
    )
    NO_PAIR = (
        "NO_PAIR",
        _PRECONDITION,
        "there is one path, but no second beside it",
        "ask for less, or for single paths",
    )
    PROTECTION_IMPOSSIBLE = (
        "PROTECTION_IMPOSSIBLE",
        _PRECONDITION,
        "every way to the load needs the named link, router or risk group, so no standby can outlive it",
        "ask for protection against less, from other sources, or for none; or add a line there",
    )
    EXPLICIT_ROUTE_UNFIT = (
        "EXPLICIT_ROUTE_UNFIT",
        _EXHAUSTED,
        "the circuit cannot be set up on the way that was asked for",
        "see what is in its way; `dgctl paths` shows ways that hold now",
    )
    PROTECTION_NO_ROOM = (
        "PROTECTION_NO_ROOM",
        _EXHAUSTED,
        "the circuit itself would fit, but no standby beside it",
        "ask for less power, for protection against less, or for none",
    )
    # A dispatch.
    NOT_SERVED = (
        "NOT_SERVED",
        _EXHAUSTED,
        "a dispatch has nothing left for this load",
        "ask for less elsewhere; `bottleneck_links` and `bottleneck_sources` bind",
    )
    NOT_ALL_SERVED = (
        "NOT_ALL_SERVED",
        _EXHAUSTED,
        "an all-or-none dispatch cannot serve all that it asks for",
        "ask for less, or one by one",
    )
    NOT_CONVERGED = (
        "NOT_CONVERGED",
        _ABORTED,
        "the solver found no plan that is good enough; nothing is changed",
        "ask for fewer loads at a time, or try again",
    )
    PLAN_OUTDATED = (
        "PLAN_OUTDATED",
        _ABORTED,
        "the network changed while a plan was worked out",
        "try again",
    )
    SOLVER_DIED = (
        "SOLVER_DIED",
        _UNAVAILABLE,
        "the worker process was killed, or had no answer in time; nothing is changed",
        "try again, or ask for less at a time",
    )
    # Routers that an operator wants to forget.
    ROUTER_CONNECTED = (
        "ROUTER_CONNECTED",
        _PRECONDITION,
        "a router with a session is not forgotten",
        "forget only what has gone for good",
    )
    ROUTER_ALIVE = (
        "ROUTER_ALIVE",
        _PRECONDITION,
        "a neighbour still hears the router over a power link",
        "stop it, or cut its lines, first",
    )
    # Links and routers that are taken out of service.
    DURATION_OUT_OF_RANGE = (
        "DURATION_OUT_OF_RANGE",
        _INVALID,
        "a duration is negative, or longer than a year",
        "give one in nanoseconds that is meant",
    )
    PLACE_OUT_OF_RANGE = (
        "PLACE_OUT_OF_RANGE",
        _INVALID,
        "a place on a map is no pair of finite coordinates, or is farther away than any map goes",
        "give x and y between -1e9 and 1e9",
    )
    KEEP_OR_GIVE_UP = (
        "KEEP_OR_GIVE_UP",
        _INVALID,
        "a drain is to be kept, and to be given up",
        "leave out one of them",
    )
    UNKNOWN_ELEMENT = (
        "UNKNOWN_ELEMENT",
        _NOT_FOUND,
        "no link and no router has this id (and no source, where one is to be lost)",
        "`dgctl topology` shows those that are known",
    )
    OUT_OF_SERVICE = (
        "OUT_OF_SERVICE",
        _PRECONDITION,
        "the router of a load is drained or being drained, and takes nothing new",
        "ask again once it is in service (`dgctl undrain`)",
    )
    DRAIN_WITHOUT_END = (
        "DRAIN_WITHOUT_END",
        _PRECONDITION,
        "circuits have their load, or all their sources, behind what is to be drained, or no other way at all",
        "release the circuits that are named, or drain with `keep` to close it for new work meanwhile",
    )
    NOT_DRAINED = (
        "NOT_DRAINED",
        _PRECONDITION,
        "what is to be put into service is in service",
        "nothing is to be done; `dgctl topology` shows what is drained",
    )
    # The controller is not ready, or not the one to ask.
    STARTING = (
        "STARTING",
        _UNAVAILABLE,
        "this controller does not know the state yet",
        "try again in a moment",
    )
    NOT_COMPILED = (
        "NOT_COMPILED",
        _UNAVAILABLE,
        "a pair of paths, or a dispatch, in a large network takes compiled kernels, which are not there yet",
        "try again in a minute; do not set `engine: interpreted` for large networks",
    )
    ROUTERS_RETURNING = (
        "ROUTERS_RETURNING",
        _UNAVAILABLE,
        "what is named is not known, but routers are still connecting to a controller that has just begun",
        "try again in a moment",
    )
    NO_LEADER = ("NO_LEADER", _UNAVAILABLE, "no controller leads just now", "try again in a moment")
    NOT_LEADER = (
        "NOT_LEADER",
        _PRECONDITION,
        "another controller leads",
        "ask `leader_address`; the client library does so by itself",
    )
    LEAVING = ("LEAVING", _UNAVAILABLE, "this controller is about to stop", "ask another")
    ROLE_CHANGED = (
        "ROLE_CHANGED",
        _UNAVAILABLE,
        "this controller began or ceased to lead, which ends a watch",
        "watch again",
    )
    OVERLOADED = (
        "OVERLOADED",
        _EXHAUSTED,
        "the controller has more to do than it answers in time; nothing is decided",
        "try again after `retry_delay`",
    )
    AUDIT_UNREADABLE = (
        "AUDIT_UNREADABLE",
        _UNAVAILABLE,
        "the audit log cannot be read where it is stored",
        "see what the message says of the store; `dgc store verify` looks through a file",
    )
    REGISTERS_UNREADABLE = (
        "REGISTERS_UNREADABLE",
        _UNAVAILABLE,
        "final registers cannot be read where they are stored",
        "see what the message says of the store; `dgc store verify` looks through a file",
    )
    OUTCOME_UNKNOWN = (
        "OUTCOME_UNKNOWN",
        _UNAVAILABLE,
        "it is not known whether what was decided is durable",
        "repeat the call unchanged, with its request id",
    )


def reasons_table(reasons: Iterable[ExplainedReason]) -> str:
    """As a Markdown table; fields have a column where any reason has one."""
    told = list(reasons)
    has_fields = any(each.field for each in told)
    head = ["reason", "gRPC status", *["field"] * has_fields, "meaning", "what to do"]
    lines = [_line(head), "|" + "---|" * len(head)]
    for each in told:
        field = [f"`{each.field}`" if each.field else ""] if has_fields else []
        lines.append(_line([f"`{each}`", each.code.name, *field, each.meaning, each.remedy]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(reasons_table(Reason))  # noqa: T201 - `python -m` pastes it into the documentation
