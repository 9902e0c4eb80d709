"""How long the steps of a circuit may take."""

from dataclasses import dataclass

from digitalgrid.units import NS_PER_MS


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase may take. The lease is counted from sending, less a margin."""

    lease_ms: int = 2000
    stage_ms: int = 1000
    commit_ms: int = 1000
    actuate_ms: int = 3000
    drain_ms: int = 5000
    withdraw_ms: int = 1000

    @property
    def safe_lease_ns(self) -> int:
        return self.lease_ms * NS_PER_MS * 3 // 4
