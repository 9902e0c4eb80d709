"""``dgctl explain``: why a circuit is as it is, or why a request was refused and what would make it fit."""

from typing import TYPE_CHECKING, Any

import click

from dgctl.formats import Format
from dgctl.options import Settings, common, complete_circuits, pass_settings
from digitalgrid.command_line import IdType

if TYPE_CHECKING:
    from digitalgrid.client import PowerClient, PowerError
    from digitalgrid.v1 import northbound_pb2 as pb

# Paths that are asked for to find one beside that of a circuit, which is likely to be the best.
_PATHS = 2
# Entries of the audit log that are shown of one thing.
_ENTRIES = 50
# Refusals with one reason.
_SAME_REASON = 5


@click.command()
@click.argument(
    "what", metavar="CIRCUIT|REQUEST|REASON", type=IdType(), shell_complete=complete_circuits
)
@common
@pass_settings
def explain(settings: Settings, what: str) -> None:
    """Says why: of a circuit by its number, of a request by its id, or what a reason of refusals means.

    Of a circuit: why this path, what it loses where, what the next best would cost, what binds; its protection, what it
    gets less and why; and its life from the audit log. Of a refused request: what bound, and what would fit now.
    """
    from digitalgrid.reasons import Reason

    with settings.client() as client:
        if what.upper() in Reason.__members__:
            parts, document = _reason(client, Reason[what.upper()])
        else:
            parts, document = _circuit_or_request(client, what)
    if settings.output is Format.TABLE:
        import sys

        from digitalgrid.columns import parts_text

        sys.stdout.write(parts_text(parts, sys.stdout))
    else:
        from dgctl.output import write_document

        write_document(document, settings.output)


def _circuit_or_request(client: "PowerClient", what: str) -> tuple[list[Any], dict[str, Any]]:
    import grpc

    from digitalgrid.client import PowerError, RequestRefused

    if what.isdecimal() and 0 < int(what) < 2**64:
        try:
            return _circuit(client, client.get_circuit(int(what)))
        except PowerError as error:
            # Perhaps it is the id of a request.
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
    circuits = client.list_circuits(what, include_ended=True).circuits
    if circuits:
        return _several(client, circuits)
    entries = client.read_audit([what], newest=_ENTRIES)
    refused = [each for each in entries if each.decided == "refused"]
    if refused:
        return _refused(client, refused[-1], entries)
    raise RequestRefused(
        grpc.StatusCode.NOT_FOUND,
        f"nothing is known of {what!r}: it is no circuit, no request that the audit log still has, and no"
        " reason of refusals; `dgctl list --all` shows circuits, docs/refusals.md the reasons",
    )


def _several(client: "PowerClient", circuits: "Any") -> tuple[list[Any], dict[str, Any]]:
    """The circuits of one request, one after another."""
    explained = [_circuit(client, each) for each in circuits]
    parts = [part for some, _ in explained for part in (*some, "")]
    return parts[:-1], {"circuits": [document for _, document in explained]}


def _circuit(client: "PowerClient", circuit: "pb.Circuit") -> tuple[list[Any], dict[str, Any]]:
    from dgctl import explain_tables
    from dgctl.output import as_dict

    entries = client.read_audit([str(circuit.circuit_id), circuit.request_id], newest=_ENTRIES)
    topology = client.get_topology()
    other, why_none = _next_best(client, circuit)
    parts = explain_tables.circuit(circuit, topology, other, why_none, entries)
    return parts, {
        "circuit": as_dict(circuit),
        "nextBest": as_dict(other) if other is not None else None,
        "noNextBest": why_none,
        "audit": [as_dict(each) for each in entries],
    }


def _next_best(client: "PowerClient", circuit: "pb.Circuit") -> "tuple[pb.Circuit | None, str]":
    """The best path that is another than its own, as if it had none; or why there is none."""
    from dgctl.circuit_tables import ENDED
    from digitalgrid.client import RequestRefused
    from digitalgrid.v1 import northbound_pb2 as pb

    if circuit.state in ENDED or not circuit.admin_up:
        return None, "it has ended"
    asked = pb.PowerRequest(
        sink_id=circuit.sink_id,
        power_w=circuit.power_w,
        source_ids=circuit.source_ids,
        constraints=circuit.constraints,
    )
    try:
        answer = client.compute_paths(
            pb.ComputePathsRequest(
                request=asked, most_paths=_PATHS, as_circuit_id=circuit.circuit_id
            )
        )
    except RequestRefused as error:
        return None, error.message
    own = [each.link_id for each in circuit.links]
    others = [each for each in answer.circuits if [link.link_id for link in each.links] != own]
    return (others[0], "") if others else (None, "no other path has room for it")


def _refused(
    client: "PowerClient", entry: "pb.AuditEntry", entries: "list[pb.AuditEntry]"
) -> tuple[list[Any], dict[str, Any]]:
    """Why it was refused then, and what would become of the same request now."""
    from dgctl import explain_tables
    from dgctl.output import as_dict, error_dict
    from digitalgrid.client import RequestRefused

    would: pb.ComputePowerResponse | None = None
    error: PowerError | None = None
    asked = explain_tables.request_of(entry)
    if asked is not None:
        try:
            would = client.compute_power(asked)
        except RequestRefused as refusal:
            error = refusal
    parts = explain_tables.refused(entry, asked, would, error, entries)
    return parts, {
        "refused": as_dict(entry),
        "now": as_dict(would) if would is not None else None,
        "nowRefused": error_dict(error) if error is not None else None,
        "audit": [as_dict(each) for each in entries],
    }


def _reason(client: "PowerClient", reason: Any) -> tuple[list[Any], dict[str, Any]]:
    from dgctl import explain_tables
    from dgctl.output import as_dict

    entries = [
        each
        for each in client.read_audit(newest=10_000)
        if each.decided == "refused" and each.why.startswith(f"{reason}: ")
    ]
    document = {
        "reason": str(reason),
        "code": reason.code.name,
        "meaning": reason.meaning,
        "remedy": reason.remedy,
        "refused": [as_dict(each) for each in entries[-_SAME_REASON:]],
    }
    return explain_tables.reason(reason, entries, _SAME_REASON), document
