"""CONTRIBUTING.md leads to files, tests and targets that are there."""

import re
from pathlib import Path

HOUSE = Path(__file__).parents[2]
GUIDE = (HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8")
# What stands in backticks and begins with the name of something in the repository's root.
QUOTED = re.findall(r"`([\w.-]+(?:/[\w.-]+)*/?)`", GUIDE)


def test_every_path_that_it_names_exists() -> None:
    rooms = {each.name for each in HOUSE.iterdir()}
    paths = [each for each in QUOTED if each.split("/")[0] in rooms and "NAME" not in each]
    assert len(paths) > 60
    assert [each for each in paths if not (HOUSE / each).exists()] == []


def test_nothing_that_looks_like_a_path_leads_elsewhere() -> None:
    rooms = {each.name for each in HOUSE.iterdir()}
    assert [each for each in QUOTED if "/" in each and each.split("/")[0] not in rooms] == []


def test_every_target_of_make_that_it_names_is_one() -> None:
    targets = re.findall(r"^([a-z-]+):", (HOUSE / "Makefile").read_text(encoding="utf-8"), re.M)
    named = re.findall(r"\bmake ([a-z-]+)", GUIDE)
    assert named and set(named) <= set(targets)
