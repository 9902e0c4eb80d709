"""Protobuf messages <-> the core's values. What clients send is checked here as far as it needs no network."""

import uuid
from collections.abc import Sequence

from google.rpc.code_pb2 import Code

from controller.computing.proposing import Proposal
from controller.core.circuits.circuit import Circuit, CircuitState, Constraints, Timings
from controller.core.circuits.generation import Generation
from controller.core.circuits.hold import HoldWord
from controller.core.circuits.protection import Against, Protection
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.circuits.shortfall import ShortCause
from controller.core.errors import Refusal, invalid
from controller.core.questions import Questions
from controller.routing.alternatives.disjoint import Disjointness
from digitalgrid.convert import missing_to_pb
from digitalgrid.places import Place, place_problem
from digitalgrid.printable import quoted
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb

# Of what clients name: as long as any UUID, path or host's name that is one; kept with each circuit.
MAX_ID_CHARACTERS = 256
# In one request, of sources or of what to avoid: each is looked up before anything is decided.
MAX_IDS = 1024

_AGAINST: dict[int, Against] = {pb.Protect.Value(f"PROTECT_{each.name}"): each for each in Against}
_PROTECT = {each: pb.Protect.Value(f"PROTECT_{each.name}") for each in Against}
_PROTECTIONS = {
    each: pb.Protection.Value(
        f"PROTECTION_{'UNSPECIFIED' if each is Protection.NONE else each.name}"
    )
    for each in Protection
}
_HOLDS = {each: pb.HoldState.Value(f"HOLD_STATE_{each.name}") for each in HoldWord}
_CAUSES = {
    each: pb.ShortCause.Value(
        f"SHORT_CAUSE_{'UNSPECIFIED' if each is ShortCause.UNKNOWN else each.name}"
    )
    for each in ShortCause
}
_STATES = {state: pb.CircuitState.Value(f"CIRCUIT_STATE_{state.name}") for state in CircuitState}


def give_id(message: pb.PowerRequest | pb.DispatchRequest) -> None:
    """One that nobody else has, where the client gave none. A handler that is run again finds it there."""
    if not message.request_id:
        message.request_id = str(uuid.uuid4())


_NO_CONSTRAINTS = Constraints()
# Copied into each message that it is given to.
_NO_CONSTRAINTS_PB = pb.Constraints()


def request_from_pb(message: pb.PowerRequest, owner: str = "") -> PowerRequest:
    """Raises Refusal for what no network could mean."""
    source_ids = message.source_ids
    if not _are_ids((message.request_id, message.sink_id, *source_ids)):
        check_ids("request_id", [message.request_id])
        check_ids("sink_id", [message.sink_id])
        check_ids("source_ids", source_ids)
    return PowerRequest(
        request_id=message.request_id,
        sink_id=message.sink_id,
        power_w=message.power_w,
        source_ids=tuple(dict.fromkeys(source_ids)),
        constraints=(
            _constraints_from_pb(message.constraints)
            if message.HasField("constraints")
            else _NO_CONSTRAINTS
        ),
        allow_split=message.allow_split,
        setup_priority=message.setup_priority if message.HasField("setup_priority") else None,
        hold_priority=message.hold_priority if message.HasField("hold_priority") else None,
        floor_w=message.floor_w,
        protect=_protect_from_pb(message.protect),
        dedicated=message.dedicated,
        hold_ms=message.hold.ttl_ms if message.HasField("hold") else None,
        explicit_route=_explicit_from_pb(message),
        owner=owner,
        until_unix_ns=message.until_unix_ns if message.HasField("until_unix_ns") else None,
    )


def _explicit_from_pb(message: pb.PowerRequest) -> tuple[str, ...] | None:
    check_ids("explicit_route.link_ids", message.explicit_route.link_ids)
    if not message.HasField("explicit_route"):
        return None
    return tuple(message.explicit_route.link_ids)


def _protect_from_pb(value: int) -> Against | None:
    """None where no standby is asked for. Raises Refusal for a kind that this controller does not know."""
    if value == pb.PROTECT_UNSPECIFIED:
        return None
    if value not in _AGAINST:
        raise invalid(
            "protect", Reason.PROTECT_UNKNOWN, f"this controller knows no protection {value}"
        )
    return _AGAINST[value]


def _constraints_from_pb(message: pb.Constraints) -> Constraints:
    check_ids("constraints.avoid_ids", message.avoid_ids)
    return Constraints(
        max_loss_fraction=(
            message.max_loss_fraction if message.HasField("max_loss_fraction") else None
        ),
        max_hops=message.max_hops if message.HasField("max_hops") else None,
        avoid_ids=tuple(dict.fromkeys(message.avoid_ids)),
        packets=message.packets,
    )


