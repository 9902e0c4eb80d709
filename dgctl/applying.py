"""The verbs of ``dgctl`` for declared circuits: diff and apply."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dgctl.formats import Format
from dgctl.options import Settings, common, pass_settings

if TYPE_CHECKING:
    from dgctl.declared import DeclaredFile, Plan, Step
    from digitalgrid.client import PowerClient

F = TypeVar("F", bound=Callable[..., Any])
# As diff(1) and kubectl diff have it; what is wrong has other codes.
EXIT_DIFFERS = 1


def _file_options(command: F) -> F:
    for option in (
        click.option(
            "--prune",
            is_flag=True,
            help="Also releases circuits whose request ids begin with the file's prefix, and are not declared.",
        ),
        click.option(
            "-f",
            "--file",
            type=click.Path(allow_dash=True),
            required=True,
            help="Declared circuits, in YAML ('-': standard input).",
        ),
    ):
        command = option(command)
    return command


@click.command()
@_file_options
@common
@pass_settings
def diff(settings: Settings, file: str, prune: bool) -> None:
    """Shows what apply would do; changes nothing. Exit code 0 where there is nothing to do, 1 where there is.

    \b
    prefix: evening/
    circuits:
      - {request_id: evening/town, sink_id: load3, power_w: 5e6}
      - {request_id: evening/mill, sink_id: load9, power_w: 2e6, protect: router}
    """
    declared = _load(file, prune)
    with settings.client() as client:
        plan = _plan(client, declared, prune)
    _show_plan(plan, settings.output)
    if plan.changes:
        raise click.exceptions.Exit(EXIT_DIFFERS)


@click.command()
@_file_options
@click.option("--yes", is_flag=True, help="Does not ask whether to go on.")
@click.option(
    "--interrupt",
    is_flag=True,
    help="Where a new circuit does not fit beside the one that it replaces, releases that one first.",
)
@common
@pass_settings
def apply(settings: Settings, file: str, prune: bool, yes: bool, interrupt: bool) -> None:
    """Makes circuits as a file declares them: shows a plan, asks, and carries it out.

    Doing it again changes nothing, or finishes what was interrupted. What is replaced is made before the old one is
    released, so power flows on.
    """
    from dgctl.output import EXIT_REFUSED

    table = settings.output is Format.TABLE
    if not yes and (file == "-" or not sys.stdin.isatty() or not table):
        raise click.UsageError("nobody can be asked here; look with `dgctl diff`, then give --yes")
    declared = _load(file, prune)
    with settings.client() as client:
        plan = _plan(client, declared, prune)
        if table:
            _show_plan(plan, settings.output)
        if plan.changes and not yes:
            click.confirm("carry it out?", abort=True, err=True)
        outcomes = _Applier(client, interrupt, settings.timeout_s).carry_out(plan)
    _show_outcomes(plan, outcomes, settings.output)
    if any(each.refused for each in outcomes):
        raise click.exceptions.Exit(EXIT_REFUSED)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """``refused``: why not, empty where it was done."""

    step: "Step"
    circuit_ids: tuple[int, ...] = ()
    refused: str = ""

    def as_dict(self) -> dict[str, Any]:
        made = [str(each) for each in self.circuit_ids]
        return {**self.step.as_dict(), "madeCircuitIds": made, "refused": self.refused}


class _Applier:
    """Carries a plan out, step by step; what is refused keeps nothing else from being done."""

    # Requests in one call.
    _AT_ONCE = 64

    def __init__(self, client: "PowerClient", interrupt: bool, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._interrupt = interrupt

    def carry_out(self, plan: "Plan") -> list[_Outcome]:
        from dgctl.declared import Verb

        outcomes = []
        made = [step for step in plan.changes if step.verb is Verb.CREATE]
        for step in plan.changes:
            if step.verb is not Verb.CREATE:
                outcomes.append(self._do(step))
        # After what gives room back, and many at a time.
        for begin in range(0, len(made), self._AT_ONCE):
            outcomes += self._create(made[begin : begin + self._AT_ONCE])
        return outcomes

    def _do(self, step: "Step") -> _Outcome:
        from dgctl.declared import Verb
        from digitalgrid.client import RequestRefused

        try:
            match step.verb:
                case Verb.RELEASE:
                    return self._release(step)
                case Verb.CHANGE:
                    changed = self._client.change_circuit(step.circuits[0].circuit_id, step.power_w)
                    return _Outcome(step, (changed.circuit_id,))
                case _:
                    return self._replace(step)
        except RequestRefused as error:
            return _Outcome(step, refused=_why(error.reason, error.message))

    def _release(self, step: "Step") -> _Outcome:
        for circuit in step.circuits:
            self._client.release_circuit(circuit.circuit_id)
        return _Outcome(step)

    def _replace(self, step: "Step") -> _Outcome:
        """The new one first; the old one stands where that is refused, unless it may be interrupted."""
        if step.made:
            outcome = _Outcome(step, tuple(each.circuit_id for each in step.made))
        else:
            (outcome,) = self._create([step])
        if outcome.refused and self._interrupt:
            self._release(step)
            self._wait_until_ended({each.circuit_id for each in step.circuits})
            (outcome,) = self._create([step])
            return outcome
        if outcome.refused:
            advice = "; the old one stands: --interrupt would release it first"
            return _Outcome(step, refused=outcome.refused + advice)
        # Power flows over the new one before the old one goes.
        self._client.wait_until_active(outcome.circuit_ids)
        self._release(step)
        return outcome

    def _wait_until_ended(self, circuit_ids: set[int]) -> None:
        """Until their room is free; routers let go of a circuit one after another."""
        from dgctl.circuit_tables import ENDED

        standing: set[int] = set()
        is_whole = False
        for event in self._client.watch_circuits(timeout_s=self._timeout_s):
            circuit = event.circuit
            is_whole = is_whole or event.HasField("snapshot_done")
            if circuit.circuit_id in circuit_ids and circuit.state not in ENDED:
                standing.add(circuit.circuit_id)
            else:
                standing.discard(circuit.circuit_id)
            if is_whole and not standing:
                return

    def _create(self, steps: "Iterable[Step]") -> list[_Outcome]:
        asked = list(steps)
        answer = self._client.batch_request_power(
            [step.request for step in asked if step.request is not None]
        )
        return [
            _Outcome(
                step,
                tuple(circuit.circuit_id for circuit in each.circuits),
                _why(each.reason, each.message) if each.code else "",
            )
            for step, each in zip(asked, answer.outcomes, strict=True)
        ]


def _why(reason: str, message: str) -> str:
    return f"{reason}: {message}" if reason else message


def _load(file: str, prune: bool) -> "DeclaredFile":
    from dgctl.declared import load_declared

    declared = load_declared(file)
    if prune and not declared.prefix:
        raise click.UsageError(
            "--prune releases what has the file's prefix and is not declared; the file names no `prefix:`"
        )
    return declared


def _plan(client: "PowerClient", declared: "DeclaredFile", prune: bool) -> "Plan":
    from dgctl.declared import plan_of

    return plan_of(declared, client.list_circuits(include_ended=True).circuits, prune=prune)


def _show_plan(plan: "Plan", output: Format) -> None:
    from dgctl import declared_tables
    from dgctl.output import write_document
    from digitalgrid.columns import parts_text

    if output is Format.TABLE:
        sys.stdout.write(parts_text(declared_tables.plan(plan), sys.stdout))
    else:
        write_document(declared_tables.as_dict(plan), output)


def _show_outcomes(plan: "Plan", outcomes: list[_Outcome], output: Format) -> None:
    from dgctl import declared_tables
    from dgctl.output import write_document
    from digitalgrid.columns import parts_text

    if output is Format.TABLE:
        told = [(each.step, each.circuit_ids, each.refused) for each in outcomes]
        sys.stdout.write(parts_text(declared_tables.outcomes(told), sys.stdout))
    else:
        document = declared_tables.as_dict(plan) | {
            "outcomes": [each.as_dict() for each in outcomes]
        }
        write_document(document, output)
