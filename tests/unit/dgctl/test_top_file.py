"""The file of ``dgctl top``: columns and order that people keep, and what is said of a file that cannot be."""

from pathlib import Path

import pytest

from dgctl.top_file import TopFile, load_top
from dgctl.top_screen import Look
from dgctl.topology_tables import ROUTERS
from digitalgrid.bounds import InvalidValue
from digitalgrid.config_file import ConfigError, ConfigErrors
from tests.unit.dgctl.test_top_screen import circuits, known, press, shown


def load(tmp_path: Path, text: str) -> TopFile:
    path = tmp_path / "top.yaml"
    path.write_text(text, encoding="utf-8")
    return load_top(str(path))


def test_columns_are_those_of_the_file_and_s_leads_through_them(tmp_path: Path) -> None:
    text = "circuits: [sink, Power, lost, id]\nlinks: [id, count]\nrouters: [id]\nsort: -id\n"
    file = load(tmp_path, text)
    assert file.sorts() == ("-id", "", "-power", "-lost", "sink", "id")
    look, of = Look(file), known()
    lines = shown(look, of)
    assert {"sink power lost id", "id count", "r9"} < set(lines)
    head = lines.index("sink power lost id")
    assert lines[head + 1] == "load30 3 MW 300 kW 30"
    press(look, "s", "s", "r")
    assert shown(look, of)[head + 1] == "load1 100 kW 10 kW 1"
    press(look, "escape")
    assert shown(look, of)[head + 1] == "load30 3 MW 300 kW 30"


def test_what_a_file_leaves_out_is_as_without_one(tmp_path: Path) -> None:
    file = load(tmp_path, "links: [id]\n")
    assert (file.circuits, file.sort) == (TopFile().circuits, "")
    assert circuits(shown(Look(file), known()))[0] == 17
    assert load(tmp_path, "") == TopFile()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("circuits: [id, size]\n", "circuits have no column 'size'; there are id, state"),
        ("links: []\n", "has no column; there are id, a, b"),
        ("circuits: [id,\n  '']\n", r"top.yaml:2: .*needs a name; there are id, state"),
        ("links: [id,\n  used,\n  Id]\n", "top.yaml:3: .*column 'id' of links is named twice"),
        ("circuits: ['id,owner']\n", "circuits have no column 'id,owner'"),
        ("sort: size\n", "top.yaml:1: .*must be one column.* circuits have no column 'size'"),
        ("sort: '-'\n", "must be one column.* needs a name"),
        ("sort: ' '\n", "must be one column.* needs a name"),
        ("sort: --loss\n", "must be one column.* no column '-loss'"),
        ("sort: loss,-power\n", "must be one column.* no column 'loss,-power'"),
        ("routers: id\n", "routers"),
        ("loads: [id]\n", "loads"),
        ("[id\n", "top.yaml"),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_what_there_is(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises((ConfigError, ConfigErrors), match=said):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("written", "sorts", "first", "turned"),
    [
        ("-Power", ("-power", "", "id"), 30, 1),
        ("- power", ("-power", "", "id"), 30, 1),
        ("+power", ("power", "", "-power", "id"), 1, 30),
    ],
)
def test_r_turns_round_what_a_file_sorts_by_however_it_is_written(
    tmp_path: Path, written: str, sorts: tuple[str, ...], first: int, turned: int
) -> None:
    text = f"circuits: [id, state, sink, power]\nsort: '{written}'\n"
    file = load(tmp_path, text)
    assert tuple(each for each in file.sorts() if each not in ("state", "sink")) == sorts
    look, of = Look(file), known()
    assert circuits(shown(look, of))[0] == first
    press(look, "r")
    assert circuits(shown(look, of))[0] == turned


def test_of_more_columns_than_there_are_the_first_that_are_wrong_are_told() -> None:
    with pytest.raises(InvalidValue) as refused:
        TopFile(routers=("id",) * 200_000)
    assert len(refused.value.problems) == len(ROUTERS.columns)


def test_a_file_does_not_come_from_where_keys_do() -> None:
    with pytest.raises(ConfigError, match="keys come from there; name a file"):
        load_top("-")


def test_the_usual_file_need_not_be_there_and_one_that_is_named_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_top("") == TopFile()
    (tmp_path / "dgctl").mkdir()
    (tmp_path / "dgctl" / "top.yaml").write_text("sort: sink\n", encoding="utf-8")
    assert load_top("").sort == "sink"
    with pytest.raises(ConfigError, match="No such file"):
        load_top(str(tmp_path / "none.yaml"))
