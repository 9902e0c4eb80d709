"""Transactions with routers: what each is about, by which answers find their generations. One may be about many."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from controller.core.circuits.generation import Generation
from digitalgrid.model import CircuitGeneration


@dataclass(slots=True, eq=False)
class Transaction:
    """``at``: of each router that is told of it, the generations that it is told of."""

    txn_id: int
    at: dict[str, list[Generation]]
    # Of those that are not gone.
    keys: set[CircuitGeneration]


class Transactions:
    """Each is known for as long as any of its generations is."""

    def __init__(self, first_id: int) -> None:
        self._next_id = first_id
        self._known: dict[int, Transaction] = {}

    def new_id(self) -> int:
        """For what no answer is waited for."""
        self._next_id += 1
        return self._next_id - 1

    def open(
        self, generations: Collection[Generation], at: dict[str, list[Generation]]
    ) -> Transaction:
        transaction = Transaction(self.new_id(), at, {each.key for each in generations})
        self._known[transaction.txn_id] = transaction
        for each in generations:
            each.txn_ids += (transaction.txn_id,)
        return transaction

    def new(self, generation: Generation) -> int:
        """The id of one that is about a single generation, at all its routers."""
        at = {router_id: [generation] for router_id in generation.route.router_ids}
        return self.open((generation,), at).txn_id

    def about(self, txn_id: int, router_id: str) -> list[Generation]:
        """Whom an answer of this router concerns; nobody where it is not known, or that router has no part in it."""
        transaction = self._known.get(txn_id)
        return transaction.at.get(router_id, []) if transaction is not None else []

    def close(self, txn_id: int, router_id: str = "") -> None:
        """What routers still answer, or this one, concerns nobody."""
        if not router_id:
            self._known.pop(txn_id, None)
        elif (transaction := self._known.get(txn_id)) is not None:
            transaction.at.pop(router_id, None)

    def forget(self, generation: Generation) -> None:
        """Nobody's answer concerns it any more."""
        for txn_id in generation.txn_ids:
            transaction = self._known.get(txn_id)
            if transaction is not None:
                transaction.keys.discard(generation.key)
                if not transaction.keys:
                    del self._known[txn_id]

    def unknown(self, txn_ids: Iterable[int]) -> Iterator[int]:
        """Those of them that are nobody's, in order."""
        return (each for each in sorted(txn_ids) if each not in self._known)
