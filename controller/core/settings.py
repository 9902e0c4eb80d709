"""Settings of the core, and how long the steps of a circuit may take."""

from dataclasses import dataclass, field

from digitalgrid.units import NS_PER_MS, NS_PER_S


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


@dataclass(frozen=True, slots=True)
class CoreSettings:
    timeouts: Timeouts = field(default_factory=Timeouts)
    lsa_max_age_ns: int = 90 * NS_PER_S
    reconcile_interval_ns: int = 10 * NS_PER_S
    # Routers are still coming back to a daemon that has just started: what it does not know may exist.
    starting_ns: int = 0
