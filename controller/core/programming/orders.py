"""Orders: the one door to routers. Whatever they are told leaves here, and so does the question for their tables.

A session keeps its order: a table has all that its router was told before it was asked for it, and nothing of what it
was told afterwards. So what the router was told meanwhile is no difference, but under way.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Set

from controller.core.effects import Effect, Send
from controller.core.messages import Commit, Drain, Promote, ReadTable, ToRouter, Withdraw
from controller.core.programming.transactions import Transactions
from digitalgrid.model import CircuitGeneration


class Orders:
    """Sends, and notes of each table that is asked for of which generations its router was told since."""

    def __init__(self, transactions: Transactions, emit: Callable[[Effect], None]) -> None:
        self._transactions = transactions
        self._emit = emit
        # By router, and by the reading of its table.
        self._since: defaultdict[str, dict[int, set[CircuitGeneration]]] = defaultdict(dict)

    def send(self, router_id: str, message: ToRouter) -> None:
        if router_id in self._since:
            keys = self._concerned(router_id, message)
            for told in self._since[router_id].values():
                told.update(keys)
        self._emit(Send(router_id, message))

    def _concerned(self, router_id: str, message: ToRouter) -> Collection[CircuitGeneration]:
        """The generations of which the message changes what the router runs; what is only staged is not in a table."""
        match message:
            case Commit(txn_id):
                return [each.key for each in self._transactions.about(txn_id, router_id)]
            case Drain(_, circuits) | Withdraw(_, circuits) | Promote(_, circuits):
                return circuits
        return ()

    def ask(self, router_id: str, read_id: int) -> None:
        """For its table."""
        self._emit(Send(router_id, ReadTable(read_id)))
        self._since[router_id][read_id] = set()

    def told_since(self, router_id: str, read_id: int) -> Set[CircuitGeneration]:
        """The generations of which the router was told since it was asked; others come until the question is closed."""
        return self._since[router_id][read_id]

    def answered(self, router_id: str, read_id: int) -> None:
        """Its answer was compared, or does not count any more: the question is closed."""
        reads = self._since.get(router_id, {})
        reads.pop(read_id, None)
        if not reads:
            self._since.pop(router_id, None)
