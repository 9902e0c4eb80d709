"""Supervision: what must live is started again or ends the process, and nothing escapes it."""

import ast
import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from digitalgrid import supervision
from digitalgrid.counters import COUNTERS
from digitalgrid.supervision import (
    first_to_end,
    start_once,
    start_task,
    start_thread,
    start_thread_once,
    watch_loop,
)
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).parents[3]
# Whatever makes a task, a thread or a call in another thread, by the name that is called.
MAKERS = {"create_task", "ensure_future", "Thread", "spawn", "run_in_executor", "to_thread"}
# Where that is right: by file, what is called there and why nothing can end there without a word.
ALLOWED = {
    "digitalgrid/supervision.py": {"create_task", "Thread"},
    # Awaited where it is called.
    "controller/runtime/runtime.py": {"run_in_executor"},
    "controller/runtime/stored_reads.py": {"run_in_executor"},
    "controller/computing/solver.py": {"run_in_executor"},
    "controller/web/calls.py": {"run_in_executor"},
    "controller/daemon.py": {"to_thread"},
    "controller/web/history.py": {"to_thread"},
    # Awaited by all who have asked the same.
    "controller/web/market.py": {"create_task"},
    # Within start_once().
    "controller/runtime/member.py": {"to_thread"},
    "controller/computing/engines.py": {"to_thread"},
    # One thread a switch: whatever ends it is caught and logged, and closes the switch's connection.
    "controller/openflow/launcher.py": {"spawn"},
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(supervision, "_MAX_PAUSE_S", 0.002)


def _makers(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        # Also where it is only named, as an argument.
        name = getattr(node, "attr", None) or getattr(node, "id", None)
        if name in MAKERS and isinstance(getattr(node, "ctx", None), ast.Load):
            yield name


def test_every_task_and_thread_of_the_controller_is_supervised() -> None:
    found = {
        str(path.relative_to(ROOT)): set(makers)
        for room in ("controller", "digitalgrid")
        for path in (ROOT / room).rglob("*.py")
        # An annotation names the class too.
        if (makers := [each for each in _makers(path) if each != "Thread" or _calls(path, each)])
    }
    assert found == ALLOWED


def _calls(path: Path, name: str) -> bool:
    calls = (each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.Call))
    return any(getattr(each.func, "attr", getattr(each.func, "id", "")) == name for each in calls)


def test_a_thread_that_fails_is_started_again_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs: list[int] = []

    def work() -> None:
        runs.append(len(runs))
        if len(runs) < 4:
            raise ValueError("a bug")

    before = COUNTERS.value("supervised_failures", "worker")
    start_thread("worker", work).join(5)
    assert len(runs) == 4
    assert COUNTERS.value("supervised_failures", "worker") == before + 3
    assert [each.levelno for each in caplog.records] == [logging.ERROR] * 3


def test_a_thread_whose_failure_ends_the_process_tells_it_once() -> None:
    told: list[Exception] = []

    def work() -> None:
        raise ValueError("a bug")

    start_thread("worker", work, told.append).join(5)
    assert [str(each) for each in told] == ["a bug"]


def test_a_thread_that_deals_with_failures_itself_is_not_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = COUNTERS.value("supervised_failures", "writer")

    def work() -> None:
        raise ValueError("a bug")

    start_thread_once("writer", work).join(5)
    assert COUNTERS.value("supervised_failures", "writer") == before + 1
    assert [each.levelno for each in caplog.records] == [logging.CRITICAL]


def test_a_task_that_fails_is_started_again_and_can_be_cancelled() -> None:
    async def story() -> int:
        runs, begun_again = [0], asyncio.Event()

        async def work() -> None:
            runs[0] += 1
            if runs[0] < 3:
                raise ValueError("a bug")
            begun_again.set()
            await asyncio.Event().wait()

        task = start_task("rounds", work)
        async with asyncio.timeout(PATIENCE_S):
            await begun_again.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return runs[0]

    assert asyncio.run(story()) == 3


def test_a_task_whose_failure_ends_the_process_tells_it_once() -> None:
    told: list[Exception] = []

    async def work() -> None:
        raise ValueError("a bug")

    async def story() -> None:
        await start_task("rounds", work, told.append)

    asyncio.run(story())
    assert [str(each) for each in told] == ["a bug"]


def test_what_runs_once_is_logged_and_counted_where_it_fails() -> None:
    before = COUNTERS.value("supervised_failures", "greeting")

    async def work() -> None:
        raise ValueError("a bug")

    async def story() -> None:
        await start_once("greeting", work)

    asyncio.run(story())
    assert COUNTERS.value("supervised_failures", "greeting") == before + 1


def test_the_first_to_end_ends_the_others_and_what_it_raised_is_raised() -> None:
    cancelled = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(first_to_end(wait(), fail(), wait()))
    assert cancelled == [True, True]


def test_what_callbacks_and_strange_threads_raise_is_counted() -> None:
    before = {each: COUNTERS.value("unhandled_exceptions", each) for each in ("loop", "thread")}
    hook = threading.excepthook

    def fail() -> None:
        raise ValueError("a bug")

    async def story() -> None:
        watch_loop(asyncio.get_running_loop())
        asyncio.get_running_loop().call_soon(fail)
        thread = threading.Thread(target=fail)
        thread.start()
        await asyncio.to_thread(thread.join)

    try:
        asyncio.run(story())
    finally:
        threading.excepthook = hook
    for each, count in before.items():
        assert COUNTERS.value("unhandled_exceptions", each) == count + 1