def disjointness_from_pb(value: int) -> Disjointness | None:
    """None where single paths are asked for. Raises Refusal for a kind that this controller does not know."""
    kinds: dict[int, Disjointness | None] = {
        pb.DISJOINTNESS_UNSPECIFIED: None,
        pb.DISJOINTNESS_LINK: Disjointness.LINK,
        pb.DISJOINTNESS_ROUTER: Disjointness.ROUTER,
        pb.DISJOINTNESS_RISK_GROUP: Disjointness.RISK_GROUP,
    }
    if value not in kinds:
        raise invalid(
            "disjointness",
            Reason.DISJOINTNESS_UNKNOWN,
            f"this controller knows no disjointness {value}",
        )
    return kinds[value]


def _are_ids(ids: Sequence[str]) -> bool:
    """Whether there is nothing to say against any of them; False where each is to be looked at."""
    return (
        len(ids) <= MAX_IDS
        and max(map(len, ids)) <= MAX_ID_CHARACTERS
        and "".join(ids).isprintable()
    )


def check_ids(field: str, ids: Sequence[str]) -> None:
    """Refuse more ids, and longer ones, than anybody means, and those that would command a terminal."""
    if len(ids) > MAX_IDS:
        raise invalid(
            field, Reason.TOO_MANY_IDS, f"{field} has {len(ids)} ids; {MAX_IDS} is the most"
        )
    longest = max(map(len, ids), default=0)
    if longest > MAX_ID_CHARACTERS:
        raise invalid(
            field,
            Reason.ID_TOO_LONG,
            f"an id in {field} has {longest} characters; {MAX_ID_CHARACTERS} is the most",
        )
    for each in ids:
        if not each.isprintable():
            raise invalid(
                field,
                Reason.ID_NOT_PRINTABLE,
                f"an id in {field} has characters that cannot be shown: {quoted(each)}",
            )


def places_from_pb(message: pb.PlaceRoutersRequest) -> dict[str, Place | None]:
    """Raises Refusal for what is on no map."""
    check_ids("places", [each.router_id for each in message.places])
    places: dict[str, Place | None] = {}
    for each in message.places:
        at = (each.at.x, each.at.y) if each.HasField("at") else None
        if at is not None and (problem := place_problem(at)):
            raise invalid(
                "places",
                Reason.PLACE_OUT_OF_RANGE,
                f"the place of router {quoted(each.router_id)} {problem}",
            )
        places[each.router_id] = at
    return places


def circuit_to_pb(circuit: Circuit) -> pb.Circuit:
    """The circuit as it stands: on its newest route, or the last one while that is being taken down."""
    message = pb.Circuit(
        circuit_id=circuit.circuit_id,
        request_id=circuit.request_id,
        generation=circuit.last_generation,
        state=_STATES[circuit.state],
        reason=circuit.reason,
        sink_id=circuit.sink_id,
        power_w=circuit.power_w,
        constraints=_constraints_to_pb(circuit.constraints),
        source_ids=circuit.source_ids,
        timings=_timings_to_pb(circuit.timings),
        interruptions=circuit.interruptions,
        last_interruption_ns=circuit.last_interruption_ns,
        power_since_ns=circuit.power_since_ns,
        admin_up=circuit.admin_up,
        setup_priority=circuit.setup_priority,
        hold_priority=circuit.priority,
        floor_w=circuit.floor_w,
        missing=missing_to_pb(missing) if (missing := circuit.total_missing()) else None,
        protect=_protect_to_pb(circuit.guard.against),
        protection=_PROTECTIONS[circuit.guard.word],
        protection_reason=circuit.guard.reason,
        dedicated=circuit.guard.dedicated,
        created_unix_ns=circuit.created_unix_ns,
        changed_unix_ns=circuit.changed_unix_ns,
        owner=circuit.owner,
        until_unix_ns=circuit.until_unix_ns,
    )
    if (hold := circuit.hold) is not None:
        message.hold.state = _HOLDS[hold.word]
        message.hold.until_unix_ns = hold.until_unix_ns
    if (curtailed := circuit.curtailed) is not None:
        message.curtailed.by = curtailed.by
        message.curtailed.since_unix_ns = curtailed.since_unix_ns
        message.curtailed.asked_w = curtailed.asked_w
        message.curtailed.granted_w = curtailed.granted_w
    generation = shown_generation(circuit)
    if generation is not None:
        message.generation = generation.key.generation
        message.admission_seq = generation.admission_seq
        _add_route(message, generation.route)
    standby = circuit.standby()
    if standby is not None:
        _add_standby(message, standby.route, standby.key.generation, dedicated=not standby.shares)
    return message


