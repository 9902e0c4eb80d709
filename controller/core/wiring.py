"""Wiring of a leader's core: its parts, each made once, when another first asks for it, and joined by name."""

from collections.abc import Callable, Iterable
from functools import cached_property

from controller.core.admission.admission import Admission
from controller.core.admission.alternatives import Alternatives
from controller.core.admission.preemption import Preemption
from controller.core.admission.proposals import Proposals
from controller.core.admission.protected import ProtectedAdmission
from controller.core.admission.search_tally import SearchTally
from controller.core.admission.standby_search import StandbySearch
from controller.core.book.book import CircuitBook
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.reservations import Reservations
from controller.core.effects import Effect
from controller.core.network.network import Network
from controller.core.optimising.dispatching import Dispatcher
from controller.core.optimising.making_room import RoomMaker
from controller.core.optimising.reoptimising import Reoptimiser
from controller.core.programming.forgetting import Forgetter
from controller.core.programming.programming import Programmer
from controller.core.programming.read_back import ReadBack
from controller.core.promises.blame import note_lost_paths
from controller.core.promises.curtailing import Curtailer
from controller.core.promises.draining import Drainer
from controller.core.promises.holding import Holder
from controller.core.promises.keeper import Keeper
from controller.core.promises.lifetimes import Lifetimes
from controller.core.promises.mover import Mover
from controller.core.promises.pairing import Pairer
from controller.core.promises.preempting import Preempter
from controller.core.promises.protector import Protector
from controller.core.promises.provisioning import Provisioner
from controller.core.promises.regaining import Regainer
from controller.core.settings import CoreSettings


