import os
import signal
from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.study_cases import study_case
from topologies.importers.profiles import Profiles
from topologies.study import workers
from topologies.study.evaluation import StepResult
from topologies.study.records import StudyError
from topologies.study.workers import evaluate_all

CASE = study_case([(0, 1, 0.5, 1e3), (1, 2, 0.5, 1e3)], [1, 2], [2])


def profiles(steps: int) -> Profiles:
    rng = np.random.default_rng(1)
    source_w = np.column_stack([rng.uniform(0, 1e6, steps), np.full(steps, 1e9)])
    return Profiles(tuple(map(str, range(steps))), rng.uniform(0, 1e6, (steps, 2)), source_w)


def evaluated(steps: Sequence[int], count: int) -> list[StepResult]:
    pieces = evaluate_all(CASE, profiles(300), steps, count)
    return sorted((result for piece in pieces for result in piece), key=lambda each: each.step)


# Where kernels are not compiled yet, each process may have to.
def test_worker_processes_give_what_one_process_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = range(0, 300, 7)
    alone = evaluated(steps, 1)
    assert [result.step for result in alone] == list(steps)
    monkeypatch.setattr(workers, "_WORTH_WORKERS_S", 0.0)
    monkeypatch.setattr(workers, "_MAX_STEPS", 5)
    assert evaluated(steps, 2) == alone


@pytest.mark.parametrize("steps", [[], [4], [4, 5], [4, 5, 6]])
def test_few_steps(steps: list[int]) -> None:
    assert [result.step for result in evaluated(steps, 2)] == steps


def _die(*_: object) -> list[StepResult]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def test_a_killed_worker_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_WORTH_WORKERS_S", 0.0)
    monkeypatch.setattr(workers, "_evaluate", _die)
    with pytest.raises(StudyError, match="worker process was killed"):
        evaluated(range(20), 2)
