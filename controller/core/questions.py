"""Read model of the core: all that may be asked of it without changing it, in either role.

Whoever reads the core reads it here; whoever changes it does so by an event (:mod:`controller.core.controller`).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from types import MappingProxyType

from controller.core.access import Action
from controller.core.admission.search_tally import SearchTally
from controller.core.book.book import CircuitBook
from controller.core.book.bounds import Bound
from controller.core.circuits import resources as resource
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.records import StoredState
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.resources import Resource, link_direction
from controller.core.messages import CircuitStatus
from controller.core.network.admin import Block, DrainRecord
from controller.core.network.answers import AnswerTally
from controller.core.network.lateness import Late
from controller.core.network.lsdb import Heard
from controller.core.network.network import Network
from controller.core.network.owners import RefusedClaim
from controller.core.network.view import GridView
from controller.core.programming.programming import Programmer
from digitalgrid.model import CircuitGeneration, RouterLsa


class Questions:
    """Circuits, the topology with what is reserved in it, and what routers say of themselves.

    It answers from the state as it is at the time of each question. A core that takes another state over gives
    another instance, by which whoever keeps one notices.
    """

    def __init__(self, network: Network, book: CircuitBook, reservations: Reservations) -> None:
        self._network = network
        self._book = book
        self._reservations = reservations
        self._circuits = MappingProxyType(book.circuits)
        # Of whoever leads.
        self._programmer: Programmer | None = None
        self._searches: SearchTally | None = None

    def led_by(self, programmer: Programmer, searches: SearchTally) -> None:
        """Whoever leads answers too how much it has to do."""
        self._programmer, self._searches = programmer, searches

    # Circuits

    @property
    def circuits(self) -> Mapping[int, Circuit]:
        """All that are promised or remembered, by id."""
        return self._circuits

    @property
    def standing(self) -> Collection[Circuit]:
        """Circuits that have not ended, or of which a router may still hold something."""
        return self._book.live.values()

    def circuit(self, circuit_id: int) -> Circuit:
        """Refusal where nobody knows it."""
        return self._book.get(circuit_id)

    def circuits_of_request(self, request_id: str) -> list[Circuit]:
        """The circuits that a request made, as far as they are remembered."""
        return self._book.of_request_id(request_id)

    @property
    def answered(self) -> Mapping[tuple[Action, str], int]:
        """How many calls of clients were answered in this term, by action and reason of refusal, or ``DONE``."""
        return self._book.audit.answered

    def stored(self) -> StoredState:
        """What would be stored now, without circuits that have ended."""
        return StoredState(
            0,
            self._book.live_records(),
            self._book.counters,
            tuple(self._network.lsdb.owners.records()),
            tuple(self._network.admin.all.values()),
        )

    # What the core has to do

    @property
    def searches(self) -> SearchTally | None:
        """Searches for routes of this term; None where another leads."""
        return self._searches

    @property
    def refused_by(self) -> Mapping[Bound, int]:
        """How many requests of this term found no way, by what stood in it; some by several things."""
        return self._book.audit.refused_by

    @property
    def in_flight(self) -> int:
        """Generations that routers are told of just now."""
        return self._programmer.in_flight if self._programmer is not None else 0

    @property
    def queued(self) -> int:
        """Generations that wait for their turn to be told of."""
        return self._programmer.queued if self._programmer is not None else 0

    @property
    def answers(self) -> AnswerTally:
        """Routers' answers to what they were told, since this process began."""
        return self._network.answers

    @property
    def advertisements_heard(self) -> Mapping[Heard, int]:
        """Link-state advertisements that came, by what they were worth."""
        return self._network.lsdb.heard

    # Topology

    def advertisements(self) -> Iterator[RouterLsa]:
        """What counts of what routers with a session advertise."""
        return (
            each for each in self._network.lsdb.lsas() if self._network.is_connected(each.router_id)
        )

    @property
    def view(self) -> GridView:
        """The network as it was last looked at."""
        return self._network.last_view

    @property
    def lsdb_version(self) -> int:
        return self._network.lsdb.version

    def fresh_router_ids(self, now_ns: int) -> frozenset[str]:
        """Routers whose advertisement has not aged out."""
        return self._network.lsdb.fresh_router_ids(now_ns)

    def known_router_ids(self) -> set[str]:
        """Routers that advertise, and those that hold something without being heard of."""
        holding = {
            router_id
            for key in self._reservations.generations()
            for router_id in self._reservations.routers_holding(key)
        }
        return holding | self.view.routers.keys()

    def is_connected(self, router_id: str) -> bool:
        """Whether the router has a session, in step with what it advertises."""
        return self._network.is_connected(router_id)

    def connected_router_ids(self) -> set[str]:
        """All routers of which :meth:`is_connected` is true."""
        return self._network.in_step()

    def table_version(self, router_id: str) -> int:
        """Version of the router's circuit table when it was last read back in this session; 0 before that."""
        return self._network.table_version(router_id)

    def lateness(self, router_id: str, now_ns: int) -> Late:
        """By how much a router is late, and what waits for it; nothing where it keeps up."""
        return self._network.lateness.of(router_id, now_ns)

    def refused_claims(self, router_id: str) -> tuple[RefusedClaim, ...]:
        """What the router advertises, and others own."""
        return self._network.lsdb.owners.refused(router_id)

    def registered_router_ids(self) -> Set[str]:
        """Routers that have ever advertised anything, and were not forgotten."""
        return self._network.lsdb.owners.router_ids()

    def first_device(self, router_id: str) -> bytes:
        """Instance id of the device that was first to have this router id; empty where none is known."""
        return self._network.lsdb.owners.instance_of(router_id)

    def measured(self, key: CircuitGeneration, sink_router_id: str) -> tuple[CircuitStatus, ...]:
        """What its sink's router last said of one generation, its arrival first."""
        return self._network.measured_of(key, sink_router_id)

    # What operators take out of service

    @property
    def drains(self) -> Mapping[str, DrainRecord]:
        """Words on links and routers that are not in service, by id."""
        return self._network.admin.all

    def drain_blocks(self, id_: str) -> tuple[Block, ...]:
        """What keeps a drain from its end, as far as whoever leads has looked."""
        return self._network.admin.blocks.get(id_, ())

    # Reservations

    def reserved_on_link_a(self, link_id: str, from_router_id: str) -> float:
        """Reserved in one direction of a link (A)."""
        return self._reservations.total(link_direction(link_id, from_router_id))

    def pool_on_link_a(self, link_id: str, from_router_id: str) -> float:
        """Of that, what shared standbys have together (A)."""
        return self._reservations.pool(link_direction(link_id, from_router_id))

    def standby_on_link_a(self, link_id: str, from_router_id: str) -> float:
        """Of what is reserved there, what standbys and holds have, pools among it (A): nothing flows by it."""
        return self._reservations.standing_by(link_direction(link_id, from_router_id))

    def sharing_pool(self, link_id: str, from_router_id: str) -> list[int]:
        """Ids of the circuits whose standbys share it."""
        return self._reservations.sharing(link_direction(link_id, from_router_id))

    def link_shares(self) -> list[float]:
        """Of each link the share of its ampacity that is reserved, in the direction in which that is more."""
        most_a: dict[str, float] = {}
        for link_id, reserved_a in self._reservations.on_links():
            if reserved_a > most_a.get(link_id, 0.0):
                most_a[link_id] = reserved_a
        links = self.view.links.items()
        return [most_a.get(link_id, 0.0) / link.ampacity_a for link_id, link in links]

    def reserved_at_source_w(self, source_id: str) -> float:
        return self._reservations.total(resource.source(source_id))

    def standby_at_source_w(self, source_id: str) -> float:
        """Of that, what standbys and holds have, which the source does not give."""
        return self._reservations.standing_by(resource.source(source_id))

    def reserved_at_load_w(self, load_id: str) -> float:
        return self._reservations.total(resource.load(load_id))

    def held_at_load_w(self, load_id: str) -> float:
        """Of that, what holds have, which the load does not get."""
        return self._reservations.standing_by(resource.load(load_id))

    def reserved_through_w(self, router_id: str) -> float:
        """What may enter a router's converter for all circuits; 0 where that is not limited."""
        return self._reservations.total(resource.through(router_id))

    def circuits_on_link(self, link_id: str, *ends: str) -> list[int]:
        """Ids of the circuits that hold the link in either direction."""
        return self._reservations.circuits_on_link(link_id, *ends)

    def circuits_over(self, link_ids: Iterable[str]) -> set[int]:
        """Ids of the circuits that hold any of these links, whoever its ends are by now."""
        return self._reservations.circuits_over(link_ids)

    def reserved(self) -> dict[Resource, float]:
        """Everything that is held by anybody, and how much of it (A or W)."""
        return {each: self._reservations.total(each) for each in self._reservations.resources()}

    def recomputed(self, resource: Resource) -> float:
        """What is reserved as the sum of its circuits, for those who check the sums."""
        return self._reservations.recomputed(resource)

    def generations(self) -> Iterator[CircuitGeneration]:
        """Those that hold anything."""
        return self._reservations.generations()

    def routers_holding(self, key: CircuitGeneration) -> tuple[str, ...]:
        """Routers that are not known to have let go of a generation."""
        return self._reservations.routers_holding(key)
