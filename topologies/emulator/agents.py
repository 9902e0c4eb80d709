"""The router agents of an emulation: where each one's files are, and its process."""

import signal
from collections.abc import Mapping

from digitalgrid.yaml_text import to_yaml
from router_agent.limits import LOAD_LIMITS, SOURCE_LIMITS
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

    def limit_sources(self, router_id: str, limits_w: Mapping[str, float]) -> None:
        """Have these of its sources give no more than this, now and after a restart; others give all that they can."""
        limits = [{"id": each, "power_w": power_w} for each, power_w in limits_w.items()]
        self._limit(router_id, SOURCE_LIMITS, {"sources": limits})

    def limit_loads(self, router_id: str, shares: Mapping[str, float]) -> None:
        """Have these of its loads take no more than this share of their power, likewise; others take all of it."""
        limits = [{"id": each, "share": share} for each, share in shares.items()]
        self._limit(router_id, LOAD_LIMITS, {"loads": limits})

    def _limit(
        self, router_id: str, name: str, limits: Mapping[str, list[dict[str, object]]]
    ) -> None:
        path = self._files.router_state(router_id) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(to_yaml(dict(limits), lines=True), encoding="utf-8")
        draft.replace(path)
        if router_id in self.running():
            self.spawner.signal(router_id, signal.SIGHUP)

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
