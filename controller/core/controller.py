"""The leader's core: every event enters here, and leaves effects to be taken by the edge.

It has one caller, who passes the time in and carries the effects out: first those of one event, then the next. What
changes nothing is asked of :attr:`questions`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from controller.core.access import Call, judge
from controller.core.admission.alternatives import RoutePair
from controller.core.book.audit import admitted
from controller.core.circuits.circuit import Circuit
from controller.core.circuits.proposed import ProposedWay, RouteQuestion
from controller.core.circuits.request import PowerRequest
from controller.core.circuits.route import Route
from controller.core.errors import Refusal, unknown_router
from controller.core.leader import Leader
from controller.core.network.admin import DrainOrder
from controller.core.optimising.moves import (
    Move,
    ReoptimiseLimits,
    ReoptimiseQuestion,
    RoomQuestion,
)
from controller.core.optimising.question import (
    DispatchAnswer,
    DispatchOrder,
    DispatchQuestion,
    LoadOutcome,
)
from controller.core.promises.provisioning import Rehearsal, starting
from controller.routing.alternatives.disjoint import Disjointness
from controller.routing.assignments.reoptimise import Plan
from controller.routing.assignments.room import RoomPlan
from digitalgrid.garbage_collector import without_frames
from digitalgrid.places import Place
from digitalgrid.reasons import Reason

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Routers by the id of the read that each was asked for, and those that cannot be asked."""

    reads: dict[int, str]
    disconnected_ids: tuple[str, ...]


