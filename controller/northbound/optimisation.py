"""OptimisationService: dispatch of many loads at once, and re-optimisation of the circuits that stand."""

from dataclasses import replace

from google.rpc.code_pb2 import Code

from controller.computing.optimiser import Dispatched, Optimiser, Reoptimised
from controller.core.access import Action
from controller.core.circuits.request import PowerRequest
from controller.core.errors import invalid
from controller.core.optimising.moves import Move, ReoptimiseLimits
from controller.core.optimising.question import Demand, DispatchOrder, LoadOutcome, demanded
from controller.northbound.codec import (
    check_ids,
    circuit_to_pb,
    computed_to_pb,
    give_id,
    refused_to_pb,
)
from controller.northbound.principals import Caller, call_of, principal_of
from controller.routing.dispatch import Prices
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.northbound_pb2_grpc import OptimisationServiceServicer


class OptimisationService(OptimisationServiceServicer):
    """Translates; all decisions are the core's."""

    def __init__(self, optimiser: Optimiser) -> None:
        self._optimiser = optimiser

    async def Dispatch(self, request: pb.DispatchRequest, context: Caller) -> pb.DispatchResponse:
        give_id(request)
        order = _order(request, principal_of(context).name)
        call = call_of(
            context,
            Action.DISPATCH,
            order.request_id,
            demanded(order),
            rehearsal=request.dry_run,
        )
        done = await self._optimiser.dispatch(call, order)
        return _dispatched_to_pb(order, done)

    async def Reoptimise(
        self, request: pb.ReoptimiseRequest, context: Caller
    ) -> pb.ReoptimiseResponse:
        limits = _limits(request, self._optimiser.limits)
        asked = f"most_moves={limits.most_moves}, least_gain_fraction={limits.least_gain_fraction}"
        call = call_of(context, Action.REOPTIMISE, "all circuits", asked, rehearsal=request.dry_run)
        done = await self._optimiser.reoptimise(call, limits)
        return _reoptimised_to_pb(done)


def _order(message: pb.DispatchRequest, owner: str) -> DispatchOrder:
    check_ids("request_id", [message.request_id])
    check_ids("demands", [demand.load_id for demand in message.demands])
    check_ids("source_ids", message.source_ids)
    return DispatchOrder(
        message.request_id,
        tuple(
            Demand(demand.load_id, demand.power_w if demand.HasField("power_w") else None)
            for demand in message.demands
        ),
        tuple(dict.fromkeys(message.source_ids)),
        _prices(message.objective),
        one_by_one=_is_one_by_one(message.admission),
        owner=owner,
    )


def _is_one_by_one(value: int) -> bool:
    """Raises Refusal for a mode that this controller does not know."""
    modes: dict[int, bool] = {
        pb.ADMISSION_MODE_UNSPECIFIED: False,
        pb.ADMISSION_MODE_ALL_OR_NONE: False,
        pb.ADMISSION_MODE_ONE_BY_ONE: True,
    }
    if value not in modes:
        raise invalid(
            "admission",
            Reason.ADMISSION_MODE_UNKNOWN,
            f"this controller knows no mode of admission {value}",
        )
    return modes[value]


def _prices(message: pb.Objective) -> Prices:
    try:
        return Prices(
            generation_share=(
                message.generation_share if message.HasField("generation_share") else 1.0
            ),
            toll_share=message.toll_share if message.HasField("toll_share") else 1.0,
            carbon_per_kg=message.carbon_price_per_kg,
            loss_per_mwh=message.loss_price_per_mwh,
        )
    except ValueError as error:
        raise invalid("objective", Reason.OBJECTIVE_OUT_OF_RANGE, str(error)) from error


def _limits(message: pb.ReoptimiseRequest, usual: ReoptimiseLimits) -> ReoptimiseLimits:
    # Whoever asks knows which lines have just come back.
    limits = replace(usual, wait_to_restore_ns=0)
    if message.HasField("most_moves"):
        limits = replace(limits, most_moves=message.most_moves)
    if message.HasField("least_gain_fraction"):
        if not 0.0 <= message.least_gain_fraction <= 1.0:
            raise invalid(
                "least_gain_fraction",
                Reason.FRACTION_OUT_OF_RANGE,
                f"least_gain_fraction must lie between 0 and 1, not be {message.least_gain_fraction}",
            )
        limits = replace(limits, least_gain_fraction=message.least_gain_fraction)
    return limits


def _dispatched_to_pb(order: DispatchOrder, done: Dispatched) -> pb.DispatchResponse:
    message = pb.DispatchResponse(
        request_id=order.request_id, outcomes=[_outcome_to_pb(each) for each in done.outcomes]
    )
    if done.answer is None:
        message.note = "a retry: these circuits were admitted before"
        return message
    figures = done.answer.figures
    message.served_w = figures.served_w
    message.generated_w = figures.generated_w
    message.line_loss_w = figures.line_loss_w
    message.converter_loss_w = figures.converter_loss_w
    message.cost_per_h = figures.cost_per_h
    message.carbon_kg_per_h = figures.carbon_kg_per_h
    message.note = done.answer.note
    message.bottleneck_link_ids.extend(done.answer.bottleneck_link_ids)
    message.bottleneck_source_ids.extend(done.answer.bottleneck_source_ids)
    message.bottleneck_router_ids.extend(done.answer.bottleneck_router_ids)
    for load_id, power_w in done.answer.unserved_w.items():
        message.unserved.add(load_id=load_id, power_w=power_w)
    for router_id, price_per_mwh in done.answer.prices_per_mwh.items():
        message.prices.add(router_id=router_id, price_per_mwh=price_per_mwh)
    return message


def _outcome_to_pb(outcome: LoadOutcome) -> pb.BatchOutcome:
    if outcome.refusal is not None:
        return refused_to_pb(outcome.request_id, outcome.refusal)
    asked = PowerRequest(outcome.request_id, outcome.load_id, 0.0)
    return pb.BatchOutcome(
        code=Code.OK,
        request_id=outcome.request_id,
        circuits=(
            [circuit_to_pb(each) for each in outcome.circuits]
            or [computed_to_pb(asked, route) for route in outcome.routes]
        ),
    )


def _reoptimised_to_pb(done: Reoptimised) -> pb.ReoptimiseResponse:
    message = pb.ReoptimiseResponse(
        moves=[_move_to_pb(move) for move in done.moves], circuits=done.circuit_count
    )
    if done.plan is not None:
        message.loss_before_w = done.plan.before_w - done.delivered_w
        message.loss_after_w = done.plan.after_w - done.delivered_w
        message.loss_bound_w = done.plan.bound_w - done.delivered_w
    return message


def _move_to_pb(move: Move) -> pb.Move:
    return pb.Move(
        circuit_id=move.circuit_id,
        from_router_ids=move.old.router_ids,
        to_router_ids=move.new.router_ids if move.new else (),
        to_link_ids=[link.link_id for link in move.new.links] if move.new else (),
        gain_w=move.gain_w,
        moving=move.moving,
        reason=move.reason,
    )
