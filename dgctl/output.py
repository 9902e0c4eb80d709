"""How answers and errors are written: tables for people, protobuf's JSON mapping (or the same as YAML) for programs."""

import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console

from dgctl import tables
from digitalgrid.client import ControllerUnreachable, PowerError
from digitalgrid.yaml_text import to_yaml

EXIT_REFUSED = 3
EXIT_UNREACHABLE = 4

# Wide enough that a pipe gets whole lines.
_PIPE_WIDTH = 240


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def show(message: Message, output: Format) -> None:
    """Writes one whole answer to standard output."""
    if output is Format.TABLE:
        console(sys.stdout).print(tables.render(message))
    else:
        sys.stdout.write(_encode(_as_dict(message), output))


def show_events(messages: Iterable[Message], output: Format) -> None:
    """Writes a stream until it ends or the person at the keyboard interrupts it."""
    with suppress(KeyboardInterrupt):
        for message in messages:
            _show_event(message, output)


def _show_event(message: Message, output: Format) -> None:
    """A line of a table or of JSON, or a YAML document, at once."""
    if output is Format.TABLE:
        console(sys.stdout).print(tables.render_event(message))
    elif output is Format.JSON:
        sys.stdout.write(json.dumps(_as_dict(message)) + "\n")
    else:
        sys.stdout.write("---\n" + _encode(_as_dict(message), output))
    sys.stdout.flush()


def say(text: str) -> None:
    """Writes a remark to standard error, away from what programs read."""
    sys.stderr.write(f"dgctl: {text}\n")


def show_error(error: PowerError, output: Format, program: str = "dgctl") -> int:
    """Writes why a call was not done to standard error, as ``program``; returns the exit code for it."""
    unreachable = isinstance(error, ControllerUnreachable)
    if output is Format.TABLE:
        sys.stderr.write("\n".join(_error_lines(error, unreachable, program)) + "\n")
    else:
        details = {
            "code": error.code.name,
            "message": error.message,
            "reason": error.reason,
            "violations": [
                {"field": violation.field, "description": violation.description}
                for violation in error.violations
            ],
            "metadata": error.metadata,
        }
        sys.stderr.write(_encode(details, output))
    return EXIT_UNREACHABLE if unreachable else EXIT_REFUSED


def console(stream: Any) -> Console:
    return Console(
        file=stream, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False, markup=False
    )


def _error_lines(error: PowerError, unreachable: bool, program: str) -> list[str]:
    what = "controller unreachable" if unreachable else "refused"
    why = ", ".join(word for word in (error.code.name, error.reason) if word)
    lines = [f"{program}: {what} ({why}): {error.message}"]
    if unreachable:
        lines.append("  is `dgc serve` running? name another controller with --server HOST:PORT")
    for violation in error.violations:
        repeated = violation.description == error.message
        lines.append(f"  field {violation.field}{'' if repeated else f': {violation.description}'}")
    lines += [f"  {line}" for line in tables.detail_lines(error.metadata)]
    return lines


def _as_dict(message: Message) -> dict[str, Any]:
    document: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    return document


def _encode(document: dict[str, Any], output: Format) -> str:
    if output is Format.JSON:
        return json.dumps(document, indent=2) + "\n"
    return to_yaml(document)
