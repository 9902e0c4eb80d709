"""The picture at the top of README: a terminal, as it looks when a line is cut under a running circuit.

``pytest tests/integration/topologies/test_picture.py --update-pictures`` makes it anew.
"""

import io
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from digitalgrid.client import PowerClient
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.networks import network
from tests.support.patience import PATIENCE_S, wait_for
from topologies import emulator

ROOT = Path(__file__).parents[3]
PICTURE = ROOT / "docs" / "images" / "terminal.svg"
COLUMNS = 92
# Without the fonts that rich would have browsers fetch from elsewhere.
FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px;
line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: arial, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[emulator.EmulationOptions]:
    with network(tmp_path / "run") as options:
        yield options


def on_a_terminal(words: list[str], server: str) -> str:
    """What a program writes where it thinks that somebody looks on."""
    ours, theirs = pty.openpty()
    env = os.environ | {"DGCTL_SERVER": server, "TERM": "xterm", "COLUMNS": str(COLUMNS)}
    env.pop("NO_COLOR", None)
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env
    )
    os.close(theirs)
    written = b""
    with open(ours, "rb", buffering=0) as reader:  # noqa: PTH123 - of a descriptor
        try:
            while chunk := reader.read(65536):
                written += chunk
        except OSError:
            # So Linux says that the other end is closed.
            pass
    assert process.wait(PATIENCE_S) == 0, written
    return written.decode().replace("\r\n", "\n")


def timeless(drawn: str) -> str:
    """What loads lacked, in columns of one width, is another figure in every run."""
    return re.sub(r"(&#160;)+[0-9.]+&#160;m?s\b", " T", drawn)


def test_the_picture_shows_what_the_programs_print(
    running: emulator.EmulationOptions, pytestconfig: pytest.Config
) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    programs = Path(sys.executable).parent

    def show(line: str, *hidden: str) -> None:
        program, *words = shlex.split(line)
        output = on_a_terminal([str(programs / program), *words, *hidden], running.northbound)
        console.print(Text.assemble(("$ ", "bold green"), (line, "bold")))
        console.print(Text.from_ansi(output))

    with PowerClient(running.northbound) as client:
        show("dgctl request --sink load5 --power 7MW --request-id lunch --wait")
        (before,) = client.list_circuits().circuits
        cut = before.links[-1].link_id
        show(f"dgc fault cut {cut}", "--run-dir", str(running.run_dir))
        wait_for(
            lambda: all(
                circuit.state == pb.CIRCUIT_STATE_ACTIVE and circuit.generation > before.generation
                for circuit in client.list_circuits().circuits
            )
        )
        show("dgctl list")
        show("dgctl paths --sink load9 --power 4MW --disjoint router")
    drawn = console.export_svg(
        title="Digital Grid Controller", theme=MONOKAI, code_format=FRAME, unique_id="terminal"
    )
    if pytestconfig.getoption("--update-pictures"):
        PICTURE.write_text(drawn, encoding="utf-8")
    kept = PICTURE.read_text(encoding="utf-8")
    assert timeless(kept) == timeless(drawn), "look at it, and make it anew: see above"
