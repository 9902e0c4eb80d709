from dataclasses import replace
from pathlib import Path

import pytest

from topologies.study.evaluation import StepResult
from topologies.study.records import Records, StudyError

SETTINGS = {"specification": "simbench:x", "every": 1}


def result(step: int) -> StepResult:
    figures = (1e6 / 3, 0.1, 1e-9, 0.0, 0.0)
    missing = ("0 unfed 12; 3 lines 900000", "")
    return StepResult(step, *figures, "kirchhoff", 2.5, 0.0, 0.0, "optimal", *missing)


def test_what_is_kept_comes_back_to_the_last_digit(tmp_path: Path) -> None:
    failed = replace(result(9), routers_loss_w=float("nan"), routing="not converged")
    with Records(tmp_path / "new" / "study", SETTINGS) as records:
        records.append([result(3), result(1)])
        records.append([failed])
    with Records(tmp_path / "new" / "study", SETTINGS) as records:
        assert records.done[1] == result(1)
        assert str(records.done[9]) == str(failed)
        assert list(records.done) == [3, 1, 9]


def test_a_row_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    with Records(tmp_path, SETTINGS) as records:
        records.append([result(0), result(1)])
    path = tmp_path / "steps.csv"
    path.write_bytes(path.read_bytes()[:-7])
    with Records(tmp_path, SETTINGS) as records:
        assert list(records.done) == [0]
        records.append([result(1)])
    with Records(tmp_path, SETTINGS) as records:
        assert records.done == {0: result(0), 1: result(1)}


def test_what_ten_thousand_loads_lack_at_one_step_comes_back(tmp_path: Path) -> None:
    """Longer than a field that :mod:`csv` reads."""
    lacked = replace(
        result(0), operated_missing="; ".join(f"{load} sources 123456789" for load in range(10_000))
    )
    with Records(tmp_path, SETTINGS) as records:
        records.append([lacked])
    with Records(tmp_path, SETTINGS) as records:
        assert records.done == {0: lacked}


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    with Records(tmp_path, SETTINGS):
        pass
    with pytest.raises(StudyError, match="every was 1 and is 4"):
        Records(tmp_path, SETTINGS | {"every": 4})
    # The refusal leaves the study usable.
    with Records(tmp_path, SETTINGS):
        pass


def test_one_study_at_a_time(tmp_path: Path) -> None:
    with Records(tmp_path, SETTINGS), pytest.raises(StudyError, match="another study is running"):
        Records(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("study.json", "{", "damaged"),
        ("study.json", "[]", "damaged"),
        ("steps.csv", "step,load\n1,2\n", "other columns"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with Records(tmp_path, SETTINGS):
        pass
    (tmp_path / name).write_text(text)
    with pytest.raises(StudyError, match=f"{name}.*{message}"):
        Records(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    "damage", ["1,what", "1,1,1,1,1,1,kirchhoff,1,1,1,optimal,0 why 1,", "\udcff", "\0"]
)
def test_a_damaged_row_is_named(tmp_path: Path, damage: str) -> None:
    with Records(tmp_path, SETTINGS) as records:
        records.append([result(0)])
    with (tmp_path / "steps.csv").open("ab") as file:
        file.write(f"{damage}\n".encode(errors="surrogateescape"))
    with pytest.raises(StudyError, match=r"steps\.csv:3 is damaged"):
        Records(tmp_path, SETTINGS)


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="file cannot be used"):
        Records(tmp_path / "file", SETTINGS)
