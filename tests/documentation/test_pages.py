"""Pages of the documentation: links lead somewhere, and configurations and networks are taken as they stand."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from controller.config import load_config
from dgctl.declared import load_declared
from dgctl.top_file import load_top
from digitalgrid.gridfile import loads_grid
from router_agent.config import load_config as load_router_config
from tests.support.documents import PAGES, ROOT, Block, all_blocks, anchors, blocks, links, name_of
from tests.support.programs import require_program

YAML = all_blocks("yaml")
# Languages that are only for the eye.
_SEEN = ("text", "mermaid")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings_that_there_are(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("block", YAML, ids=str)
def test_files_that_are_shown_are_read(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(block.text)
    assert len(block.words) > 1, f"{block}: a file of what? Say so after `yaml`"
    match block.words[1]:
        case "controller":
            load_config(path)
        case "router":
            load_router_config(path)
        case "grid":
            loads_grid(block.text, str(block))
        case "prometheus":
            program = require_program("promtool", "prometheus")
            (tmp_path / "alerts.yaml").write_text(
                (ROOT / "docs/monitoring/alerts.yaml").read_text()
            )
            subprocess.run([program, "check", "config", path], check=True, capture_output=True)
        case "circuits":
            load_declared(str(path))
        case "top":
            load_top(str(path))
        case "part":
            assert isinstance(yaml.safe_load(block.text), dict)
        case other:
            pytest.fail(f"{block}: a file of what? not {other}, but one of those above")


def test_every_program_that_is_shown_is_run() -> None:
    for page in PAGES:
        shown = blocks(page)
        assert {block.language for block in shown} <= {*_SEEN, "sh", "yaml", "toml", "python"}
        for block in shown:
            if block.language == "python":
                assert block.file and _is_run(block.file, shown), f"{block} is run by nobody"


@pytest.mark.parametrize(
    ("page", "file", "command"),
    [
        ("client", "ask.py", "python ask.py"),
        ("trading", "book.py", "python book.py"),
        ("plugins", "fewest_lines.py", "pip install"),
        ("plugins", "fewest_lines.py", "dgc plugins"),
    ],
)
def test_a_program_whose_command_is_gone_is_run_by_nobody(
    page: str, file: str, command: str
) -> None:
    shown = blocks(ROOT / "docs" / f"{page}.md")
    assert _is_run(file, shown)
    without = [
        replace(
            each, text="".join(line for line in each.text.splitlines(True) if command not in line)
        )
        for each in shown
    ]
    assert without != shown
    assert not _is_run(file, without)


def _is_run(file: str, shown: Sequence[Block]) -> bool:
    """By a command of its page, or as the plug-in of a package that is installed there and then called by its name."""
    tried = [each for each in shown if "skip" not in each.words]
    commands = "".join(each.text for each in tried if each.language == "sh")
    if re.search(rf"^\s*(\S+/)?python {re.escape(file)}\b", commands, re.M):
        return True
    packages = "".join(each.text for each in tried if each.language == "toml")
    _, _, then = commands.partition("pip install")
    called = re.findall(rf'^([\w-]+) = "{re.escape(Path(file).stem)}:', packages, re.M)
    return any(re.search(rf"\b{re.escape(name)}\b", then) for name in called)


def test_every_block_says_its_language() -> None:
    for page in PAGES:
        for found in re.findall(r"^```([^\n]*)\n", page.read_text(), re.M)[::2]:
            assert found, f"{name_of(page)}: a block without a language; text, if it has none"
