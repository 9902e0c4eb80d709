"""``make bench`` as a whole: each benchmark in a process of its own, and one that dies takes no other with it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from benchmarks.__main__ import _modules, measure
from benchmarks.apart import Died, rows_apart
from benchmarks.harness import Row
from tests.support.patience import PATIENCE_S

_ROW = """
import os
from benchmarks.harness import Row
def row(name):
    return Row(name, 1, "instance", 0.5, {"peer": 1.0}, True, {"pid": os.getpid()})
"""
Benchmark = Callable[[str, str], str]


@pytest.fixture
def benchmark_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    """Makes a benchmark of what its rows do; gives its module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, body: str) -> str:
        text = f"{_ROW}\ndef rows(full):\n    yield row({name!r})\n    {body}\n"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return make


def test_all_benchmarks_are_found() -> None:
    assert {"linear-flow", "durable-admit", "watching"} <= set(_modules())


def test_one_that_dies_is_told_and_the_others_go_on(
    benchmark_of: Benchmark, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    modules = {
        "first": benchmark_of("first", "yield row('first')"),
        "killed": benchmark_of("killed", "os.kill(os.getpid(), 9)"),
        "raising": benchmark_of("raising", "raise OSError('the disk is full')"),
        "last": benchmark_of("last", "pass"),
    }
    output = tmp_path / "bench.json"
    assert not measure(modules, False, output)
    rows = json.loads(output.read_text())
    assert [row["name"] for row in rows] == ["first", "first", "killed", "raising", "last"]
    assert {*rows[0]} == {"name", "size", "instance", "ours_s", "peers", "agree", "pid"}
    # Those of one benchmark are of one process, and no two benchmarks share one.
    assert [len({row["pid"] for row in rows[:end]}) for end in (1, 2, 5)] == [1, 1, 4]
    told = capfd.readouterr()
    assert "killed was ended by SIGKILL" in told.err
    assert "raising failed with exit code 1" in told.err
    assert "the disk is full" in told.err
    assert "first  instance  0.5 s  peer 2x" in told.err
    assert told.out.count("instance") == 6


def test_what_a_benchmark_needs_and_is_not_here_skips_it(
    benchmark_of: Benchmark, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lacking = {
        "library": "import nobody_has_this.at_all",
        "told": "raise RuntimeError('install it') from ModuleNotFoundError(name='nobody_has_this')",
        "program": "from benchmarks.apart import Missing; raise Missing('no browser')",
    }
    modules = {name: benchmark_of(name, body) for name, body in lacking.items()}
    assert measure(modules, False, tmp_path / "bench.json")
    told = capfd.readouterr().err
    assert "library is skipped: nobody_has_this is not installed" in told
    assert "told is skipped: nobody_has_this is not installed" in told
    assert "program is skipped: no browser" in told


def test_a_module_of_ours_that_is_not_there_is_no_reason_to_skip(benchmark_of: Benchmark) -> None:
    rows = rows_apart(benchmark_of("broken", "import controller.nobody_has_this"), False)
    assert next(rows).name == "broken"
    with pytest.raises(Died, match="exit code 1"):
        next(rows)


def test_nothing_runs_on_for_who_wants_no_more_rows(benchmark_of: Benchmark) -> None:
    endless = "import time\n    while True: time.sleep(1.0)"
    rows = rows_apart(benchmark_of("endless", endless), False)
    pid = next(rows).extra["pid"]
    rows.close()
    assert not Path(f"/proc/{pid}").exists()


# A child that lives on, of one that forks: it has the pipe of its parent too.
_LEAVES_A_CHILD = """
import signal
child = os.fork()
if child == 0:
    signal.pause()
left = row('left')
left.extra['child'] = child
yield left
"""


@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)"])
def test_nothing_that_a_benchmark_started_outlives_it(benchmark_of: Benchmark, end: str) -> None:
    body = f"{_LEAVES_A_CHILD}{end}".replace("\n", "\n    ")
    rows = rows_apart(benchmark_of("forking", body), False)
    next(rows)
    child = os.pidfd_open(next(rows).extra["child"])
    try:
        assert list(_until_the_end(rows)) == ([] if end == "pass" else ["was ended by SIGKILL"])
        assert wait([child], PATIENCE_S)
    finally:
        os.close(child)


def _until_the_end(rows: Iterator[Row]) -> Iterator[object]:
    try:
        yield from rows
    except Died as died:
        yield str(died)


# One that makes its sign when it is cleaned up.
_TIDY = """
import time
try:
    yield row('tidy')
    while True: time.sleep(1.0)
finally:
    open({!r}, 'w').close()
"""


def test_a_benchmark_whose_rows_nobody_wants_cleans_up_first(
    benchmark_of: Benchmark, tmp_path: Path
) -> None:
    sign = tmp_path / "cleaned up"
    body = _TIDY.format(str(sign)).replace("\n", "\n    ")
    rows = rows_apart(benchmark_of("tidy", body), False)
    next(rows), next(rows)
    rows.close()
    assert sign.exists()


def test_whoever_is_told_to_end_ends_the_benchmark_that_runs(
    benchmark_of: Benchmark, tmp_path: Path
) -> None:
    sign, output = tmp_path / "cleaned up", tmp_path / "bench.json"
    name = benchmark_of("tidy", _TIDY.format(str(sign)).replace("\n", "\n    "))
    call = f"measure({{{name!r}: {name!r}}}, False, Path({str(output)!r}))"
    program = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(tmp_path)!r})
from benchmarks.__main__ import measure
{call}
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True
    ) as measuring:
        assert measuring.stderr is not None
        for _ in range(2):
            assert "tidy  instance" in measuring.stderr.readline()
        measuring.terminate()
        measuring.communicate(timeout=PATIENCE_S)
    assert sign.exists()
    assert len(json.loads(output.read_text())) == 2
