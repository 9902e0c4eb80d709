"""What people read of a plan."""

from io import StringIO
from pathlib import Path

from rich.console import Console

import topologies
from controller.planning.plan import plan_file
from controller.planning.tables import render

TOPOLOGIES = Path(topologies.__file__).parent


def text_of(name: str) -> str:
    console = Console(width=160, file=StringIO())
    with console.capture() as capture:
        console.print(render(plan_file(TOPOLOGIES / name)))
    return capture.get()


def test_a_short_plan_says_what_is_missing_and_why() -> None:
    text = text_of("elan9-300a.grid.yaml")
    assert "23.08 MW" in text
    assert "load5" in text
    assert "full links r1-r3, r1-r8, r2-r4, r2-r9" in text
    assert "r1 → r8 → r6" in text


def test_a_whole_plan_has_no_such_words() -> None:
    text = text_of("elan9.grid.yaml")
    assert "32.79 MW" in text
    assert "unserved" not in text and "Note" not in text
