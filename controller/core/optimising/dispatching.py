"""Serving many loads at once: the question as arrays for the solver, and its answer as circuits.

The solver takes a while and works on a copy. What it answers is admitted like any request, by the present view and
reservations: what no longer fits is routed anew or refused.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from controller.core.admission.admission import Admission
from controller.core.admission.refusals import cannot_end, load_limit_exceeded
from controller.core.book.book import CircuitBook
from controller.core.circuits import resources as resource
from controller.core.circuits.circuit import Circuit, Constraints, RefusedLoad
from controller.core.circuits.request import MIN_POWER_W, check_power, unknown
from controller.core.circuits.reservations import Reservations
from controller.core.circuits.route import Route
from controller.core.errors import Refusal, invalid
from controller.core.optimising.question import (
    Demand,
    DispatchAnswer,
    DispatchedRequest,
    DispatchOrder,
    DispatchQuestion,
    LoadOutcome,
)
from controller.core.promises.provisioning import Provisioner, rehearsal_keys, starting
from controller.routing.dispatch import DispatchProblem, PlannedCircuit
from controller.routing.paths.cspf import RELATIVE_TOLERANCE
from digitalgrid.model import CircuitGeneration
from digitalgrid.reasons import Reason
from digitalgrid.units import format_power, format_power_above


class Dispatcher:
    """Asks and admits dispatches."""

    def __init__(
        self,
        *,
        book: CircuitBook,
        reservations: Reservations,
        admission: Admission,
        provisioner: Provisioner,
    ) -> None:
        self._book = book
        self._reservations = reservations
        self._admission = admission
        self._provisioner = provisioner

    # The question

    def question(self, order: DispatchOrder, now_ns: int) -> DispatchQuestion:
        """Raises Refusal for ids that are not there, and for more than a load takes."""
        if not (order.demands or self._admission.view.loads) and self._provisioner.is_starting(
            now_ns
        ):
            # Every load: nobody knows yet of any.
            raise starting()
        with self._provisioner.excused_while_starting(now_ns):
            demands = self._demands(order)
            sources = self._sources(order)
        view, arrays = self._admission.view, self._admission.arrays
        arrays.sync()
        problem = DispatchProblem(
            arrays.graph.snapshot(),
            source_node=np.array([arrays.node(view.sources[each][0]) for each in sources]),
            source_max_w=np.array(list(sources.values())),
            load_node=np.array([arrays.node(view.loads[each][0]) for each in demands]),
            load_power_w=np.array(list(demands.values())),
            source_cost_per_mwh=np.array([view.sources[each][1].cost_per_mwh for each in sources]),
            source_carbon_kg_per_mwh=np.array(
                [view.sources[each][1].carbon_kg_per_mwh for each in sources]
            ),
            load_priority=np.array([view.loads[each][1].priority for each in demands]),
            load_value_per_mwh=np.array([view.loads[each][1].value_per_mwh for each in demands]),
            toll_per_mwh=np.array([view.links[each].cost_per_mwh for each in arrays.link_ids]),
            prices=order.prices,
        )
        return DispatchQuestion(
            problem, tuple(sources), tuple(demands), tuple(arrays.hops()), tuple(arrays.router_ids)
        )

    def _demands(self, order: DispatchOrder) -> dict[str, float]:
        """What each load is to be delivered beside what it has; loads that are away or have all only if named."""
        demands: dict[str, float] = {}
        for demand in order.demands:
            if demand.load_id in demands:
                raise invalid(
                    "demands",
                    Reason.LOAD_TWICE,
                    f"load {demand.load_id!r} is named twice; name it once",
                )
            demands[demand.load_id] = self._demand_w(demand)
        if not order.demands:
            missing = {load_id: self._missing_w(load_id) for load_id in self._admission.view.loads}
            demands = {
                load_id: missing_w
                for load_id, missing_w in missing.items()
                if missing_w >= MIN_POWER_W and self._usable(self._admission.view.loads[load_id][0])
            }
        return demands

    def _demand_w(self, demand: Demand) -> float:
        view = self._admission.view
        if demand.load_id not in view.loads:
            raise unknown("demands", "load", demand.load_id)
        router = view.routers[view.loads[demand.load_id][0]]
        if refusal := cannot_end(router, f"load {demand.load_id!r}", "demands"):
            raise refusal
        missing_w = self._missing_w(demand.load_id)
        if demand.power_w is None:
            return missing_w
        check_power(demand.power_w, "demands.power_w")
        if demand.power_w > missing_w * (1 + RELATIVE_TOLERANCE):
            limit_w = view.loads[demand.load_id][1].max_power_w
            raise load_limit_exceeded(demand.load_id, demand.power_w, limit_w - missing_w, limit_w)
        return demand.power_w

    def _missing_w(self, load_id: str) -> float:
        reserved_w = self._reservations.total(resource.load(load_id))
        return max(0.0, self._admission.view.loads[load_id][1].max_power_w - reserved_w)

    def _sources(self, order: DispatchOrder) -> dict[str, float]:
        for source_id in order.source_ids:
            if source_id not in self._admission.view.sources:
                raise unknown("source_ids", "source", source_id)
        available = self._admission.available_w(order.source_ids)
        return {source_id: power_w for source_id, power_w in available.items() if power_w > 0.0}

    def _usable(self, router_id: str) -> bool:
        return self._admission.view.routers[router_id].serves

    # The answer

    def retried(self, order: DispatchOrder) -> list[LoadOutcome]:
        """What became of this very order before; empty where nothing was made. Refusal where its id was used for
        another.
        """
        prefix = order.request_id_of("")
        expected = DispatchedRequest("", "", 0.0, order_fingerprint=order.fingerprint())
        outcomes: dict[str, LoadOutcome] = {}
        for load_id, fingerprint in self._book.requests_under(prefix):
            if "/" in load_id:
                # Of a longer request id; no load's id has a slash.
                continue
            request_id = order.request_id_of(load_id)
            if fingerprint != expected.fingerprint():
                raise _reused(request_id)
            circuits = self._book.of_request_id(request_id)
            outcomes[load_id] = LoadOutcome(request_id, load_id, tuple(circuits))
            for circuit in circuits:
                for each in circuit.refused_loads:
                    outcomes[each.load_id] = LoadOutcome(
                        order.request_id_of(each.load_id), each.load_id, refusal=each.refusal()
                    )
        rank = {demand.load_id: number for number, demand in enumerate(order.demands)}
        return sorted(outcomes.values(), key=lambda each: rank.get(each.load_id, 0))

    def admit(
        self,
        order: DispatchOrder,
        question: DispatchQuestion,
        answer: DispatchAnswer,
        now_ns: int,
        *,
        dry_run: bool = False,
    ) -> list[LoadOutcome]:
        """Make the circuits of a plan. Raises Refusal, with nothing reserved, where it leaves some of the demands
        unserved or does not fit any more; ``one_by_one`` refuses only the loads concerned.

        A dry run decides the same, and gives back what it has reserved.
        """
        if answer.unserved_w and not order.one_by_one:
            raise _not_all_served(answer)
        for load_id in question.load_ids:
            if self._book.of_request_id(order.request_id_of(load_id)):
                raise _reused(order.request_id_of(load_id))
        new_key = rehearsal_keys() if dry_run else self._provisioner.draw_key
        reservation = self._reserve(order, question, answer, new_key)
        circuits: dict[str, list[Circuit]] = {}
        if dry_run:
            self._provisioner.give_back([key for _, key, _ in reservation.held])
        else:
            circuits = self._launch(order, reservation, now_ns)
        held = reservation.by_load()
        return [
            LoadOutcome(
                order.request_id_of(load_id),
                load_id,
                circuits=tuple(circuits.get(load_id, ())),
                routes=tuple(held.get(load_id, ())),
                refusal=reservation.refusals.get(load_id),
            )
            for load_id in question.load_ids
        ]

    def _launch(
        self, order: DispatchOrder, reservation: "_Reservation", now_ns: int
    ) -> dict[str, list[Circuit]]:
        """Circuits of all that is reserved, by load."""
        fingerprint = order.fingerprint()
        requests = {
            load_id: DispatchedRequest(
                order.request_id_of(load_id),
                load_id,
                sum(route.power_w for route in routes),
                order.source_ids,
                allow_split=True,
                owner=order.owner,
                order_fingerprint=fingerprint,
            )
            for load_id, routes in reservation.by_load().items()
        }
        # For who asks again; one of the circuits remembers them.
        refused = tuple(
            RefusedLoad.of(load_id, refusal) for load_id, refusal in reservation.refusals.items()
        )
        circuits: dict[str, list[Circuit]] = {}
        # In the order of the plan: each pays for the loss that it adds to those before it.
        with self._book.together():
            for load_id, key, route in reservation.held:
                circuit = self._provisioner.launch(requests[load_id], key, route, now_ns)
                circuit.refused_loads, refused = refused, ()
                circuits.setdefault(load_id, []).append(circuit)
        return circuits

    def _reserve(
        self,
        order: DispatchOrder,
        question: DispatchQuestion,
        answer: DispatchAnswer,
        new_key: Callable[[], CircuitGeneration],
    ) -> "_Reservation":
        reservation = _Reservation()
        served = {question.load_ids[planned.load] for planned in answer.circuits}
        for load_id in answer.unserved_w.keys() - served:
            reservation.refusals[load_id] = _not_served(load_id, answer)
        for planned in answer.circuits:
            load_id = question.load_ids[planned.load]
            if load_id in reservation.refusals:
                continue
            route = self._route(order, question, planned)
            if route is not None:
                key = new_key()
                self._reservations.reserve(key, route)
                reservation.held.append((load_id, key, route))
                continue
            refusal = _outdated(load_id, planned.delivered_w)
            gone = reservation.held if not order.one_by_one else reservation.drop(load_id)
            self._provisioner.give_back([key for _, key, _ in gone])
            if not order.one_by_one:
                raise refusal
            reservation.refusals[load_id] = refusal
        return reservation

    def _route(
        self, order: DispatchOrder, question: DispatchQuestion, planned: PlannedCircuit
    ) -> Route | None:
        """As planned, or by another way where the network has changed since."""
        load_id = question.load_ids[planned.load]
        if load_id not in self._admission.view.loads:
            return None
        return self._admission.route_along(
            load_id,
            planned.delivered_w,
            question.source_ids[planned.source],
            [question.hops[arc] for arc in planned.arcs],
        ) or self._admission.route(load_id, planned.delivered_w, order.source_ids, Constraints())


@dataclass(slots=True)
class _Reservation:
    """What is held so far, in the order of admission, and the loads that get nothing."""

    held: list[tuple[str, CircuitGeneration, Route]] = field(default_factory=list)
    refusals: dict[str, Refusal] = field(default_factory=dict)

    def by_load(self) -> dict[str, list[Route]]:
        routes: dict[str, list[Route]] = {}
        for load_id, _, route in self.held:
            routes.setdefault(load_id, []).append(route)
        return routes

    def drop(self, load_id: str) -> list[tuple[str, CircuitGeneration, Route]]:
        """Take out what a load holds, and return it."""
        dropped = [each for each in self.held if each[0] == load_id]
        self.held = [each for each in self.held if each[0] != load_id]
        return dropped


def _reused(request_id: str) -> Refusal:
    return Refusal(
        Reason.REQUEST_ID_REUSED,
        f"request id {request_id!r} was used before for something else; use a new id, or repeat the"
        " dispatch unchanged",
        field="request_id",
        metadata={"request_id": request_id},
    )


def _not_all_served(answer: DispatchAnswer) -> Refusal:
    missing_w = sum(answer.unserved_w.values())
    return Refusal(
        Reason.NOT_ALL_SERVED,
        f"{format_power_above(missing_w)} of what was asked for cannot be served, at"
        f" {', '.join(sorted(answer.unserved_w))}; {_held_up(answer)}; ask for less, or load by load",
        metadata=_cut_metadata(answer) | {"unserved_w": repr(missing_w)},
    )


def _not_served(load_id: str, answer: DispatchAnswer) -> Refusal:
    return Refusal(
        Reason.NOT_SERVED,
        f"nothing is left for load {load_id!r}; {_held_up(answer, load_id)}",
        metadata=_cut_metadata(answer) | {"unserved_w": repr(answer.unserved_w[load_id])},
    )


def _held_up(answer: DispatchAnswer, load_id: str = "") -> str:
    of_all = (
        *answer.bottleneck_link_ids,
        *answer.bottleneck_source_ids,
        *answer.bottleneck_router_ids,
    )
    bounds = answer.cuts.get(load_id, of_all)
    return f"it is held up by {', '.join(bounds)}" if bounds else "no way leads there"


def _cut_metadata(answer: DispatchAnswer) -> dict[str, str]:
    return {
        "bottleneck_links": ",".join(answer.bottleneck_link_ids),
        "bottleneck_sources": ",".join(answer.bottleneck_source_ids),
        "bottleneck_routers": ",".join(answer.bottleneck_router_ids),
    }


def _outdated(load_id: str, power_w: float) -> Refusal:
    return Refusal(
        Reason.PLAN_OUTDATED,
        f"the network changed while the dispatch was computed: {format_power(power_w)} for load"
        f" {load_id!r} no longer fit; try again",
        metadata={"load_id": load_id},
    )