class Parts:
    """What decides on the state that a core is given.

    ``first_id`` is the first of transactions and of reads: higher than any of an earlier term. ``calendar_ns`` says
    what calendar time an event has.
    """

    def __init__(
        self,
        *,
        network: Network,
        book: CircuitBook,
        reservations: Reservations,
        settings: CoreSettings,
        emit: Callable[[Effect], None],
        first_id: int,
        now_ns: int,
        calendar_ns: Callable[[int], int],
    ) -> None:
        self._network = network
        self._book = book
        self._reservations = reservations
        self._settings = settings
        self._emit = emit
        self._first_id = first_id
        self._now_ns = now_ns
        self._known_by_ns = now_ns + settings.starting_ns
        self._calendar_ns = calendar_ns

    # Admission

    @cached_property
    def searches(self) -> SearchTally:
        return SearchTally(self._settings.stopwatch_ns)

    @cached_property
    def admission(self) -> Admission:
        return Admission(self._reservations, self.searches)

    @cached_property
    def alternatives(self) -> Alternatives:
        return Alternatives(self.admission)

    @cached_property
    def proposals(self) -> Proposals:
        return Proposals(self.admission)

    @cached_property
    def _standby_search(self) -> StandbySearch:
        return StandbySearch(self.admission)

    @cached_property
    def _protected(self) -> ProtectedAdmission:
        return ProtectedAdmission(self.admission, self.alternatives, self._standby_search)

    # Programming

    @cached_property
    def programmer(self) -> Programmer:
        return Programmer(
            circuits=self._book.circuits,
            reservations=self._reservations,
            lateness=self._network.lateness,
            timeouts=self._settings.timeouts,
            emit=self._emit,
            first_txn_id=self._first_id,
            holds_pools=self._network.holds_pools,
        )

    @cached_property
    def read_back(self) -> ReadBack:
        return ReadBack(
            live=self._book.live,
            programmer=self.programmer,
            emit=self._emit,
            interval_ns=self._settings.reconcile_interval_ns,
            first_read_id=self._first_id,
        )

    @cached_property
    def forgetter(self) -> Forgetter:
        return Forgetter(
            live=self._book.live,
            network=self._network,
            reservations=self._reservations,
            programmer=self.programmer,
        )

    # Promises

    @cached_property
    def curtailer(self) -> Curtailer:
        return Curtailer(
            book=self._book, reservations=self._reservations, view=lambda: self.admission.view
        )

    @cached_property
    def protector(self) -> Protector:
        return Protector(
            circuits=self._book.live,
            reservations=self._reservations,
            admission=self.admission,
            search=self._standby_search,
            programmer=self.programmer,
            next_admission_seq=self._book.next_admission_seq,
            persist=self._book.persist,
            note=self._book.audit.note,
            emit=self._emit,
        )

    @cached_property
    def mover(self) -> Mover:
        return Mover(
            circuits=self._book.live,
            reservations=self._reservations,
            admission=self.admission,
            programmer=self.programmer,
            protector=self.protector,
            next_admission_seq=self._book.next_admission_seq,
            persist=self._book.persist,
            cut=self.curtailer.cut,
            last_resort=self._network.last_resort,
            note_lost=self._note_lost,
            emit=self._emit,
        )

    def _note_lost(self, circuits: Iterable[Circuit]) -> None:
        at_unix_ns = self._book.audit.at_unix_ns
        note_lost_paths(self.admission.view, self._reservations, circuits, at_unix_ns)

    @cached_property
    def preempter(self) -> Preempter:
        return Preempter(
            book=self._book,
            admission=self.admission,
            preemption=Preemption(self.admission, self._book.live),
            mover=self.mover,
            protector=self.protector,
        )

    @cached_property
    def holder(self) -> Holder:
        return Holder(
            book=self._book,
            programmer=self.programmer,
            curtailer=self.curtailer,
            reservations=self._reservations,
            calendar_ns=self._calendar_ns,
            now_ns=self._now_ns,
        )

    @cached_property
    def _lifetimes(self) -> Lifetimes:
        return Lifetimes(book=self._book, calendar_ns=self._calendar_ns)

    @cached_property
    def provisioner(self) -> Provisioner:
        return Provisioner(
            book=self._book,
            reservations=self._reservations,
            admission=self.admission,
            mover=self.mover,
            preempter=self.preempter,
            protected=self._protected,
            protector=self.protector,
            holder=self.holder,
            lifetimes=self._lifetimes,
            programmer=self.programmer,
            known_by_ns=self._known_by_ns,
        )

    @cached_property
    def regainer(self) -> Regainer:
        return Regainer(
            circuits=self._book.live,
            reservations=self._reservations,
            admission=self.admission,
            mover=self.mover,
            curtailer=self.curtailer,
        )

    @cached_property
    def pairer(self) -> Pairer:
        return Pairer(
            circuits=self._book.live,
            reservations=self._reservations,
            admission=self.admission,
            protected=self._protected,
            mover=self.mover,
            protector=self.protector,
            note=self._book.audit.note,
        )

    @cached_property
    def keeper(self) -> Keeper:
        return Keeper(
            network=self._network,
            book=self._book,
            reservations=self._reservations,
            programmer=self.programmer,
            read_back=self.read_back,
            mover=self.mover,
            curtailer=self.curtailer,
            preempter=self.preempter,
            protector=self.protector,
            provisioner=self.provisioner,
            emit=self._emit,
        )

    @cached_property
    def drainer(self) -> Drainer:
        return Drainer(
            circuits=self._book.live,
            network=self._network,
            reservations=self._reservations,
            admission=self.admission,
            mover=self.mover,
            protector=self.protector,
            read_back=self.read_back,
            audit=self._book.audit,
            persist=self._book.persist_drain,
            calendar_ns=self._calendar_ns,
            emit=self._emit,
        )

    # Optimising

    @cached_property
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(
            book=self._book,
            reservations=self._reservations,
            admission=self.admission,
            provisioner=self.provisioner,
        )

    @cached_property
    def reoptimiser(self) -> Reoptimiser:
        return Reoptimiser(
            book=self._book,
            reservations=self._reservations,
            admission=self.admission,
            mover=self.mover,
        )

    @cached_property
    def room_maker(self) -> RoomMaker:
        return RoomMaker(
            circuits=self._book.live,
            admission=self.admission,
            mover=self.mover,
            reoptimiser=self.reoptimiser,
            programmer=self.programmer,
            emit=self._emit,
        )
