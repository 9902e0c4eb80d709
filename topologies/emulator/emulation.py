"""What every backend of the emulation can do to its network."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from digitalgrid.gridfile import Grid, Link, Load, Source
from topologies.emulator.agents import Agents
from topologies.emulator.controller_process import ControllerProcess
from topologies.emulator.errors import BadCommand, UnknownId

# A cloud that is to pass later is a slip: a month (s).
_FOR_EVER_S = 31 * 86_400.0


@dataclass(frozen=True, slots=True)
class EmulationStatus:
    """Pids of what runs, and what is broken on purpose."""

    backend: str
    controller_pid: int | None
    router_pids: dict[str, int]
    cut_links: list[str]
    silent_links: list[str]
    # What share of its rating each clouded source can give.
    clouds: dict[str, float]
    unplugged_loads: list[str]


class Emulation(ABC):
    """A grid that runs on this machine. Use it from the thread that made it."""

    backend: str
    agents: Agents
    controller: ControllerProcess

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._links = {link.id: link for link in grid.links}
        self._sources = {source.id: source for source in grid.sources}
        self._loads = {load.id: load for load in grid.loads}
        self._router_ids = {router.id for router in grid.routers}
        self._cut: set[str] = set()
        self._silent: set[str] = set()
        self._clouds: dict[str, float] = {}
        self._unplugged: set[str] = set()
        # When clouds that pass by themselves will have passed, by the monotonic clock.
        self._passing_s: dict[str, float] = {}

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

    def cloud(self, source_id: str, share: float, for_s: float | None = None) -> None:
        """Leave a source this share of its rating, for a time or until :meth:`clear`."""
        source = self._source(source_id)
        if not 0.0 <= share <= 1.0:
            raise BadCommand(f"a cloud leaves between 0 % and 100 % of a source, not {share:.6g}")
        if for_s is not None and not 0.0 < for_s < _FOR_EVER_S:
            raise BadCommand(f"a cloud stays for more than 0 s, and not for ever; {for_s:g} s is")
        self._clouds[source_id] = share
        self._passing_s.pop(source_id, None)
        if for_s is not None:
            self._passing_s[source_id] = time.monotonic() + for_s
        self._limit_sources(source.router)

    def clear(self, source_id: str) -> None:
        """Give a clouded source all its power back."""
        source = self._source(source_id)
        self._passing_s.pop(source_id, None)
        self._clouds.pop(source_id, None)
        self._limit_sources(source.router)

    def let_clouds_pass(self) -> float | None:
        """Clear sources whose cloud has passed. Returns the time (s) until the next one has; None where none will."""
        for source_id, passed_s in list(self._passing_s.items()):
            if time.monotonic() >= passed_s:
                self.clear(source_id)
        if not self._passing_s:
            return None
        return max(0.0, min(self._passing_s.values()) - time.monotonic())

    def unplug(self, load_id: str) -> None:
        """Have a load take nothing of what it is brought, until :meth:`plug`."""
        load = self._load(load_id)
        self._unplugged.add(load_id)
        self._limit_loads(load.router)

    def plug(self, load_id: str) -> None:
        """Have an unplugged load take its power again."""
        load = self._load(load_id)
        self._unplugged.discard(load_id)
        self._limit_loads(load.router)

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
            dict(sorted(self._clouds.items())),
            sorted(self._unplugged),
        )

    @abstractmethod
    def _set_line(self, link: Link, *, carrier: bool, silent: bool) -> None:
        """Put a line into this state; it may be in it already."""

    def _apply(self, link: Link) -> None:
        self._set_line(link, carrier=link.id not in self._cut, silent=link.id in self._silent)

    def _limit_sources(self, router_id: str) -> None:
        limits_w = {
            source_id: share * self._sources[source_id].max_power_w
            for source_id, share in self._clouds.items()
            if self._sources[source_id].router == router_id
        }
        self.agents.limit_sources(router_id, limits_w)

    def _limit_loads(self, router_id: str) -> None:
        unplugged = sorted(
            each for each in self._unplugged if self._loads[each].router == router_id
        )
        self.agents.limit_loads(router_id, dict.fromkeys(unplugged, 0.0))

    def _load(self, load_id: str) -> Load:
        if load_id not in self._loads:
            raise UnknownId(f"load {load_id!r} is not in grid {self.grid.name!r}")
        return self._loads[load_id]

    def _source(self, source_id: str) -> Source:
        if source_id not in self._sources:
            raise UnknownId(f"source {source_id!r} is not in grid {self.grid.name!r}")
        return self._sources[source_id]

    def _link(self, link_id: str) -> Link:
        if link_id not in self._links:
            raise UnknownId(f"link {link_id!r} is not in grid {self.grid.name!r}")
        return self._links[link_id]

    def _router(self, router_id: str) -> str:
        if router_id not in self._router_ids:
            raise UnknownId(f"router {router_id!r} is not in grid {self.grid.name!r}")
        return router_id
