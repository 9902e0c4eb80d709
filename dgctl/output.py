"""How answers and errors are written: tables for people, protobuf's JSON mapping (or the same as YAML) for programs."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from dgctl import tables
from dgctl.formats import Format
from digitalgrid.client import ControllerUnreachable, PowerError
from digitalgrid.columns import parts_text
from digitalgrid.printable import printable
from digitalgrid.v1 import northbound_pb2 as pb

# Exit codes beside those of `digitalgrid.command_line`: the controller says no; it does not answer.
EXIT_REFUSED = 3
EXIT_UNREACHABLE = 4


def show(message: Message, output: Format) -> None:
    """Writes one whole answer to standard output."""
    if output is Format.TABLE:
        sys.stdout.write(parts_text(tables.render(message), sys.stdout))
    else:
        sys.stdout.write(_encode(as_dict(message), output))


def show_events(texts: Iterable[str]) -> None:
    """Writes each at once, until they end or the person at the keyboard interrupts them."""
    with suppress(KeyboardInterrupt):
        for text in texts:
            sys.stdout.write(text)
            sys.stdout.flush()


def news(messages: Iterable[pb.WatchCircuitsResponse], output: Format) -> Iterator[str]:
    """What of a watch is to be written: a line for people, a line of JSON, or a YAML document.

    What says of a circuit what was written of it last is left out.
    """
    last: dict[int, str] = {}
    for message in messages:
        table = output is Format.TABLE
        text = (
            parts_text(tables.render_event(message), sys.stdout)
            if table
            else document(message, output)
        )
        if message.HasField("snapshot_done"):
            yield text
            continue
        subject = message.circuit.circuit_id
        if last.get(subject) == text:
            continue
        last[subject] = text
        if message.circuit.state == pb.CIRCUIT_STATE_WITHDRAWN:
            # It is never heard of again.
            del last[subject]
        yield text


def document(message: Message, output: Format) -> str:
    """One of several: a line of JSON, or a YAML document."""
    if output is Format.JSON:
        return json.dumps(as_dict(message)) + "\n"
    return "---\n" + _encode(as_dict(message), output)


def say(text: str) -> None:
    """Writes a remark to standard error, away from what programs read."""
    sys.stderr.write(f"dgctl: {text}\n")


class Asked(NamedTuple):
    """Who was asked, and what to do where nobody answers."""

    name: str
    hint: str


CONTROLLER = Asked(
    "controller", "is `dgc serve` running? name another controller with --server HOST:PORT"
)
MARKET = Asked("market", "is `dgm run` running? name another market with --server HOST:PORT")


def show_error(
    error: PowerError, output: Format, program: str = "dgctl", asked: Asked = CONTROLLER
) -> int:
    """Writes why a call was not done to standard error, as ``program``; returns the exit code for it."""
    unreachable = isinstance(error, ControllerUnreachable)
    if output is Format.TABLE:
        lines = _error_lines(error, asked if unreachable else None, program)
        sys.stderr.writelines(f"{printable(line)}\n" for line in lines)
    else:
        sys.stderr.write(_encode(error_dict(error), output))
    return EXIT_UNREACHABLE if unreachable else EXIT_REFUSED


def error_dict(error: PowerError) -> dict[str, Any]:
    """As programs read it."""
    return {
        "code": error.code.name,
        "message": error.message,
        "reason": error.reason,
        "violations": [
            {"field": violation.field, "description": violation.description}
            for violation in error.violations
        ],
        "metadata": error.metadata,
    }


def _error_lines(error: PowerError, silent: Asked | None, program: str) -> list[str]:
    what = f"{silent.name} unreachable" if silent else "refused"
    why = ", ".join(word for word in (error.code.name, error.reason) if word)
    lines = [f"{program}: {what} ({why}): {error.message}"]
    if silent:
        lines.append(f"  {silent.hint}")
    for violation in error.violations:
        repeated = violation.description == error.message
        lines.append(f"  field {violation.field}{'' if repeated else f': {violation.description}'}")
    lines += [f"  {line}" for line in tables.detail_lines(error.metadata)]
    return lines


def write_document(document: dict[str, Any], output: Format) -> None:
    """What is put together of several answers, to standard output, for programs."""
    sys.stdout.write(_encode(document, output))


def as_dict(message: Message) -> dict[str, Any]:
    document: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    return document


def _encode(document: dict[str, Any], output: Format) -> str:
    if output is Format.JSON:
        return json.dumps(document, indent=2) + "\n"
    # Here, since few ask for it.
    from digitalgrid.yaml_text import to_yaml

    return to_yaml(document)
