"""Every command of the documentation can be taken literally.

The blocks (``sh``) of a section share a shell. They find files there whose names their fences say (``yaml circuits
evening.yaml``), and a network, elan9 as `make run` brings it up, as
plain processes; unless the first says ``sh alone``: that section brings up what it needs. ``sh skip`` is only shown.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

import pytest

from tests.support.documents import ROOT, Block, all_blocks, blocks, name_of
from tests.support.left_behind import networks_end_with_us, session_ends_with_us
from tests.support.networks import network
from topologies import emulator

# Of one section (s): however slow a machine is.
_PATIENCE_S = 100.0
# What a page promises that it takes (s): its commands, and the start of its network.
_PROMISED_S = {"docs/tutorial.md": 600.0}
# What is shown and cannot be tried here.
_MOST_SKIPPED = 6
BLOCKS = all_blocks("sh")
TRIED = [block for block in BLOCKS if "skip" not in block.words]
PAGES = [
    [list(section) for _, section in groupby(page, key=lambda block: block.section)]
    for _, page in groupby(TRIED, key=lambda block: block.page)
]


def test_little_is_only_shown() -> None:
    assert {word for block in BLOCKS for word in block.words} <= {"sh", "skip", "alone"}
    assert len(BLOCKS) - len(TRIED) <= _MOST_SKIPPED


@pytest.mark.parametrize("page", PAGES, ids=lambda page: name_of(page[0][0].page))
def test_every_command_of_a_page_works(page: list[list[Block]], tmp_path: Path) -> None:
    """In the order of the page; ids of circuits are those that it has by then."""
    began_s, name = time.monotonic(), name_of(page[0][0].page)
    saved = [block for block in blocks(page[0][0].page) if block.file]
    there = [section for section in page if "alone" not in section[0].words]
    if there:
        house = _house(tmp_path / "there", saved)
        with network(house / ".run") as options:
            known = {"DGCTL_SERVER": options.northbound, "DGC_PAGE": f"http://{options.page}"}
            for section in there:
                _try(section, house, known)
    for number, section in enumerate(page):
        if "alone" in section[0].words:
            house = _house(tmp_path / str(number), saved)
            with networks_end_with_us(house), _networks_stopped(house):
                _try(section, house, {})
    spent_s = time.monotonic() - began_s
    sys.stdout.write(f"all commands of {name} are done after {spent_s:.0f} s\n")
    assert spent_s <= _PROMISED_S.get(name, spent_s)


def _house(directory: Path, saved: list[Block]) -> Path:
    """Where the repository's files and programs are where a reader has them, and nothing else is."""
    directory.mkdir()
    for block in saved:
        (directory / block.file).write_text(block.text)
    for name in ("topologies", "docs"):
        (directory / name).symlink_to(ROOT / name)
    (directory / ".venv").symlink_to(Path(sys.prefix))
    return directory


@contextmanager
def _networks_stopped(house: Path) -> Iterator[None]:
    """Those that a section brought up, wherever it put them: one that broke off has stopped none of its own."""
    try:
        yield
    finally:
        for log in sorted(house.rglob("emulator.log"), reverse=True):
            emulator.stop(log.parent)


def _try(section: list[Block], directory: Path, known: dict[str, str]) -> None:
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if k != "DGCTL_SERVER"}
    # From a file, so that no process has these words in its own; into one, as what runs on would keep a pipe open.
    (directory / "section.sh").write_text("".join(block.text for block in section))
    with (directory / "told.txt").open("w+", encoding="utf-8") as told:
        reader = subprocess.Popen(
            ["bash", "-ex", "section.sh"],
            cwd=directory,
            env=environment | known | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with session_ends_with_us(reader.pid):
                code: int | str = reader.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            code = "it does not end"
        finally:
            # What was left behind, such as a watch; or what broke off, and may be waiting itself.
            with suppress(ProcessLookupError):
                os.killpg(reader.pid, signal.SIGKILL)
        told.seek(0)
        assert code == 0, f"{section[0]}: {code}\n{told.read()}"
