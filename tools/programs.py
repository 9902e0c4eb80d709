"""Programs of this repository, with a click context for each verb: what reference and man pages are made of."""

from collections.abc import Iterator, Mapping

import click

from dgc.cli import main as dgc
from dgctl.cli import main as dgctl
from router_agent.main import dgr
from trading.cli import main as dgm

PROGRAMS: Mapping[str, click.Command] = {"dgctl": dgctl, "dgc": dgc, "dgr": dgr, "dgm": dgm}


def contexts(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[click.Context]:
    """Of a program and, in order, of all its verbs."""
    settings = {**command.context_settings, "terminal_width": 100}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            found = command.get_command(context, verb)
            if found is not None and not found.hidden:
                yield from contexts(found, verb, context)
