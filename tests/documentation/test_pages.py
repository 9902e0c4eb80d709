"""Pages of the documentation: links lead somewhere, and configurations and networks are taken as they stand."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from controller.config import load_config
from dgctl.declared import load_declared
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
        case "part":
            assert isinstance(yaml.safe_load(block.text), dict)
        case other:
            pytest.fail(f"{block}: a file of what? not {other}, but one of those above")


def test_every_program_that_is_shown_is_run() -> None:
    """By the commands of its page, or what these install."""
    for page in PAGES:
        shown = blocks(page)
        assert {block.language for block in shown} <= {*_SEEN, "sh", "yaml", "toml", "python"}
        tried = [each for each in shown if each.language in ("sh", "toml")]
        words = "".join(each.text for each in tried if "skip" not in each.words)
        for block in shown:
            if block.language == "python":
                assert block.file and Path(block.file).stem in words, f"{block} is run by nobody"


def test_every_block_says_its_language() -> None:
    for page in PAGES:
        for found in re.findall(r"^```([^\n]*)\n", page.read_text(), re.M)[::2]:
            assert found, f"{name_of(page)}: a block without a language; text, if it has none"
