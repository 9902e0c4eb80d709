"""A router of a rehearsal: does at once what it is told, and refuses nothing."""

from dataclasses import dataclass, field

from controller.core.messages import (
    Abort,
    CircuitTable,
    Commit,
    Drain,
    Promote,
    ReadTable,
    Stage,
    ToRouter,
    TransactionResult,
    Withdraw,
)
from digitalgrid.model import CircuitGeneration, HopSnapshot, Operation, ResultCode, StandbyPool

_OPERATIONS: dict[type[ToRouter], Operation] = {
    Commit: Operation.COMMIT,
    Drain: Operation.DRAIN,
    Withdraw: Operation.WITHDRAW,
    Promote: Operation.PROMOTE,
    Abort: Operation.ABORT,
    Stage: Operation.STAGE,
}


@dataclass
class PromptRouter:
    """``held`` is what it runs, by generation."""

    held: dict[CircuitGeneration, HopSnapshot] = field(default_factory=dict)
    staged: dict[int, Stage] = field(default_factory=dict)
    pools: dict[str, StandbyPool] = field(default_factory=dict)
    version: int = 0

    def apply(self, message: ToRouter) -> tuple[TransactionResult | CircuitTable, set[int]]:
        """The answer, and the circuits that it concerns."""
        self.version += 1
        concerned: set[int] = set()
        match message:
            case ReadTable(read_id):
                return self._table(read_id), concerned
            case Stage(txn_id):
                self.staged[txn_id] = message
            case Commit(txn_id):
                staged = self.staged.pop(txn_id, None)
                if staged is not None:
                    self.held.update((hop.key, hop) for hop in staged.hops)
                    self.pools.update((pool.link_id, pool) for pool in staged.pools)
                    concerned |= {hop.circuit_id for hop in staged.hops}
            case Abort(txn_id):
                self.staged.pop(txn_id, None)
            case Withdraw(_, keys):
                for key in keys:
                    self.held.pop(key, None)
                    concerned.add(key.circuit_id)
            case Promote(_, keys):
                for key in keys:
                    if key in self.held:
                        self.held[key] = self.held[key].promoted()
            case Drain(_, keys):
                concerned |= {key.circuit_id for key in keys}
        return TransactionResult(
            message.txn_id, _OPERATIONS[type(message)], ResultCode.OK
        ), concerned

    def _table(self, read_id: int) -> CircuitTable:
        pools = tuple(pool for pool in self.pools.values() if pool.received_power_w > 0.0)
        return CircuitTable(read_id, self.version, tuple(self.held.values()), pools=pools)
