"""Options that the program and each of its verbs take, and the environment."""

import click
import pytest
from click.testing import CliRunner

from dgctl.options import Settings, common


@common
@click.group()
def program() -> None:
    """A program with one verb."""


@common
@program.command()
@click.pass_obj
def verb(settings: Settings) -> None:
    """Says whom it would ask."""
    click.echo(settings.server)


@pytest.mark.parametrize(
    ("said", "environment", "asked"),
    [
        (["verb"], "", "127.0.0.1:50051"),
        (["verb"], "a:1,b:2", "a:1,b:2"),
        (["--server", "c:3", "verb"], "a:1,b:2", "c:3"),
        (["verb", "--server", "c:3"], "a:1,b:2", "c:3"),
        (["--server", "c:3", "verb", "--server", "d:4"], "", "d:4"),
    ],
)
def test_what_is_said_goes_before_the_environment_and_the_later_word_before_the_former(
    said: list[str], environment: str, asked: str
) -> None:
    done = CliRunner(env={"DGCTL_SERVER": environment or None}).invoke(
        program, said, obj=Settings()
    )
    assert done.output.strip() == asked
