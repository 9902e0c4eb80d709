"""Tells routers that a standby has become its circuit's working generation, once that is durable."""

from collections.abc import Callable, Iterable

from controller.core.circuits.generation import Generation
from controller.core.effects import Effect, Send
from controller.core.messages import Promote
from controller.core.programming.transactions import Transactions
from digitalgrid.model import CircuitGeneration


class Promotions:
    """Nobody waits for the answers: a router that did not hear is told again once it is read back."""

    def __init__(self, transactions: Transactions, emit: Callable[[Effect], None]) -> None:
        self._transactions = transactions
        self._emit = emit
        self._undurable: dict[CircuitGeneration, Generation] = {}

    def begin(self, generation: Generation) -> None:
        """Decided, and on its way to the store."""
        self._undurable[generation.key] = generation

    def made_durable(self, keys: Iterable[CircuitGeneration]) -> list[CircuitGeneration]:
        """Tell all routers of those that were waiting for this; which they are."""
        # Several changes that became durable at once may each have had it with them.
        durable = [key for key in dict.fromkeys(keys) if key in self._undurable]
        for key in durable:
            generation = self._undurable.pop(key)
            # From the sink, which has selected it already, towards the source.
            for router_id in reversed(generation.route.router_ids):
                self.tell(router_id, generation)
        return durable

    def tell(self, router_id: str, generation: Generation) -> None:
        txn_id = self._transactions.new_id()
        self._emit(Send(router_id, Promote(txn_id, (generation.key,))))

    def forget(self, key: CircuitGeneration) -> None:
        self._undurable.pop(key, None)
