"""What a core does in either role, leading or standing by: it takes what routers tell, and answers questions."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable

from controller.core.book.book import CircuitBook
from controller.core.circuits.differences import Differences
from controller.core.circuits.reservations import Reservations
from controller.core.effects import Effect
from controller.core.messages import CircuitStatus, CircuitTable, TransactionResult
from controller.core.network.network import Network
from controller.core.network.owners import RefusedClaim
from controller.core.questions import Questions
from digitalgrid.capabilities import UNSAID, Capability
from digitalgrid.model import RouterLsa


class Core(ABC):
    """Takes the events of routers and time; leaves effects to be taken. Nothing else changes it."""

    def __init__(
        self,
        network: Network,
        book: CircuitBook,
        reservations: Reservations,
        effects: list[Effect],
    ) -> None:
        self._effects = effects
        self._network = network
        self._book = book
        self._reservations = reservations
        self._questions = Questions(network, book, reservations)

    @property
    def questions(self) -> Questions:
        """All that may be asked without changing anything."""
        return self._questions

    def begin(self, at_unix_ns: int, now_ns: int) -> None:
        """An event comes in, at this time by the calendar: entries of the audit log say so."""
        self._book.audit.begin(at_unix_ns)

    @property
    def pending_effects(self) -> int:
        """How many wait to be taken."""
        return len(self._effects)

    def drop_effects(self) -> None:
        """Of an event that failed half-way nothing is carried out."""
        self._effects.clear()

    def take_effects(self) -> list[Effect]:
        """What the edge must do now, in order."""
        effects = self._effects[:]
        self._effects.clear()
        return effects

    @abstractmethod
    def next_deadline_ns(self) -> int | None:
        """When :meth:`on_timer` must be called at the latest."""

    @abstractmethod
    def on_timer(self, now_ns: int) -> None: ...

    @abstractmethod
    def on_connected(
        self,
        router_id: str,
        now_ns: int,
        instance_id: bytes = b"",
        capabilities: Collection[Capability] = UNSAID,
    ) -> None:
        """A session begins, of the device with this instance id, which can do this; one that it replaces has ended."""

    @abstractmethod
    def on_disconnected(self, router_id: str, now_ns: int) -> None: ...

    @abstractmethod
    def on_lsa(self, lsa: RouterLsa, now_ns: int) -> tuple[RefusedClaim, ...] | None:
        """What of it belongs to others, and does not count; None where that is as it was told last."""

    @abstractmethod
    def on_sync_done(self, router_id: str, now_ns: int) -> None:
        """The router has told all that it had to tell at the start of its session."""

    @abstractmethod
    def on_result(self, router_id: str, result: TransactionResult, now_ns: int) -> None: ...

    @abstractmethod
    def on_status(self, router_id: str, status: CircuitStatus, now_ns: int) -> None: ...

    @abstractmethod
    def awaits_table(self, router_id: str, read_id: int) -> bool:
        """Whether the router was asked for its table under this id."""

    @abstractmethod
    def on_table_slice(
        self, router_id: str, table: CircuitTable, now_ns: int
    ) -> Differences | None:
        """A slice of it is compared and repaired: what was found until now. To be called again with the same table,
        others being heard meanwhile, until that is ``whole``. None for an answer that nobody waits for (any more).
        """

    def on_table(self, router_id: str, table: CircuitTable, now_ns: int) -> Differences | None:
        """All slices at once, where nobody else is to be heard meanwhile."""
        while True:
            found = self.on_table_slice(router_id, table, now_ns)
            if found is None or found.whole:
                return found

    @abstractmethod
    def abandon_reads(self, read_ids: Iterable[int]) -> None:
        """Nobody waits any more for the tables that were asked for with these ids."""
