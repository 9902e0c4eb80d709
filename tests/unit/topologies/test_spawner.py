import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.patience import wait_for
from topologies.emulator.errors import SpawnError
from topologies.emulator.processes import ProcessId
from topologies.emulator.spawner import AgentSpec, Spawner

PLAYED_AGENT = "tests.support.played_agent:run"


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    running = Spawner(PLAYED_AGENT, end_grace_s=1.0)
    try:
        yield running
    finally:
        running.close()


def spec(folder: Path, name: str = "r1", kind: str = "") -> AgentSpec:
    config = folder / f"{name}.yaml"
    config.write_text(kind)
    return AgentSpec(name, config, folder / f"{name}.log")


def start(spawner: Spawner, agent: AgentSpec) -> ProcessId:
    pid = spawner.start(agent)
    wait_for(lambda: agent.log_path.exists() and b"ready" in agent.log_path.read_bytes())
    process = ProcessId.of(pid)
    assert process is not None
    return process


def test_agents_are_started_killed_and_started_again(spawner: Spawner, tmp_path: Path) -> None:
    agent = spec(tmp_path)
    first = start(spawner, agent)
    assert spawner.running() == {"r1": first.pid}
    with pytest.raises(SpawnError, match="runs already"):
        spawner.start(agent)
    spawner.signal("r1", signal.SIGKILL)
    assert not first.runs()
    assert spawner.running() == {}
    with pytest.raises(SpawnError, match="'r1': does not run"):
        spawner.signal("r1", signal.SIGKILL)
    assert start(spawner, agent) != first


def test_an_agent_that_ends_by_itself_is_reaped(spawner: Spawner, tmp_path: Path) -> None:
    spawner.start(spec(tmp_path, kind="broken"))
    wait_for(lambda: spawner.running() == {})


def test_an_agent_that_asks_for_it_is_started_again_but_not_for_ever(
    spawner: Spawner, tmp_path: Path
) -> None:
    agent = spec(tmp_path, kind="defective")
    spawner.start(agent)
    wait_for(lambda: agent.log_path.exists() and agent.log_path.read_text().count("failed") == 6)
    wait_for(lambda: spawner.running() == {})


def test_all_agents_end_with_the_spawner(spawner: Spawner, tmp_path: Path) -> None:
    processes = [start(spawner, spec(tmp_path, f"r{index}")) for index in range(5)]
    spawner.close()
    assert not any(process.runs() for process in processes)
    spawner.close()
    with pytest.raises(SpawnError):
        spawner.running()


def test_agents_do_not_outlive_a_spawner_that_is_killed(spawner: Spawner, tmp_path: Path) -> None:
    process = start(spawner, spec(tmp_path, kind="stubborn"))
    os.kill(spawner.pid, signal.SIGKILL)
    wait_for(lambda: not process.runs())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may go before others")
def test_agents_go_before_their_controller_also_where_sessions_share_the_processor(
    spawner: Spawner, tmp_path: Path
) -> None:
    process = start(spawner, spec(tmp_path))
    assert os.getsid(process.pid) == spawner.pid, "nobody else is in it"
    assert os.getpriority(os.PRIO_PROCESS, process.pid) < 0
    share = Path(f"/proc/{process.pid}/autogroup")
    if share.exists() and share.read_text():
        assert share.read_text().split()[-1].startswith("-")


def test_a_stubborn_agent_is_ended_all_the_same(spawner: Spawner, tmp_path: Path) -> None:
    process = start(spawner, spec(tmp_path, kind="stubborn"))
    spawner.close()
    wait_for(lambda: not process.runs())


def test_the_spawner_and_its_agents_end_with_their_parent(tmp_path: Path) -> None:
    agent = spec(tmp_path, kind="stubborn")
    program = (
        "import pathlib, sys, time\n"
        "from topologies.emulator.spawner import AgentSpec, Spawner\n"
        f"spawner = Spawner({PLAYED_AGENT!r})\n"
        "config, log = map(pathlib.Path, sys.argv[1:])\n"
        "print(spawner.pid, spawner.start(AgentSpec('r1', config, log)), flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(agent.config_path), str(agent.log_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        family = [ProcessId.of(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(family) == 2
        assert all(family)
        parent.kill()
    wait_for(lambda: not any(process and process.runs() for process in family))
