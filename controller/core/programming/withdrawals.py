"""Withdrawals of one event, together: a router makes each durable before it answers, and many at once in one write."""

from collections.abc import Callable, Mapping

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import Generation
from controller.core.messages import Withdraw
from controller.core.programming.staging import MAX_GROUP
from controller.core.programming.transactions import Transactions
from digitalgrid.model import CircuitGeneration


class Withdrawals:
    """Generations whose routers are to be told that nothing of them may stay."""

    def __init__(
        self,
        circuits: Mapping[int, Circuit],
        transactions: Transactions,
        send: Callable[[str, Withdraw], None],
    ) -> None:
        self._circuits = circuits
        self._transactions = transactions
        self._send = send
        self._waiting: dict[CircuitGeneration, Generation] = {}

    def add(self, generation: Generation) -> None:
        self._waiting[generation.key] = generation

    def __contains__(self, key: CircuitGeneration) -> bool:
        return key in self._waiting

    def drop(self, key: CircuitGeneration) -> None:
        """No router holds anything of it any more."""
        self._waiting.pop(key, None)

    def tell(self) -> None:
        """To every router whose answer is waited for."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        for first in range(0, len(waiting), MAX_GROUP):
            group = waiting[first : first + MAX_GROUP]
            at: dict[str, list[Generation]] = {}
            for generation in group:
                # From the source to the sink.
                for router_id in generation.route.router_ids:
                    if router_id in generation.waiting_for:
                        at.setdefault(router_id, []).append(generation)
            txn_id = self._transactions.open(group, at).txn_id
            for generation in group:
                generation.txn_id = txn_id
            for router_id, some in at.items():
                keys = tuple(each.key for each in some)
                self._send(router_id, Withdraw(txn_id, keys, self._standing(router_id, keys)))

    def _standing(self, router_id: str, keys: tuple[CircuitGeneration, ...]) -> tuple[int, ...]:
        """Circuits that live on, and still are to end where this generation did."""
        circuits = [self._circuits.get(key.circuit_id) for key in keys]
        return tuple(
            each.circuit_id for each in circuits if each is not None and each.is_promised(router_id)
        )
