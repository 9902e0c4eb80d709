"""Repairs: what read-back finds missing on a router is programmed again, and what should not be there is taken away."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from controller.core.circuits.generation import Generation
from controller.core.messages import Abort, Commit, Stage, Withdraw
from controller.core.network.lateness import Lateness
from controller.core.programming.staging import MAX_GROUP
from controller.core.programming.transactions import Transactions
from controller.core.settings import Timeouts
from digitalgrid.model import CircuitGeneration
from digitalgrid.units import NS_PER_MS

# Stages of one router that are aborted after one reading of its table; the next finds the rest.
_MAX_ABORTS = 64


class Repairs:
    """Each concerns one router, which answers as it does to other mutations."""

    def __init__(
        self,
        transactions: Transactions,
        timeouts: Timeouts,
        lateness: Lateness,
        send: Callable[[str, Stage | Commit | Abort | Withdraw], None],
    ) -> None:
        self._transactions = transactions
        self._timeouts = timeouts
        self._lateness = lateness
        self._send = send

    def program(self, router_id: str, generations: Sequence[Generation], now_ns: int) -> None:
        """These hops are missing there: program them again, by themselves. A late router has longer for it."""
        patience_ns = self._lateness.patience_ns((router_id,), now_ns)
        lease_ms = self._timeouts.lease_ms + patience_ns // NS_PER_MS
        for first in range(0, len(generations), MAX_GROUP):
            group = list(generations[first : first + MAX_GROUP])
            txn_id = self._transactions.open(group, {router_id: group}).txn_id
            hops = tuple(each.hop_at(router_id) for each in group)
            self._send(router_id, Stage(txn_id, lease_ms, hops))
            self._send(router_id, Commit(txn_id))

    def remove(self, router_id: str, keys: tuple[CircuitGeneration, ...]) -> None:
        """Withdraw what read-back found and should not be there."""
        self._send(router_id, Withdraw(self._transactions.new_id(), keys))

    def abort_unknown(self, router_id: str, staged_txn_ids: Iterable[int]) -> None:
        """Abort stages that a router holds and nobody will commit, such as those of a leader that is gone, before their
        leases end.
        """
        for txn_id in islice(self._transactions.unknown(staged_txn_ids), _MAX_ABORTS):
            self._send(router_id, Abort(txn_id))
