"""Vacancy: whether any router holds a hop at a link or router, by what is reserved and by what routers say."""

from controller.core.circuits.reservations import Reservations
from controller.core.network.network import Network
from controller.core.programming.read_back import ReadBack
from digitalgrid.model import CircuitGeneration


class Vacancy:
    """Believes no book alone: a router that was away may hold what others have forgotten."""

    def __init__(self, network: Network, reservations: Reservations, read_back: ReadBack) -> None:
        self._network = network
        self._reservations = reservations
        self._read_back = read_back
        # Since when nothing is reserved there.
        self._since_ns: dict[str, int] = {}

    def held(self, id_: str) -> set[CircuitGeneration]:
        """The generations of which a router holds a hop there, by what is reserved."""
        return self._reservations.held_on(id_) | self._reservations.held_at((id_,))

    def routers_with_hops(self, id_: str) -> list[str]:
        """Routers that were last read to hold a hop there, booked or not."""
        found = []
        for router_id in sorted(self._network.routers_of(id_)):
            seen = self._read_back.seen(router_id)
            if seen is not None and (id_ in seen.link_ids or (router_id == id_ and seen.hops)):
                found.append(router_id)
        return found

    def confirmed(self, id_: str, now_ns: int, again_ns: int) -> bool:
        """Whether all routers that could hold a hop there say that they do not, asked since nothing is reserved.

        They are asked by this: at once, and who holds what nobody has booked again after ``again_ns``, for that is
        withdrawn meanwhile.
        """
        first = id_ not in self._since_ns
        since_ns = self._since_ns.setdefault(id_, now_ns)
        holding = self.routers_with_hops(id_)
        vacant = True
        for router_id in sorted(self._network.routers_of(id_)):
            seen = self._read_back.seen(router_id)
            old = seen is None or seen.sent_ns < since_ns
            if not old and router_id not in holding:
                continue
            vacant = False
            again = seen is not None and not old and now_ns - seen.sent_ns >= again_ns
            if (first or again) and self._network.is_connected(router_id):
                self._read_back.read(router_id, now_ns)
        return vacant

    def forget(self, id_: str) -> None:
        """Something is reserved there again, or nobody wants to know any more."""
        self._since_ns.pop(id_, None)
