"""Reservations without some circuits: what there would be room for if these gave way."""

from collections.abc import Iterable

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import (
    Resource,
    ResourceKind,
    link_direction,
    load,
    source,
    through,
)


class Remainder(Reservations):
    """What all hold, and what is claimed, but for the circuits of :meth:`leave_out`."""

    def __init__(self, reservations: Reservations, claims: Reservations) -> None:
        super().__init__()
        self._ledgers = (reservations, claims)
        self._less: dict[Resource, float] = {}
        self._seen = (-1, -1)
        self._used: set[str] = set()
        self._other_links: set[str] = set()

    def leave_out(self, circuits: Iterable[Circuit]) -> None:
        """From now on these do not count."""
        before, self._less = self._less, {}
        for circuit in circuits:
            for resource, amount in self.amounts(circuit):
                self._less[resource] = self._less.get(resource, 0.0) + amount
        for resource in before.keys() | self._less.keys():
            if resource.kind is ResourceKind.LINK_DIRECTION:
                self._other_links.add(resource.id)

    def amounts(self, circuit: Circuit) -> list[tuple[Resource, float]]:
        """All that a circuit holds or claims, in ampere or watt."""
        generations = list(circuit.generations.values())
        reservations, claims = self._ledgers
        if len(generations) == 1 and not generations[0].freed:
            # The usual case, without looking each resource up: there may be ten thousands of circuits.
            route = generations[0].route
            amounts = [
                (link_direction(each.link_id, each.from_router_id), each.current_a)
                for each in route.links
            ]
            amounts.append((source(route.source_id), route.injected_w))
            amounts.append((load(route.sink_id), route.power_w))
            if self._limited:
                passed = zip(route.router_ids, route.entering_w, strict=True)
                amounts += [(through(at), power_w) for at, power_w in passed if at in self._limited]
            return amounts
        return [
            (resource, ledger.of_circuit(resource, circuit.circuit_id))
            for ledger in (reservations, claims)
            for resource in ledger.held_by_circuit(circuit.circuit_id)
        ]

    def total(self, resource: Resource) -> float:
        held = sum(ledger.total(resource) for ledger in self._ledgers)
        return max(0.0, held - self._less.get(resource, 0.0))

    def of_circuit(self, resource: Resource, circuit_id: int) -> float:
        return sum(ledger.of_circuit(resource, circuit_id) for ledger in self._ledgers)

    def held_by_circuit(self, circuit_id: int) -> set[Resource]:
        first, second = (ledger.held_by_circuit(circuit_id) for ledger in self._ledgers)
        return first | second

    def limit(self, router_ids: frozenset[str]) -> None:
        """What passes these routers is reckoned by the ledgers themselves."""
        self._limited = router_ids

    def take_changed_routers(self) -> set[str]:
        """All that are limited: there are few, and who is left out changes with every question."""
        return set(self._limited)

    def take_changed_links(self) -> set[str]:
        """Links of those who were left out, then or now; all that are used, where anything was taken or freed since."""
        changed, self._other_links = self._other_links, set()
        seen = (self._ledgers[0].changes, self._ledgers[1].changes)
        if seen != self._seen:
            self._seen, before = seen, self._used
            self._used = {
                each.id
                for ledger in self._ledgers
                for each in ledger.resources()
                if each.kind is ResourceKind.LINK_DIRECTION
            }
            changed |= before | self._used
        return changed
