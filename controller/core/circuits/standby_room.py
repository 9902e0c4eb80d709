"""Standby room: what shared standbys may need of each resource, by the failure under which they would carry power.

``A[e][f]`` is the sum of what standbys take of resource ``e`` under failure ``f``, and the pool ``B[e]`` the largest of
these: no more is needed under any single failure. Amounts are whole numbers, so that sums are exact in any order, and
what is taken away again leaves nothing behind.
"""

from collections.abc import Collection, Hashable, Iterator
from typing import Generic, TypeVar

from controller.core.circuits.failures import Failure

Resource = TypeVar("Resource", bound=Hashable)


class StandbyRoom(Generic[Resource]):
    """``A`` and ``B`` of all resources; a change costs as much as it names failures, however many standbys there are.

    But where the largest of ``A[e]`` falls, those of its failures are looked through once.
    """

    def __init__(self) -> None:
        self._needed: dict[Resource, dict[Failure, int]] = {}
        self._pool: dict[Resource, int] = {}
        # Where any standby would carry power under a failure.
        self._resources: dict[Failure, dict[Resource, None]] = {}

    def add(self, resource: Resource, failures: Collection[Failure], amount: int) -> None:
        """A standby takes ``amount`` more under each of these failures."""
        if not (amount and failures):
            return
        needed = self._needed.setdefault(resource, {})
        for each in failures:
            needed[each] = needed.get(each, 0) + amount
            self._resources.setdefault(each, {})[resource] = None
        self._pool[resource] = max(
            [self._pool.get(resource, 0), *map(needed.__getitem__, failures)]
        )

    def remove(self, resource: Resource, failures: Collection[Failure], amount: int) -> None:
        """Take back what was added so."""
        if not (amount and failures):
            return
        needed, largest = self._needed[resource], False
        for each in failures:
            largest |= needed[each] == self._pool[resource]
            needed[each] -= amount
            if not needed[each]:
                self._forget(resource, each)
        if not needed:
            del self._needed[resource], self._pool[resource]
        elif largest:
            self._pool[resource] = max(needed.values())

    def pool(self, resource: Resource) -> int:
        """``B[e]``: the most that any single failure needs."""
        return self._pool.get(resource, 0)

    def needed(self, resource: Resource, failure: Failure) -> int:
        """``A[e][f]``."""
        return self._needed.get(resource, {}).get(failure, 0)

    def needed_under_any(self, failures: Collection[Failure]) -> dict[Resource, int]:
        """The most that one of these failures needs, of each resource of which it needs any."""
        most: dict[Resource, int] = {}
        for each in failures:
            for resource in self._resources.get(each, ()):
                amount = self._needed[resource][each]
                if amount > most.get(resource, 0):
                    most[resource] = amount
        return most

    def resources(self) -> Iterator[Resource]:
        return iter(self._needed)

    def failures(self) -> Iterator[Failure]:
        """Those under which any standby would carry power."""
        return iter(self._resources)

    def _forget(self, resource: Resource, failure: Failure) -> None:
        del self._needed[resource][failure]
        del self._resources[failure][resource]
        if not self._resources[failure]:
            del self._resources[failure]
