"""Wiring of a leader's core: its parts, made and joined by name."""

from collections.abc import Callable
from dataclasses import dataclass

from controller.core.admission.admission import Admission
from controller.core.admission.alternatives import Alternatives
from controller.core.admission.preemption import Preemption
from controller.core.admission.proposals import Proposals
from controller.core.admission.protected import ProtectedAdmission
from controller.core.admission.standby_search import StandbySearch
from controller.core.book.book import CircuitBook
from controller.core.circuits.reservations import Reservations
from controller.core.effects import Effect
from controller.core.network.network import Network
from controller.core.optimising.dispatching import Dispatcher
from controller.core.optimising.making_room import RoomMaker
from controller.core.optimising.reoptimising import Reoptimiser
from controller.core.programming.forgetting import Forgetter
from controller.core.programming.programming import Programmer
from controller.core.programming.read_back import ReadBack
from controller.core.promises.curtailing import Curtailer
from controller.core.promises.draining import Drainer
from controller.core.promises.keeper import Keeper
from controller.core.promises.mover import Mover
from controller.core.promises.pairing import Pairer
from controller.core.promises.preempting import Preempter
from controller.core.promises.protector import Protector
from controller.core.promises.provisioning import Provisioner
from controller.core.promises.regaining import Regainer
from controller.core.settings import CoreSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What decides on the state that a core is given."""

    admission: Admission
    alternatives: Alternatives
    proposals: Proposals
    programmer: Programmer
    read_back: ReadBack
    forgetter: Forgetter
    mover: Mover
    curtailer: Curtailer
    regainer: Regainer
    preempter: Preempter
    protector: Protector
    pairer: Pairer
    provisioner: Provisioner
    keeper: Keeper
    drainer: Drainer
    dispatcher: Dispatcher
    reoptimiser: Reoptimiser
    room_maker: RoomMaker


def wire(
    *,
    network: Network,
    book: CircuitBook,
    reservations: Reservations,
    settings: CoreSettings,
    emit: Callable[[Effect], None],
    first_id: int,
    now_ns: int,
    calendar_ns: Callable[[int], int],
) -> Parts:
    """``first_id`` is the first of transactions and of reads: higher than any of an earlier term. ``calendar_ns`` says
    what calendar time an event has.
    """
    admission = Admission(reservations)
    programmer = Programmer(
        circuits=book.circuits,
        reservations=reservations,
        lateness=network.lateness,
        timeouts=settings.timeouts,
        emit=emit,
        first_txn_id=first_id,
        holds_pools=network.holds_pools,
    )
    read_back = ReadBack(
        live=book.live,
        programmer=programmer,
        emit=emit,
        interval_ns=settings.reconcile_interval_ns,
        first_read_id=first_id,
    )
    curtailer = Curtailer(book=book, reservations=reservations, view=lambda: admission.view)
    alternatives = Alternatives(admission)
    search = StandbySearch(admission)
    protector = Protector(
        circuits=book.live,
        reservations=reservations,
        admission=admission,
        search=search,
        programmer=programmer,
        next_admission_seq=book.next_admission_seq,
        persist=book.persist,
        note=book.audit.note,
        emit=emit,
    )
    mover = Mover(
        circuits=book.live,
        reservations=reservations,
        admission=admission,
        programmer=programmer,
        protector=protector,
        next_admission_seq=book.next_admission_seq,
        persist=book.persist,
        cut=curtailer.cut,
        last_resort=network.last_resort,
        emit=emit,
    )
    preempter = Preempter(
        book=book,
        admission=admission,
        preemption=Preemption(admission, book.live),
        mover=mover,
        protector=protector,
    )
    protected = ProtectedAdmission(admission, alternatives, search)
    provisioner = Provisioner(
        book=book,
        reservations=reservations,
        admission=admission,
        mover=mover,
        preempter=preempter,
        protected=protected,
        protector=protector,
        programmer=programmer,
        known_by_ns=now_ns + settings.starting_ns,
    )
    reoptimiser = Reoptimiser(
        book=book, reservations=reservations, admission=admission, mover=mover
    )
    regainer = Regainer(
        circuits=book.live,
        reservations=reservations,
        admission=admission,
        mover=mover,
        curtailer=curtailer,
    )
    pairer = Pairer(
        circuits=book.live,
        reservations=reservations,
        admission=admission,
        protected=protected,
        mover=mover,
        protector=protector,
        note=book.audit.note,
    )
    return Parts(
        admission=admission,
        alternatives=alternatives,
        proposals=Proposals(admission),
        programmer=programmer,
        read_back=read_back,
        forgetter=Forgetter(
            live=book.live, network=network, reservations=reservations, programmer=programmer
        ),
        mover=mover,
        curtailer=curtailer,
        regainer=regainer,
        preempter=preempter,
        protector=protector,
        pairer=pairer,
        provisioner=provisioner,
        keeper=Keeper(
            network=network,
            book=book,
            reservations=reservations,
            programmer=programmer,
            read_back=read_back,
            mover=mover,
            curtailer=curtailer,
            preempter=preempter,
            protector=protector,
            provisioner=provisioner,
            emit=emit,
        ),
        drainer=Drainer(
            circuits=book.live,
            network=network,
            reservations=reservations,
            admission=admission,
            mover=mover,
            protector=protector,
            read_back=read_back,
            audit=book.audit,
            persist=book.persist_drain,
            calendar_ns=calendar_ns,
            emit=emit,
        ),
        dispatcher=Dispatcher(
            book=book, reservations=reservations, admission=admission, provisioner=provisioner
        ),
        reoptimiser=reoptimiser,
        room_maker=RoomMaker(
            circuits=book.live,
            admission=admission,
            mover=mover,
            reoptimiser=reoptimiser,
            programmer=programmer,
            emit=emit,
        ),
    )