class Controller(Leader):
    """One digital grid in the hands of its leader: its link state, its circuits and its reservations."""

    # Clients: circuits

    def answer(
        self, call: Call, at_unix_ns: int, event: Callable[["Controller", int], T], now_ns: int
    ) -> T:
        """Take a client's event. Each is judged, audited and counted here; a Refusal passes on."""
        self._book.audit.begin(at_unix_ns)
        with self._book.audit.answer(call):
            judge(call.principal, call.action)
            return event(self, now_ns)

    def answer_requests(
        self, asked: Sequence[tuple[Call, PowerRequest]], at_unix_ns: int, now_ns: int
    ) -> list[list[Circuit] | Refusal]:
        """Several clients' requests in one event, each as by :meth:`answer`; what is refused is returned."""
        audit = self._book.audit
        audit.begin(at_unix_ns)
        with self._book.together():
            with audit.answer_many():
                decisions = self._decide(asked, now_ns)
            # Noted each by itself, with the reason.
            self._parts.preempter.displace(now_ns)
        self._settle(now_ns)
        return decisions

    def _decide(
        self, asked: Sequence[tuple[Call, PowerRequest]], now_ns: int
    ) -> list[list[Circuit] | Refusal]:
        verdicts = [_verdict(call) for call, _ in asked]
        allowed = [
            request
            for (_, request), verdict in zip(asked, verdicts, strict=True)
            if verdict is None
        ]
        decided = iter(self._parts.provisioner.request_batch(allowed, now_ns))
        decisions = [next(decided) if verdict is None else verdict for verdict in verdicts]
        for (call, _), decision in zip(asked, decisions, strict=True):
            if isinstance(decision, Refusal):
                self._book.audit.refuse(call, decision)
            else:
                self._book.audit.accept(call, admitted(decision))
        return decisions

    def note_refusal(self, call: Call, refusal: Refusal, at_unix_ns: int) -> None:
        """A call was refused on its way here, or between its steps."""
        self._book.audit.begin(at_unix_ns)
        self._book.audit.refuse(call, refusal)

    def request(self, request: PowerRequest, now_ns: int) -> list[Circuit]:
        """Admit a request; raises Refusal with nothing reserved. A retry gets the circuits that it made."""
        with self._book.together():
            circuits = self._parts.provisioner.request(request, now_ns)
            self._book.audit.conclude(admitted(circuits))
            self._parts.preempter.displace(now_ns)
        self._settle(now_ns)
        return circuits

    def request_batch(
        self, requests: Sequence[PowerRequest], now_ns: int
    ) -> list[list[Circuit] | Refusal]:
        """Each request by itself, in order: its circuits, or why it was refused."""
        with self._book.together():
            decisions = self._parts.provisioner.request_batch(requests, now_ns)
            self._parts.preempter.displace(now_ns)
        self._settle(now_ns)
        return decisions

    def compute(self, request: PowerRequest, now_ns: int) -> list[Route]:
        """The routes that :meth:`request` would reserve now."""
        return self.rehearse(request, now_ns).routes

    def rehearse(self, request: PowerRequest, now_ns: int) -> Rehearsal:
        """What :meth:`request` would do now, by the same code; nothing is reserved, and nobody displaced."""
        return self._parts.provisioner.rehearse(request, now_ns)

    def best_routes(
        self, request: PowerRequest, count: int, now_ns: int, circuit_id: int = 0
    ) -> list[Route]:
        """The best few routes for a request, each by itself; nothing is reserved. What a circuit holds is free."""
        self._parts.provisioner.check(request, now_ns)
        if circuit_id:
            self._book.get(circuit_id)
        return self._parts.alternatives.best(request, count, circuit_id)

    def ask_ways(
        self, requests: Sequence[PowerRequest], now_ns: int, circuit_id: int = 0
    ) -> RouteQuestion:
        """What routing algorithms are to be asked. Raises Refusal for what no state of the network could make right."""
        for request in requests:
            self._parts.provisioner.check(request, now_ns)
        if circuit_id:
            self._book.get(circuit_id)
        return self._parts.proposals.question(requests, circuit_id)

    def judge_way(
        self, request: PowerRequest, way: ProposedWay, now_ns: int, circuit_id: int = 0
    ) -> Route | str:
        """The route over a way that an algorithm proposes, or why it is none; nothing is reserved."""
        self._parts.provisioner.check(request, now_ns)
        return self._parts.proposals.judge(request, way, circuit_id)

    def disjoint(self, request: PowerRequest, kind: Disjointness, now_ns: int) -> RoutePair:
        """Two routes for a request with as little in common as can be; nothing is reserved."""
        self._parts.provisioner.check(request, now_ns)
        return self._parts.alternatives.pair(request, kind)

    def change(self, circuit_id: int, power_w: float, now_ns: int) -> Circuit:
        """Ask for another power: a new generation, made before the old one is broken."""
        with self._book.together():
            circuit = self._parts.provisioner.change(circuit_id, power_w, now_ns)
            self._book.audit.conclude(admitted([circuit]))
        self._settle(now_ns)
        return circuit

    def release(self, circuit_id: int, now_ns: int) -> Circuit:
        """Take a circuit down; a second release of the same circuit changes nothing."""
        with self._book.together():
            circuit = self._parts.provisioner.release(circuit_id, now_ns)
            self._book.audit.conclude("done")
        self._settle(now_ns)
        return circuit

    def activate(self, circuit_id: int, now_ns: int) -> Circuit:
        """Have a hold carry; a second activation changes nothing. Raises Refusal for one that has expired or ended."""
        with self._book.together():
            circuit = self._parts.holder.activate(circuit_id, now_ns)
            self._book.audit.conclude("activated")
        self._settle(now_ns)
        return circuit

    # Clients: many circuits at once

    def recall_dispatch(self, order: DispatchOrder) -> list[LoadOutcome]:
        """What this very order made before; empty where there was none."""
        outcomes = self._parts.dispatcher.retried(order)
        if outcomes:
            self._conclude_dispatch(outcomes)
        return outcomes

    def ask_dispatch(self, order: DispatchOrder, now_ns: int) -> DispatchQuestion:
        """What the solver is to be asked. Raises Refusal for ids that are not there, and for more than a load takes."""
        return self._parts.dispatcher.question(order, now_ns)

    def dispatch(
        self,
        order: DispatchOrder,
        question: DispatchQuestion,
        answer: DispatchAnswer,
        now_ns: int,
        *,
        dry_run: bool = False,
    ) -> list[LoadOutcome]:
        """Admit what the solver found for a question of :meth:`ask_dispatch`; see :meth:`Dispatcher.admit`."""
        with self._book.together():
            outcomes = self._parts.dispatcher.admit(
                order, question, answer, now_ns, dry_run=dry_run
            )
            self._conclude_dispatch(outcomes)
        self._settle(now_ns)
        return outcomes

    def _conclude_dispatch(self, outcomes: Sequence[LoadOutcome]) -> None:
        refused = sum(each.refusal is not None for each in outcomes)
        self._book.audit.conclude(
            admitted([each for one in outcomes for each in one.circuits]),
            f"{refused} loads refused" if refused else "",
        )

    def ask_reoptimise(self, now_ns: int, wait_to_restore_ns: int = 0) -> ReoptimiseQuestion | None:
        """What the solver is to be asked; None where no circuit could be moved."""
        restored_ids = self._network.restored_links(wait_to_restore_ns, now_ns)
        return self._parts.reoptimiser.question(restored_ids)

    def reoptimise(
        self,
        limits: ReoptimiseLimits,
        question: ReoptimiseQuestion,
        plan: Plan,
        now_ns: int,
        *,
        dry_run: bool,
    ) -> list[Move]:
        """Begin the moves of a plan that pay, or only look at them."""
        with self._book.together():
            restored_ids = self._network.restored_links(limits.wait_to_restore_ns, now_ns)
            moves = self._parts.reoptimiser.look(limits, question, plan, restored_ids)
            begun = [move for move in moves if not move.reason]
            ids = " ".join(str(move.circuit_id) for move in begun)
            self._book.audit.conclude(f"circuits moved: {ids or 'none'}")
            if not dry_run:
                moves = self._parts.reoptimiser.begin(moves)
        self._settle(now_ns)
        return moves

    def ask_room(self, now_ns: int) -> RoomQuestion | None:
        """What the solver is to be asked after a RoomWanted; None where no move could help those that wait."""
        return self._parts.room_maker.question(now_ns)

    def make_room(self, question: RoomQuestion, plan: RoomPlan, now_ns: int) -> list[Move]:
        """Begin the moves of a plan for a question of :meth:`ask_room`, as far as they fit by now."""
        with self._book.together():
            moves = self._parts.room_maker.begin(question, plan, now_ns)
        self._settle(now_ns)
        return moves

    def leave_room(self, now_ns: int) -> None:
        """There will be no answer to the question of :meth:`ask_room`."""
        self._parts.room_maker.give_up(now_ns)

    # Operators

    def reconcile(self, router_ids: Sequence[str], now_ns: int, *, dry_run: bool) -> Reconciliation:
        """Ask routers (none named: all that are known) for their tables; each answer, or its end, is a TableRead.

        What differs is repaired, but in a ``dry_run``. Raises Refusal for a router that nobody knows.
        """
        known = self._questions.known_router_ids()
        wanted = set(router_ids) or known
        for router_id in sorted(wanted - known):
            raise unknown_router("router_ids", router_id)
        self._book.audit.conclude("tables are read, and what differs is repaired")
        connected = sorted(key for key in wanted if self._network.is_connected(key))
        ask = self._parts.read_back.ask
        return Reconciliation(
            {ask(key, now_ns, dry_run=dry_run): key for key in connected},
            tuple(sorted(wanted.difference(connected))),
        )

    def abandon_reads(self, read_ids: Iterable[int]) -> None:
        self._parts.read_back.abandon(read_ids)

    def forget_router(self, router_id: str, now_ns: int) -> int:
        """Give up a router that never returns: how many hops of circuits that frees."""
        with self._book.together():
            if self._parts.provisioner.is_starting(now_ns):
                raise starting("the router may be on its way; ")
            held = self._parts.forgetter.check(router_id)
            self._book.audit.conclude(f"forgotten: {held} hops freed")
            # Circuits that must move now are noted each by itself.
            self._network.remove(router_id)
            self._store_owners()
            self._parts.drainer.forget_unknown()
            self._adopt_view(now_ns)
            self._parts.forgetter.forget(router_id, now_ns)
            self._settle(now_ns)
        return held

    def place_routers(self, places: Mapping[str, Place | None], now_ns: int) -> None:
        """Put routers on maps, over what they say of themselves; None: where they say. Refusal for an unknown one."""
        with self._book.together():
            for router_id in places:
                if not self._network.knows(router_id):
                    raise unknown_router("places", router_id)
            for router_id, at in places.items():
                self._network.lsdb.place(router_id, at)
            self._store_owners()
            self._book.audit.conclude(f"routers placed: {len(places)}")
            self._adopt_view(now_ns)
            self._settle(now_ns)

    def drain(self, order: DrainOrder, now_ns: int) -> bool:
        """Take a link or router out of service; False where it is already, which changes nothing.

        Raises Refusal for what nobody knows, and where circuits could never leave it.
        """
        with self._book.together():
            self._require_known(order.id, now_ns)
            changed = order.id not in self._network.admin.all
            if changed:
                self._begin_drain(order, now_ns)
            state = self._network.admin.state(order.id)
            self._book.audit.conclude(state.value if changed else f"{state.value} already")
            self._adopt_view(now_ns)
            self._settle(now_ns)
        return changed

    def undrain(self, id_: str, now_ns: int) -> None:
        """Put a link or router into service again; nothing moves back. Refusal for what is in service."""
        with self._book.together():
            if id_ not in self._network.admin.all:
                self._require_known(id_, now_ns)
                raise Refusal(
                    Reason.NOT_DRAINED,
                    f"{id_!r} is in service",
                    field="id",
                    metadata={"id": id_},
                )
            self._parts.drainer.undo(id_, now_ns)
            self._book.audit.conclude("in service")
            self._adopt_view(now_ns)
            self._settle(now_ns)

    def _begin_drain(self, order: DrainOrder, now_ns: int) -> None:
        try:
            self._parts.drainer.begin(order, now_ns)
        except Refusal as refusal:
            # The way that circuits lack may yet come, while routers are connecting.
            if self._parts.provisioner.is_starting(now_ns):
                raise starting(f"{refusal}; ", refusal) from refusal
            raise

    def _require_known(self, id_: str, now_ns: int) -> None:
        if self._network.knows_element(id_):
            return
        if self._parts.provisioner.is_starting(now_ns):
            raise starting()
        raise Refusal(
            Reason.UNKNOWN_ELEMENT,
            f"no link and no router {id_!r} is known; `dgctl topology` shows those that are",
            field="id",
            metadata={"id": id_},
        )


def _verdict(call: Call) -> Refusal | None:
    try:
        judge(call.principal, call.action)
    except Refusal as refusal:
        return without_frames(refusal)
    return None
