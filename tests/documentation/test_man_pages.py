"""Man pages: all that `--help` says, in what man reads without a warning."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from dgc.cli import main as dgc
from dgctl.cli import main as dgctl
from router_agent.main import dgr
from tests.support.documents import ROOT
from tests.support.programs import require_program
from trading.cli import main as dgm

PROGRAMS: dict[str, click.Command] = {"dgc": dgc, "dgctl": dgctl, "dgr": dgr, "dgm": dgm}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("man")
    tool = ROOT / "tools" / "manpages.py"
    # Found from anywhere, as a build may run it.
    subprocess.run([sys.executable, str(tool), str(directory)], check=True, cwd=ROOT)
    return directory


def shown(page: Path) -> str:
    """As a terminal shows it; whatever roff has to say of it fails."""
    groff = require_program("groff", "groff-base")
    said = [groff, "-ww", "-man", "-Kutf8", "-Tutf8", "-P-cbou", str(page)]
    done = subprocess.run(said, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_verb_with_its_options_is_there_as_help_says_it(name: str, pages: Path) -> None:
    told = _squeezed(shown(pages / f"{name}.1"))
    program = PROGRAMS[name]
    assert isinstance(program, click.Group)
    whole = click.Context(program, info_name=name)
    for verb in program.list_commands(whole):
        command = program.commands[verb]
        context = click.Context(command, info_name=verb, parent=whole)
        assert _squeezed(name + verb) in told
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            for text in record or ():
                assert _squeezed(text) in told, (verb, text)
        for line in (command.help or "").splitlines():
            assert _squeezed(line) in told, (verb, line)


def _squeezed(text: str) -> str:
    """Without what depends on how wide it is: spaces, ends of lines, and hyphens, at which lines may end."""
    return "".join(text.replace("-", "").replace("‐", "").replace("\b", "").split())
