"""Whoever commits beside a busy loop does not wait a long while behind each statement."""

import sys
from collections.abc import Iterator

import pytest

from digitalgrid.interpreter_lock import share_promptly


@pytest.fixture(autouse=True)
def usual_setting() -> Iterator[None]:
    usual_s = sys.getswitchinterval()
    yield
    sys.setswitchinterval(usual_s)


def test_a_commit_of_a_dozen_statements_waits_for_the_lock_less_than_for_the_disk() -> None:
    share_promptly()
    assert 12 * sys.getswitchinterval() < 0.003
