"""What a controller decides does not depend on the order of a set: that is another in every process."""

import os
import subprocess
import sys

from tests.support import patience


def test_one_history_is_told_alike_under_every_order_of_sets() -> None:
    told = [_told(hash_seed) for hash_seed in ("1", "2")]
    answers = [each.communicate(timeout=patience.PATIENCE_S)[0] for each in told]
    assert [each.returncode for each in told] == [0, 0]
    assert answers[0].count("\n") > 200
    assert answers[0] == answers[1]


def _told(hash_seed: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (sys.executable, "-m", "tests.support.scripted_history", "0"),
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        text=True,
    )
