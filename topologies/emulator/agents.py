"""The router agents of an emulation: where each one's files are, and its process."""

import signal

from topologies.emulator.last_words import ended_by_itself
from topologies.emulator.plan import RunFiles
from topologies.emulator.spawner import AgentSpec, Spawner


class Agents:
    """Starts, kills and restarts agents, each always in the same network namespace."""

    def __init__(self, files: RunFiles) -> None:
        self._files = files
        self._specs: dict[str, AgentSpec] = {}
        self.spawner = Spawner()

    def start(self, router_id: str, namespace_pid: int | None = None) -> None:
        """Start an agent for the first time; ``namespace_pid``: a process in its namespace."""
        spec = AgentSpec(
            router_id,
            self._files.router_config(router_id),
            self._files.router_log(router_id),
            namespace_pid,
        )
        self._specs[router_id] = spec
        self.spawner.start(spec)

    def kill(self, router_id: str) -> None:
        """Kill it, as a crash would."""
        self.spawner.signal(router_id, signal.SIGKILL)

    def restart(self, router_id: str) -> None:
        """Start it again as it was. SpawnError where it runs."""
        self.spawner.start(self._specs[router_id])

    def running(self) -> dict[str, int]:
        """The pids of those that run."""
        return self.spawner.running()

    def require_running(self) -> None:
        """Unhealthy, with its last words, where one has ended."""
        running = self.running()
        for router_id, spec in self._specs.items():
            if router_id not in running:
                raise ended_by_itself(f"router {router_id}", spec.log_path)

    def close(self) -> None:
        """End all of them. Safe to call again."""
        self.spawner.close()
