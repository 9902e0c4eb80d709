"""What routers say of generations: results of transactions, and what sinks measure."""

from controller.core.circuits.generation import COMMITTED_PHASES, Generation, Phase, Role
from controller.core.messages import CircuitStatus, TransactionResult
from controller.core.network.lateness import Lateness
from controller.core.programming.promotion import Promotions
from controller.core.programming.staging import Staging
from controller.core.programming.steps import COMMITS, Steps
from controller.core.programming.transactions import Transactions
from digitalgrid.model import FlowState, Operation, ResultCode


class Answers:
    """Takes each answer to the generations that it concerns."""

    def __init__(
        self,
        *,
        steps: Steps,
        transactions: Transactions,
        staging: Staging,
        promotions: Promotions,
        lateness: Lateness,
    ) -> None:
        self._steps = steps
        self._transactions = transactions
        self._staging = staging
        self._promotions = promotions
        self._lateness = lateness

    def on_result(self, router_id: str, result: TransactionResult, now_ns: int) -> None:
        operation = result.operation
        if operation is Operation.PROMOTE:
            self._promotions.on_result(router_id, result)
            return
        if result.code is not ResultCode.OK and operation in (Operation.STAGE, Operation.COMMIT):
            self._steps.pools.came_to_nothing(router_id, result.txn_id)
        if result.code is ResultCode.OK:
            self._on_done(router_id, result, now_ns)
        elif operation is Operation.DRAIN:
            for generation in self._transactions.about(result.txn_id, router_id):
                if generation.phase is Phase.DRAINING:
                    self._steps.withdraw(generation, now_ns)
        elif operation in (Operation.STAGE, Operation.COMMIT) and not self._staging.on_refused(
            router_id, result, now_ns
        ):
            self._on_refused(router_id, result, now_ns)
        # A withdrawal that is refused stays held, and is asked for again at its deadline.

    def _on_done(self, router_id: str, result: TransactionResult, now_ns: int) -> None:
        if result.operation is Operation.STAGE:
            self._staging.on_staged(router_id, result.txn_id, now_ns)
            return
        if result.operation is Operation.COMMIT:
            self._steps.pools.on_committed(router_id, result.txn_id)
        ended = {each.key: each for each in result.ended}
        for generation in self._transactions.about(result.txn_id, router_id):
            if result.operation is Operation.COMMIT and generation.phase in COMMITS:
                self._steps.answered(router_id, generation, now_ns)
            elif result.operation is Operation.WITHDRAW and generation.phase is Phase.WITHDRAWING:
                generation.hear_final(router_id, ended.get(generation.key))
                self._steps.free(router_id, generation)
                self._steps.answered(router_id, generation, now_ns)

    def _on_refused(self, router_id: str, result: TransactionResult, now_ns: int) -> None:
        """A commit or a repair: of several the router did none, and does those that it can one by one."""
        concerned = [
            each
            for each in self._transactions.about(result.txn_id, router_id)
            if each.phase in COMMITTED_PHASES
        ]
        # A lease that was over when the commit came to a late router is no word against the hop.
        expired = result.code is ResultCode.LEASE_EXPIRED and self._lateness.is_crowded(now_ns)
        if len(concerned) > 1 or expired:
            self._transactions.close(result.txn_id, router_id)
            for generation in concerned:
                self._steps.repairs.program(router_id, [generation], now_ns)
            return
        for generation in concerned:
            reason = f"router {router_id} refused {result.operation.name.lower()}: {result.message}"
            permanent = result.code is ResultCode.INVALID_HOP
            self._steps.give_up(generation, now_ns, reason, router_id, permanent)

    def on_status(self, status: CircuitStatus, now_ns: int) -> None:
        generation = self._steps.find(status.key)
        if generation is None:
            return
        if status.state is FlowState.DRAINED:
            self._on_drained(generation, now_ns)
        elif generation.role is Role.STANDBY:
            # What its sink does with it is told by SWITCHED, and makes it a working one.
            return
        elif status.state is FlowState.ACTUATED or self._is_late_word(generation, status):
            self._steps.on_actuated(generation, now_ns)
        elif status.state is FlowState.STARVED:
            self._steps.on_starved(generation)

    def _is_late_word(self, generation: Generation, status: CircuitStatus) -> bool:
        """Its sink says that it runs what was adopted without its word; what else it had to say came before that."""
        runs = status.state is FlowState.SWITCHED
        return runs and generation.phase is Phase.COMMITTED

    def _on_drained(self, generation: Generation, now_ns: int) -> None:
        """Its sink wants nothing of it any more, whoever told it so: of one that was to carry another is made."""
        if generation.phase is Phase.DRAINING:
            self._steps.withdraw(generation, now_ns)
        elif generation.phase in COMMITTED_PHASES:
            self._steps.give_up(
                generation, now_ns, "its sink was told to let go of it by a former controller"
            )
