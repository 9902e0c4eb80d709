"""Transaction ids of one term, and the generation that each is about."""

from collections.abc import Iterable, Iterator

from controller.core.circuits.circuit import Generation


class Transactions:
    """Ids count up from ``first_id``; a generation that is gone takes its own along."""

    def __init__(self, first_id: int) -> None:
        self._next_id = first_id
        self._generations: dict[int, Generation] = {}

    def new(self, generation: Generation) -> int:
        txn_id = self.new_id()
        self._generations[txn_id] = generation
        generation.txn_ids.append(txn_id)
        return txn_id

    def new_id(self) -> int:
        """For what is about no generation that is known; nobody waits for its answer."""
        txn_id = self._next_id
        self._next_id += 1
        return txn_id

    def generation_of(self, txn_id: int) -> Generation | None:
        return self._generations.get(txn_id)

    def forget(self, generation: Generation) -> None:
        for txn_id in generation.txn_ids:
            self._generations.pop(txn_id, None)

    def unknown(self, txn_ids: Iterable[int]) -> Iterator[int]:
        """Those of them that are nobody's, in order."""
        return (each for each in sorted(txn_ids) if each not in self._generations)
