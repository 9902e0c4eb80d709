"""What every backend of the emulation can do to its network."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from digitalgrid.gridfile import Grid, Link
from topologies.emulator.agents import Agents
from topologies.emulator.controller_process import ControllerProcess
from topologies.emulator.errors import UnknownId


@dataclass(frozen=True, slots=True)
class EmulationStatus:
    """Pids of what runs, and what is broken on purpose."""

    backend: str
    controller_pid: int | None
    router_pids: dict[str, int]
    cut_links: list[str]
    silent_links: list[str]


class Emulation(ABC):
    """A grid that runs on this machine. Use it from the thread that made it."""

    backend: str
    agents: Agents
    controller: ControllerProcess

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._links = {link.id: link for link in grid.links}
        self._router_ids = {router.id for router in grid.routers}
        self._cut: set[str] = set()
        self._silent: set[str] = set()

    @abstractmethod
    def start(self) -> None:
        """Start the network, the controller and the routers; returns once they are started."""

    @abstractmethod
    def stop(self) -> None:
        """Remove everything. Safe to call again, and after a start that failed."""

    def cut(self, link_id: str) -> None:
        """Take a line's carrier away, at both ends."""
        link = self._link(link_id)
        self._cut.add(link_id)
        self._apply(link)

    def restore(self, link_id: str) -> None:
        """Give a cut line its carrier back."""
        link = self._link(link_id)
        self._cut.discard(link_id)
        self._apply(link)

    def silence(self, link_id: str) -> None:
        """Lose all that a line carries, both ways, without a sign."""
        link = self._link(link_id)
        self._silent.add(link_id)
        self._apply(link)

    def heal(self, link_id: str) -> None:
        """Let a silent line carry again."""
        link = self._link(link_id)
        self._silent.discard(link_id)
        self._apply(link)

    def kill_router(self, router_id: str) -> None:
        """Kill a router's agent with -9. SpawnError where it does not run."""
        self.agents.kill(self._router(router_id))

    def restart_router(self, router_id: str) -> None:
        """Start a killed router's agent again. SpawnError where it runs."""
        self.agents.restart(self._router(router_id))

    def kill_controller(self) -> None:
        """Kill the controller with -9. EmulationError where it does not run."""
        self.controller.kill()

    def restart_controller(self) -> None:
        """Start a killed controller again."""
        self.controller.start()

    def require_running(self) -> None:
        """Unhealthy, with its last words, where the controller or a router has ended."""
        self.controller.require_running()
        self.agents.require_running()

    def status(self) -> EmulationStatus:
        process = self.controller.process_id
        return EmulationStatus(
            self.backend,
            process.pid if process else None,
            self.agents.running(),
            sorted(self._cut),
            sorted(self._silent),
        )

    @abstractmethod
    def _set_line(self, link: Link, *, carrier: bool, silent: bool) -> None:
        """Put a line into this state; it may be in it already."""

    def _apply(self, link: Link) -> None:
        self._set_line(link, carrier=link.id not in self._cut, silent=link.id in self._silent)

    def _link(self, link_id: str) -> Link:
        if link_id not in self._links:
            raise UnknownId(f"link {link_id!r} is not in grid {self.grid.name!r}")
        return self._links[link_id]

    def _router(self, router_id: str) -> str:
        if router_id not in self._router_ids:
            raise UnknownId(f"router {router_id!r} is not in grid {self.grid.name!r}")
        return router_id