def shown_to_pb(circuit: Circuit, known: Questions) -> pb.Circuit:
    """The same, with when its load lacked power, and what is known of the pools of its standby."""
    message = circuit_to_pb(circuit)
    message.shortfalls.extend(
        pb.Shortfall(
            from_unix_ns=each.from_unix_ns,
            to_unix_ns=each.to_unix_ns,
            cause=_CAUSES[each.cause],
            by=each.by,
            missing_mj=each.missing_mj,
        )
        for each in circuit.shortfalls
    )
    if message.HasField("standby") and not message.standby.dedicated:
        for link in message.standby.links:
            link.pool_circuits = len(known.sharing_pool(link.link_id, link.from_router_id))
            link.pool_a = known.pool_on_link_a(link.link_id, link.from_router_id)
    return message


def proposal_to_pb(asked: PowerRequest, proposal: Proposal) -> pb.Proposal:
    """What an algorithm would choose, or why that is nothing."""
    plugin, judged = proposal.plugin, proposal.judged
    message = pb.Proposal(
        algorithm=plugin.name,
        package=f"{plugin.package} {plugin.package_version}",
        took_ns=proposal.took_ns,
        chosen=proposal.chosen,
    )
    if isinstance(judged, str):
        message.refused = judged
    else:
        message.circuit.CopyFrom(computed_to_pb(asked, judged))
    return message


def computed_to_pb(
    request: PowerRequest,
    route: Route,
    reason: str = "",
    standby: Route | None = None,
    unprotected_because: str = "",
    *,
    shares: bool = False,
) -> pb.Circuit:
    """What would be made of a request: a circuit without a number."""
    message = pb.Circuit(
        request_id=request.request_id,
        state=pb.CIRCUIT_STATE_REQUESTED,
        reason=reason,
        sink_id=request.sink_id,
        power_w=route.power_w,
        constraints=_constraints_to_pb(request.constraints),
        source_ids=request.source_ids,
        admin_up=True,
        protect=_protect_to_pb(request.protect),
        protection_reason=unprotected_because,
        dedicated=request.dedicated,
    )
    _add_route(message, route)
    if standby is not None:
        _add_standby(message, standby, 0, dedicated=not shares)
    return message


def refused_to_pb(request_id: str, refusal: Refusal) -> pb.BatchOutcome:
    """One refusal among several decisions."""
    return pb.BatchOutcome(
        code=Code.Value(refusal.code.value),
        message=str(refusal),
        request_id=request_id,
        reason=refusal.reason,
        field=refusal.field,
        metadata=refusal.metadata,
    )


def shown_generation(circuit: Circuit) -> Generation | None:
    """The one on whose route a circuit is shown: the newest that works, or the last while that is being taken down."""
    return circuit.newest() or max(
        circuit.generations.values(), key=lambda each: each.key.generation, default=None
    )


def _add_route(message: pb.Circuit, route: Route) -> None:
    message.source_id = route.source_id
    message.router_ids.extend(route.router_ids)
    message.injected_w = route.injected_w
    message.loss_fraction = route.loss_fraction
    message.links.extend(_links(route))


def _add_standby(message: pb.Circuit, route: Route, generation: int, *, dedicated: bool) -> None:
    message.standby.CopyFrom(
        pb.Standby(
            generation=generation,
            source_id=route.source_id,
            router_ids=route.router_ids,
            links=_links(route),
            injected_w=route.injected_w,
            loss_fraction=route.loss_fraction,
            dedicated=dedicated,
        )
    )


def _protect_to_pb(against: Against | None) -> pb.Protect.ValueType:
    return pb.PROTECT_UNSPECIFIED if against is None else _PROTECT[against]


def _links(route: Route) -> list[pb.PathLink]:
    return [
        pb.PathLink(
            link_id=link.link_id,
            from_router_id=link.from_router_id,
            to_router_id=link.to_router_id,
            sent_w=link.sent_w,
            received_w=link.received_w,
            current_a=link.current_a,
        )
        for link in route.links
    ]


def _constraints_to_pb(constraints: Constraints) -> pb.Constraints:
    if constraints == _NO_CONSTRAINTS:
        return _NO_CONSTRAINTS_PB
    return pb.Constraints(
        max_loss_fraction=constraints.max_loss_fraction,
        max_hops=constraints.max_hops,
        avoid_ids=constraints.avoid_ids,
        packets=constraints.packets,
    )


def _timings_to_pb(timings: Timings) -> pb.CircuitTimings:
    return pb.CircuitTimings(
        stored_after_ns=timings.stored_after_ns,
        staged_after_ns=timings.staged_after_ns,
        committed_after_ns=timings.committed_after_ns,
        actuated_after_ns=timings.actuated_after_ns,
    )
