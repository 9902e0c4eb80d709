"""What is overdue: whether an answer that did not come in time is late, as its router is, or will not come."""

from controller.core.circuits.generation import Generation, Phase
from controller.core.network.lateness import MAX_PATIENCE_NS, Lateness
from controller.core.settings import Timeouts
from digitalgrid.model import Operation
from digitalgrid.units import NS_PER_MS


def is_only_late(
    generation: Generation, lateness: Lateness, timeouts: Timeouts, now_ns: int
) -> bool:
    """Whether all that a generation waits for beyond its deadline may still come; bounded, see MAX_PATIENCE_NS."""
    if generation.phase is Phase.COMMITTED:
        # Power is measured by the sink, and passes through all.
        usual_ns = timeouts.actuate_ms * NS_PER_MS
        waited_ns = now_ns - generation.touched_ns
        return lateness.is_crowded(now_ns) and waited_ns < usual_ns + MAX_PATIENCE_NS
    return bool(generation.waiting_for) and not stopped(generation, lateness, timeouts, now_ns)


def stopped(
    generation: Generation, lateness: Lateness, timeouts: Timeouts, now_ns: int
) -> list[str]:
    """Routers whose answers are overdue and may not come any more, of those that a generation waits for."""
    withdrawing = generation.phase is Phase.WITHDRAWING
    operation = Operation.WITHDRAW if withdrawing else Operation.COMMIT
    usual_ns = (timeouts.withdraw_ms if withdrawing else timeouts.commit_ms) * NS_PER_MS
    # Where a lease was over by then it was asked anew, in a transaction of its own.
    asked = [(txn_id, operation) for txn_id in generation.txn_ids]
    return sorted(
        router_id
        for router_id in generation.waiting_for
        if not any(lateness.is_behind(router_id, each, usual_ns, now_ns) for each in asked)
    )
