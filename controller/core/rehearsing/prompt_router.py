"""A router of a rehearsal: does at once what it is told, and refuses nothing."""

from dataclasses import dataclass, field

from msgspec.structs import replace

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
from digitalgrid.model import CircuitGeneration, HopSnapshot, Operation, ResultCode

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
    staged: dict[int, tuple[HopSnapshot, ...]] = field(default_factory=dict)
    version: int = 0

    def apply(self, message: ToRouter) -> tuple[TransactionResult | CircuitTable, set[int]]:
        """The answer, and the circuits that it concerns."""
        self.version += 1
        concerned: set[int] = set()
        match message:
            case ReadTable(read_id):
                return CircuitTable(read_id, self.version, tuple(self.held.values())), concerned
            case Stage(txn_id, _, hops):
                self.staged[txn_id] = hops
            case Commit(txn_id):
                for hop in self.staged.pop(txn_id, ()):
                    self.held[hop.key] = hop
                    concerned.add(hop.circuit_id)
            case Abort(txn_id):
                self.staged.pop(txn_id, None)
            case Withdraw(_, keys):
                for key in keys:
                    self.held.pop(key, None)
                    concerned.add(key.circuit_id)
            case Promote(_, keys):
                for key in keys:
                    if key in self.held:
                        self.held[key] = replace(self.held[key], standby=False)
            case Drain(_, keys):
                concerned |= {key.circuit_id for key in keys}
        return TransactionResult(
            message.txn_id, _OPERATIONS[type(message)], ResultCode.OK
        ), concerned
