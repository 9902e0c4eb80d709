"""Three members of etcd on loopback, which tests may kill, stop and start. None outlives the test, or pytest."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from controller.store.etcd.client import EtcdClient
from controller.store.protocol import StoreError
from tests.support.patience import PATIENCE_S
from tests.support.programs import DIES_WITH_PARENT, require_program
from topologies.emulator.ports import free_ports

_POLL_S = 0.02
T = TypeVar("T")


def require_etcd(program: str = "etcd", package: str = "etcd-server") -> None:
    """Skip where etcd is not installed, unless it must be."""
    require_program(program, package)


class EtcdCluster:
    """``with EtcdCluster(directory) as cluster``: started and healthy, and killed at the end."""

    def __init__(
        self,
        directory: Path,
        members: int = 3,
        heartbeat_ms: int = 50,
        election_ms: int = 500,
        quota_bytes: int = 0,
    ) -> None:
        """``quota_bytes`` as small as a test needs it to fill; 0 is etcd's own."""
        self._directory = directory
        self._quota = f"--quota-backend-bytes={quota_bytes}"
        self._timing = (
            f"--heartbeat-interval={heartbeat_ms}",
            f"--election-timeout={election_ms}",
        )
        ports = free_ports(2 * members)
        self.endpoints = tuple(f"127.0.0.1:{port}" for port in ports[:members])
        self._peers = tuple(f"http://127.0.0.1:{port}" for port in ports[members:])
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * members

    def __enter__(self) -> "EtcdCluster":
        try:
            for index in range(len(self.endpoints)):
                self.start(index)
            self.wait_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, index: int) -> None:
        """Start a member, with the data it had if it ran before."""
        assert self._processes[index] is None, f"member {index} runs already"
        with (self._directory / f"m{index}.log").open("ab") as log:
            self._processes[index] = subprocess.Popen(
                [
                    *DIES_WITH_PARENT,
                    "etcd",
                    f"--name=m{index}",
                    f"--data-dir={self._directory / f'm{index}'}",
                    f"--listen-client-urls=http://{self.endpoints[index]}",
                    f"--advertise-client-urls=http://{self.endpoints[index]}",
                    f"--listen-peer-urls={self._peers[index]}",
                    f"--initial-advertise-peer-urls={self._peers[index]}",
                    f"--initial-cluster={self._initial_cluster()}",
                    "--initial-cluster-state=new",
                    "--logger=zap",
                    "--log-level=warn",
                    self._quota,
                    *self._timing,
                ],
                stdout=log,
                stderr=log,
                env={key: value for key, value in os.environ.items() if key[:5] != "ETCD_"},
            )

    def kill(self, index: int) -> None:
        """As if its machine had lost power."""
        process = self._process(index)
        process.kill()
        process.wait()
        self._processes[index] = None

    def pause(self, index: int) -> None:
        """It keeps its connections, and says nothing."""
        self._process(index).send_signal(signal.SIGSTOP)

    def resume(self, index: int) -> None:
        self._process(index).send_signal(signal.SIGCONT)

    def leader(self) -> int:
        """The index of the member that leads; waits until one does."""
        return self._await(self._find_leader, "a leader")

    def wait_healthy(self) -> None:
        """Return when all members that run agree on a leader."""
        self._await(lambda: True if self._agreed() else None, "a healthy cluster")

    def make_room(self, revision: int) -> None:
        """What etcdctl does by ``compact``, ``defrag --cluster`` and ``alarm disarm``."""
        post(self.endpoints[0], "kv/compaction", revision=revision, physical=True)
        for endpoint in self.endpoints:
            post(endpoint, "maintenance/defragment")
        for alarm in post(self.endpoints[0], "maintenance/alarm", action="GET")["alarms"]:
            post(self.endpoints[0], "maintenance/alarm", action="DEACTIVATE", **alarm)

    def watchers(self) -> int:
        """How many watches are open, at all members."""
        total = 0
        for endpoint in self.endpoints:
            with urllib.request.urlopen(f"http://{endpoint}/metrics", timeout=10) as response:
                found = re.search(
                    rb"^etcd_debugging_mvcc_watcher_total (\d+)", response.read(), re.M
                )
            assert found is not None, "etcd counts watches otherwise"
            total += int(found[1])
        return total

    def snapshot(self, path: Path) -> None:
        _etcdctl(f"--endpoints={self.endpoints[0]}", "snapshot", "save", str(path))

    def restore(self, path: Path, token: str = "etcd-cluster") -> None:
        """Set all members back; under another token than before (etcd's own) they are another cluster."""
        self._begin_anew(
            lambda index: _etcdctl(
                "snapshot",
                "restore",
                str(path),
                f"--name=m{index}",
                f"--data-dir={self._directory / f'm{index}'}",
                f"--initial-cluster={self._initial_cluster()}",
                f"--initial-cluster-token={token}",
                f"--initial-advertise-peer-urls={self._peers[index]}",
            )
        )

    def wipe(self) -> None:
        self._begin_anew(lambda _: None)

    def _begin_anew(self, prepare: Callable[[int], None]) -> None:
        self.stop()
        for index in range(len(self.endpoints)):
            shutil.rmtree(self._directory / f"m{index}")
            prepare(index)
        for index in range(len(self.endpoints)):
            self.start(index)
        self.wait_healthy()

    def _initial_cluster(self) -> str:
        return ",".join(f"m{i}={peer}" for i, peer in enumerate(self._peers))

    def stop(self) -> None:
        for process in filter(None, self._processes):
            process.kill()
            process.wait()
        self._processes = [None] * len(self._processes)

    def _process(self, index: int) -> subprocess.Popen[bytes]:
        process = self._processes[index]
        assert process is not None, f"member {index} does not run"
        return process

    def _running(self) -> list[int]:
        return [index for index, process in enumerate(self._processes) if process is not None]

    def _status(self, client: EtcdClient) -> dict[int, tuple[int, int]]:
        """Of members that answer: own id, and id of the leader, 0 for none."""
        found = {}
        for index in self._running():
            try:
                status = client.status(self.endpoints[index], timeout_s=0.5)
            except StoreError:
                continue
            found[index] = (status.header.member_id, status.leader_id)
        return found

    def _find_leader(self) -> int | None:
        client = EtcdClient(self.endpoints)
        try:
            status = self._status(client)
        finally:
            client.close()
        return next((i for i, (own, leader) in status.items() if own == leader), None)

    def _agreed(self) -> bool:
        client = EtcdClient(self.endpoints)
        try:
            status = self._status(client)
        finally:
            client.close()
        leaders = {leader for _, leader in status.values()}
        return len(status) == len(self._running()) and len(leaders) == 1 and 0 not in leaders

    def _await(self, look: Callable[[], T | None], what: str) -> T:
        deadline_s = time.monotonic() + PATIENCE_S
        while (found := look()) is None:
            if time.monotonic() > deadline_s:
                logs = "\n".join(
                    path.read_text(errors="replace")[-2000:]
                    for path in sorted(self._directory.glob("*.log"))
                )
                raise AssertionError(f"no {what} within {PATIENCE_S} s:\n{logs}")
            time.sleep(_POLL_S)
        return found


def post(endpoint: str, path: str, **request: object) -> Any:
    """Of etcd's API what only operators use."""
    body = json.dumps(request).encode()
    with urllib.request.urlopen(f"http://{endpoint}/v3/{path}", body, timeout=10) as response:
        return json.load(response)


def _etcdctl(*arguments: str) -> None:
    subprocess.run(["etcdctl", *arguments], check=True, capture_output=True, timeout=30)
