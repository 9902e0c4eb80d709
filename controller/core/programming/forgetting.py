"""Gives up a router that never returns: what it held is free, and nobody waits for its answers any more."""

from collections.abc import Iterator, Mapping

from controller.core.circuits.circuit import Circuit
from controller.core.circuits.generation import Generation, Phase
from controller.core.circuits.reservations import Reservations
from controller.core.errors import Refusal, unknown_router
from controller.core.network.network import Network
from controller.core.programming.programming import Programmer
from digitalgrid.reasons import Reason


class Forgetter:
    """An operator's word stands for the answer of a router. If it comes back after all, what it runs is removed."""

    def __init__(
        self,
        *,
        live: Mapping[int, Circuit],
        network: Network,
        reservations: Reservations,
        programmer: Programmer,
    ) -> None:
        self._live = live
        self._network = network
        self._reservations = reservations
        self._programmer = programmer

    def check(self, router_id: str) -> int:
        """How many hops the router holds; Refusal for one that is alive, or that nobody knows."""
        if self._network.has_session(router_id):
            raise _refused(
                Reason.ROUTER_CONNECTED,
                router_id,
                f"router {router_id!r} is connected; forget only what has gone for good",
            )
        line_up = self._line_up(router_id)
        if line_up is not None:
            link_id, neighbor_id = line_up
            raise _refused(
                Reason.ROUTER_ALIVE,
                router_id,
                f"router {router_id!r} still carries power: {neighbor_id!r} hears it over link"
                f" {link_id!r}; stop it, or cut its lines, first",
            )
        held = sum(1 for _ in self._held_by(router_id))
        if not held and not self._network.knows(router_id):
            raise unknown_router("router_id", router_id)
        return held

    def long_absent(self, before_ns: int) -> list[str]:
        """Routers that were not heard of since then, hold nothing, and that no neighbour hears."""
        absent = self._network.absent_since(before_ns)
        if not absent:
            return []
        absent -= {
            router_id
            for key in self._reservations.generations()
            for router_id in self._reservations.routers_holding(key)
        }
        absent -= {
            link.neighbor_id
            for lsa in self._network.lsdb.lsas()
            if self._network.has_session(lsa.router_id)
            for link in lsa.links
            if link.up
        }
        return sorted(absent)

    def _line_up(self, router_id: str) -> tuple[str, str] | None:
        """A link over which a connected neighbour hears the router, and that neighbour."""
        for lsa in self._network.lsdb.lsas():
            if self._network.has_session(lsa.router_id):
                for link in lsa.links:
                    if link.up and link.neighbor_id == router_id:
                        return link.link_id, lsa.router_id
        return None

    def _held_by(self, router_id: str) -> Iterator[Generation]:
        for circuit in self._live.values():
            for generation in circuit.generations.values():
                if router_id in self._reservations.routers_holding(generation.key):
                    yield generation

    def forget(self, router_id: str, now_ns: int) -> None:
        """Free all that the router holds. Circuits that run over it must move."""
        for generation in list(self._held_by(router_id)):
            if generation.phase is Phase.DRAINING:
                self._programmer.withdraw(generation, now_ns)
            elif generation.phase is not Phase.WITHDRAWING:
                reason = f"router {router_id} was given up"
                self._programmer.fail(generation, now_ns, reason)
            # One that had not been committed is gone by now.
            if generation.phase is Phase.WITHDRAWING:
                self._programmer.let_go(router_id, generation, now_ns)
        self._programmer.pools.forget(router_id)


def _refused(reason: Reason, router_id: str, message: str) -> Refusal:
    return Refusal(
        reason,
        message,
        field="router_id",
        metadata={"router_id": router_id},
    )
