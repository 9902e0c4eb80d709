"""The writer thread: order, sharing, and an end that leaves nobody waiting."""

import threading
from collections.abc import Sequence

import pytest

from controller.core.circuits.records import Counters, StateChange
from controller.store.group_commit import MAX_CHANGES_PER_COMMIT, GroupCommit
from controller.store.protocol import LeadershipLost, StoreError
from tests.support.patience import PATIENCE_S


def change(number: int) -> StateChange:
    return StateChange((), Counters(number))


class Recorded:
    """A commit that can be held up, or fail, and what was reported."""

    def __init__(self) -> None:
        self.commits: list[list[int]] = []
        self.durable: list[int] = []
        self.failures: list[StoreError] = []
        self.failed = threading.Event()
        self.may_commit = threading.Event()
        self.may_commit.set()
        self.committing = threading.Event()
        self.error: BaseException | None = None
        self.writer = GroupCommit(self._commit)
        self.writer.start(self.durable.append, self._on_failure)

    def _commit(self, changes: Sequence[StateChange]) -> None:
        self.committing.set()
        assert self.may_commit.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        self.commits.append([each.counters.next_circuit_id for each in changes])

    def _on_failure(self, error: StoreError) -> None:
        self.failures.append(error)
        self.failed.set()


def test_what_comes_during_a_commit_shares_the_next() -> None:
    recorded = Recorded()
    recorded.may_commit.clear()
    recorded.writer.submit(1, change(1))
    assert recorded.committing.wait(PATIENCE_S)
    last = 2 + 2 * MAX_CHANGES_PER_COMMIT
    for ticket in range(2, last + 1):
        recorded.writer.submit(ticket, change(ticket))
    recorded.may_commit.set()
    recorded.writer.close()
    most = MAX_CHANGES_PER_COMMIT
    assert [len(each) for each in recorded.commits] == [1, most, most, 1]
    assert [each for commit in recorded.commits for each in commit] == list(range(1, last + 1))
    assert recorded.durable == [1, 1 + most, 1 + 2 * most, last]


@pytest.mark.parametrize(
    "error",
    [StoreError("full"), LeadershipLost("replaced"), ValueError("odd"), SystemExit(1)],
    ids=lambda error: type(error).__name__,
)
def test_any_exception_is_told_once_and_ends_the_writing(error: BaseException) -> None:
    recorded = Recorded()
    recorded.error = error
    recorded.writer.submit(1, change(1))
    assert recorded.failed.wait(PATIENCE_S)
    recorded.error = None
    recorded.writer.submit(2, change(2))
    recorded.writer.close()
    (failure,) = recorded.failures
    assert failure is error if isinstance(error, StoreError) else repr(error) in str(failure)
    assert not recorded.commits and not recorded.durable


def test_a_listener_that_fails_is_a_failure_too() -> None:
    failed = threading.Event()
    failures: list[StoreError] = []

    def on_durable(ticket: int) -> None:
        raise RuntimeError("nobody listens any more")

    def on_failure(error: StoreError) -> None:
        failures.append(error)
        failed.set()

    writer = GroupCommit(lambda changes: None)
    writer.start(on_durable, on_failure)
    writer.submit(1, change(1))
    assert failed.wait(PATIENCE_S)
    writer.close()
    assert "nobody listens any more" in str(failures[0])


def test_what_fails_while_it_is_closed_is_told_before_close_returns() -> None:
    recorded = Recorded()
    recorded.may_commit.clear()
    recorded.writer.submit(1, change(1))
    assert recorded.committing.wait(PATIENCE_S)
    recorded.error = StoreError("full")
    recorded.may_commit.set()
    recorded.writer.close()
    assert [str(each) for each in recorded.failures] == ["full"]


def test_closing_again_or_before_the_start_does_nothing() -> None:
    recorded = Recorded()
    recorded.writer.submit(1, change(1))
    recorded.writer.close()
    recorded.writer.close()
    recorded.writer.submit(2, change(2))
    assert recorded.durable == [1]
    GroupCommit(lambda changes: None).close()
