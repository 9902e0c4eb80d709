"""Plans for declared circuits, as tables for people and as documents for programs."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from dgctl.circuit_tables import state_name
from dgctl.declared import Plan, Step, Verb
from digitalgrid.columns import Columns, Part, Styled
from digitalgrid.units import format_power
from digitalgrid.v1 import northbound_pb2 as pb

_SIGNS = {
    Verb.CREATE: ("+", "green"),
    Verb.CHANGE: ("~", "yellow"),
    Verb.REPLACE: ("~", "yellow"),
    Verb.RELEASE: ("-", "red"),
    Verb.KEEP: ("=", ""),
}


def plan(found: Plan) -> list[Part]:
    """What is to be done, what is as declared, and what is not declared and stays."""
    parts: list[Part] = []
    if found.changes:
        table = Columns("", "action", "request", "sink", ">power", ">circuits", "what is otherwise")
        for step in found.changes:
            sign, style = _SIGNS[step.verb]
            ids = " ".join(str(each.circuit_id) for each in step.circuits)
            cells = (sign, str(step.verb), step.request_id, step.sink_id)
            more = (format_power(step.power_w), ids, "; ".join(step.changes))
            table.add_row(*cells, *more, style=style)
        parts.append(table)
    if found.undeclared:
        ids = ", ".join(step.request_id for step in found.undeclared)
        parts.append(Styled(f"not declared, and stays without --prune: {ids}", "dim"))
    parts += [
        Styled(f"as declared, but {word}: {step.request_id}", "yellow")
        for step in found.steps
        if step.verb is Verb.KEEP and (word := _short(step))
    ]
    return [*parts, _summary(found)]


def _short(step: Step) -> str:
    """What of a circuit that is as declared is not as it should be."""
    waiting = [each for each in step.circuits if each.state == pb.CIRCUIT_STATE_WAITING]
    if not waiting:
        return ""
    return f"{state_name(waiting[0].state)} ({waiting[0].reason})"


def _summary(found: Plan) -> str:
    count = Counter(step.verb for step in found.steps)
    done = [f"{count[verb]} to {verb}" for verb in Verb if count[verb] and verb is not Verb.KEEP]
    kept = f"{count[Verb.KEEP]} as declared"
    return f"{', '.join(done)}; {kept}" if done else f"nothing to do: {kept}"


def outcomes(told: Sequence[tuple[Step, tuple[int, ...], str]]) -> list[Part]:
    """What became of each step that was to be done."""
    parts: list[Part] = []
    for step, circuit_ids, refused in told:
        if refused:
            parts.append(Styled(f"{step.verb} {step.request_id}: refused: {refused}", "red"))
        else:
            made = f": circuit {', '.join(map(str, circuit_ids))}" if circuit_ids else ""
            parts.append(f"{step.verb} {step.request_id}: done{made}")
    refusals = sum(bool(refused) for *_, refused in told)
    if told:
        parts.append(f"{len(told) - refusals} done, {refusals} refused")
    return parts


def as_dict(found: Plan) -> dict[str, Any]:
    return {
        "steps": [step.as_dict() for step in found.steps],
        "undeclared": [step.as_dict() for step in found.undeclared],
        "changes": len(found.changes),
    }
