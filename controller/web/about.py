"""What the page says of the daemon that serves it: its version and role, who leads, and what it is."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from controller.core.errors import Refusal
from controller.plugins import ROUTING
from controller.routing.compiled import engine_in_use
from controller.runtime.runtime import Runtime
from digitalgrid.plugins.table import installed


@dataclass(frozen=True, slots=True)
class About:
    """``name`` is what the daemon is called in its cluster, ``store`` where it keeps what is promised, and
    ``emulation`` the socket of the emulation that it is part of; None: routers are real. ``market`` is the address of
    the exchange that it shows; empty: none. ``network`` is what the page is headed by; empty: ``name``.
    """

    runtime: Runtime
    version: str
    store: str
    name: str
    emulation: Path | None = None
    market: str = ""
    network: str = ""
    # Routing algorithms by name, whether or not each can be used.
    algorithms: tuple[str, ...] = field(
        default_factory=lambda: tuple(each.name for each in installed(ROUTING))
    )
    started_unix_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def daemon(self) -> dict[str, object]:
        leader, network = self.runtime.leader, self.runtime.tallies.control_network
        return {
            "version": self.version,
            "role": self._role(),
            "leader": leader.northbound if leader is not None else None,
            "leader_name": leader.name if leader is not None else None,
            "term": self.runtime.election_id.low,
            "standbys": self._standbys(),
            "store": self.store,
            "name": self.name,
            "network": self.network,
            "emulation": self.emulation is not None,
            "market": bool(self.market),
            "started_unix_ms": self.started_unix_ms,
            "engine": str(engine_in_use()),
            "algorithms": self.algorithms,
            "control_network": network()._asdict() if network is not None else None,
        }

    def _standbys(self) -> list[dict[str, object]] | None:
        standbys = self.runtime.standbys
        return [asdict(each) for each in standbys] if standbys is not None else None

    def _role(self) -> str:
        if self.runtime.leads:
            return "leader"
        try:
            self.runtime.look(lambda known, now_ns: known)
        except Refusal:
            return "starting"
        return "standby"
