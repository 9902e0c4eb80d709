"""One digital grid as a controller knows it, whether it leads or stands by: what routers tell, and clients read."""

from abc import ABC, abstractmethod

from controller.core.book.book import CircuitBook
from controller.core.circuits.differences import Differences
from controller.core.circuits.reservations import Reservations
from controller.core.effects import Effect
from controller.core.messages import CircuitStatus, CircuitTable, TransactionResult
from controller.core.network.lsdb import LinkStateDatabase
from controller.core.network.network import Network
from controller.core.network.owners import RefusedClaim
from controller.core.network.view import GridView
from digitalgrid.model import RouterLsa


class Grid(ABC):
    """Takes the events of routers and time; leaves effects to be taken."""

    network: Network
    book: CircuitBook
    reservations: Reservations
    _effects: list[Effect]

    @property
    @abstractmethod
    def view(self) -> GridView:
        """The network as it stands."""

    @property
    def lsdb(self) -> LinkStateDatabase:
        return self.network.lsdb

    def is_connected(self, router_id: str) -> bool:
        """Whether the router has a session, in step with what it advertises."""
        return self.network.is_connected(router_id)

    def table_version(self, router_id: str) -> int:
        """Version of the router's circuit table when it was last read back in this session; 0 before that."""
        return self.network.table_version(router_id)

    @property
    def pending_effects(self) -> int:
        """How many wait to be taken."""
        return len(self._effects)

    @abstractmethod
    def take_effects(self) -> list[Effect]:
        """What the edge must do now, in order."""

    @abstractmethod
    def next_deadline_ns(self) -> int | None:
        """When :meth:`on_timer` must be called at the latest."""

    @abstractmethod
    def on_timer(self, now_ns: int) -> None: ...

    @abstractmethod
    def on_connected(self, router_id: str, now_ns: int, instance_id: bytes = b"") -> None:
        """A session begins, of the device with this instance id; one that it replaces has ended."""

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
    def on_table(self, router_id: str, table: CircuitTable, now_ns: int) -> Differences | None:
        """What was found and repaired; None for an answer that nobody waits for."""
