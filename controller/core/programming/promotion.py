"""Tells routers that a standby has become its circuit's working generation, once that is durable."""

from collections.abc import Callable, Iterable, Sequence

from controller.core.circuits.generation import Generation
from controller.core.messages import Promote, TransactionResult
from controller.core.programming.staging import MAX_GROUP
from controller.core.programming.transactions import Transactions
from digitalgrid.model import CircuitGeneration, ResultCode


class Promotions:
    """Those that become durable together are told together: a router turns over all that it carries for each message.

    Nobody waits for the answers: a router that did not hear is told again once it is read back.
    """

    def __init__(self, transactions: Transactions, send: Callable[[str, Promote], None]) -> None:
        self._transactions = transactions
        self._send = send
        self._undurable: dict[CircuitGeneration, Generation] = {}
        # Several in one message, by router and transaction, until they are answered.
        self._together: dict[tuple[str, int], Sequence[CircuitGeneration]] = {}

    def begin(self, generation: Generation) -> None:
        """Decided, and on its way to the store."""
        self._undurable[generation.key] = generation

    def made_durable(self, keys: Iterable[CircuitGeneration]) -> list[CircuitGeneration]:
        """Tell all routers of those that were waiting for this; which they are."""
        # Several changes that became durable at once may each have had it with them.
        durable = [key for key in dict.fromkeys(keys) if key in self._undurable]
        at: dict[str, list[CircuitGeneration]] = {}
        for key in durable:
            # From the sink, which has selected it already, towards the source.
            for router_id in reversed(self._undurable.pop(key).route.router_ids):
                at.setdefault(router_id, []).append(key)
        for router_id, told in at.items():
            for first in range(0, len(told), MAX_GROUP):
                self._tell(router_id, told[first : first + MAX_GROUP])
        return durable

    def tell(self, router_id: str, generation: Generation) -> None:
        self._tell(router_id, [generation.key])

    def _tell(self, router_id: str, keys: Sequence[CircuitGeneration]) -> None:
        txn_id = self._transactions.new_id()
        if len(keys) > 1:
            self._together[router_id, txn_id] = keys
        self._send(router_id, Promote(txn_id, tuple(keys)))

    def on_result(self, router_id: str, result: TransactionResult) -> None:
        """All or none: a router that lacks one of them has promoted none, and is told of each by itself."""
        keys = self._together.pop((router_id, result.txn_id), ())
        if result.code is not ResultCode.OK:
            for key in keys:
                self._tell(router_id, [key])

    def on_disconnected(self, router_id: str) -> None:
        """It answers nothing any more."""
        self._together = {
            place: keys for place, keys in self._together.items() if place[0] != router_id
        }

    def forget(self, key: CircuitGeneration) -> None:
        self._undurable.pop(key, None)
