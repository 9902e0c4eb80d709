"""The controller, asked by a market: holds, activations, releases, registers and the network, by its public API."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from math import ceil, floor, inf, isfinite
from typing import TypeVar

from digitalgrid.client.aio import AsyncPowerClient
from digitalgrid.client.errors import ControllerUnreachable, PowerError
from digitalgrid.reasons import Reason
from digitalgrid.units import NS_PER_MS
from digitalgrid.v1 import northbound_pb2 as pb
from trading.core.attribution import Cause, Missed
from trading.core.orders import PPM
from trading.core.readings import Ends, Reading, most_register
from trading.core.trades import (
    Activate,
    Activated,
    AskMeters,
    Delivery,
    Held,
    Hold,
    HoldLost,
    Read,
    Refusal,
    Release,
    Released,
    Times,
    Trade,
    Watched,
)
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule, power_w
from trading.exchange.config import MeterConfig
from trading.exchange.market_network import network_of
from trading.exchange.ports import Unreachable
from trading.mechanisms.network import MarketNetwork
from trading.reasons import MarketReason

_log = logging.getLogger(__name__)
T = TypeVar("T")

# For one call (s): a controller that leads answers within a tenth, or a second for the topology of a large network on a
# busy machine; who waits longer for a hold has given it up.
_TIMEOUT_S = 3.0
# How long a release waits for the routers to let go (s), before the trade is told to ask again.
_LET_GO_S = 2.0
# How long after its interval a circuit ends by itself, should nobody release it (ns): the exchange does so at the end,
# and is late for thousands, or its clock is behind; what flows meanwhile nobody has bought.
_OVERRUN_NS = 5_000_000_000
# How long (s) tolls are taken for those that lines have: they are advertised with the lines, and seldom change.
_TOLLS_FRESH_S = 30.0
# Micro per kWh in a currency per MWh.
_MICRO_PER_KWH = 1_000.0
# What may be lost beyond what was planned, as far as it is paid for: what readings may differ from the formula by.
_LOSS_TOLERANCE = 1.005
_ENDED = (pb.CIRCUIT_STATE_WITHDRAWN, pb.CIRCUIT_STATE_FAILED)
_CURTAILED = (pb.CIRCUIT_STATE_DEGRADED, pb.CIRCUIT_STATE_WAITING)
_GONE = (Reason.HOLD_EXPIRED, Reason.UNKNOWN_CIRCUIT, Reason.CIRCUIT_ENDED)
# By what the controller saw. What nothing explains is nobody's here: what no other has caused is the seller's.
_CAUSES: Mapping[int, Cause] = {
    pb.SHORT_CAUSE_START: Cause.LATE_START,
    pb.SHORT_CAUSE_LINK_DOWN: Cause.LINK_DOWN,
    pb.SHORT_CAUSE_LINK_SHORT: Cause.LINK_DOWN,
    pb.SHORT_CAUSE_ROUTER_DOWN: Cause.ROUTER_DOWN,
    pb.SHORT_CAUSE_SOURCE_SHORT: Cause.SOURCE_SHORT,
    pb.SHORT_CAUSE_PREEMPTED: Cause.PREEMPTED,
    pb.SHORT_CAUSE_OPERATOR: Cause.OPERATOR,
    pb.SHORT_CAUSE_MOVE: Cause.OPERATOR,
    pb.SHORT_CAUSE_SINK_REFUSED: Cause.SINK_REFUSED,
}


class ControllerPort:
    """``meters`` say of each what power comes from and goes to; ``addresses`` are one controller's, or a cluster's.
    Circuits are watched whose requests have ids that begin with ``prefix``.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        meters: Mapping[str, MeterConfig],
        times: Times,
        prefix: str = "",
    ) -> None:
        self._client = AsyncPowerClient(",".join(addresses), timeout_s=_TIMEOUT_S)
        self._meters = meters
        self._times = times
        self._prefix = prefix
        self._tolls: dict[str, float] = {}
        self._tolls_learnt_s = -inf
        # By request id: whoever waits for its circuits to have ended.
        self._ending: dict[str, asyncio.Event] = {}
        # Calls for holds that are on their way, by request id: a release of the same looks for what they have made.
        self._holding: dict[str, asyncio.Event] = {}
        # Since when (Unix ns) it has not answered; 0 while it does.
        self.lost_unix_ns = 0

    async def close(self) -> None:
        await self._client.close()

    async def hold(self, asked: Hold, trade: Trade) -> Held | Refusal:
        request = self._request(asked, trade)
        if isinstance(request, Refusal):
            return request
        made = self._holding[asked.key] = asyncio.Event()
        try:
            answer = await self._asked(self._client.request_power(request))
        finally:
            made.set()
            del self._holding[asked.key]
        if isinstance(answer, Refusal):
            return answer
        if not answer.circuits:
            return Refusal(Reason.HOLD_EXPIRED.value, "the controller has forgotten its circuit")
        circuit = answer.circuits[0]
        if circuit.state in _ENDED or circuit.hold.state == pb.HOLD_STATE_EXPIRED:
            return Refusal(Reason.HOLD_EXPIRED.value, circuit.reason)
        await self._learn_tolls(circuit)
        return self._held(circuit, trade)

    def _request(self, asked: Hold, trade: Trade) -> pb.PowerRequest | Refusal:
        source = self._meters.get(asked.source_meter)
        sink = self._meters.get(asked.sink_meter)
        if source is None or sink is None:
            gone = asked.source_meter if source is None else asked.sink_meter
            return Refusal(MarketReason.METER_GONE.value, f"meter {gone} is not registered")
        constraints = asked.constraints
        request = pb.PowerRequest(
            request_id=asked.key,
            sink_id=sink.load,
            source_ids=[source.source],
            power_w=power_w(asked.wh, asked.interval.length_ns),
            hold=pb.Hold(ttl_ms=self._ttl_ms(asked, trade)),
            constraints=pb.Constraints(avoid_ids=constraints.avoid_ids),
            until_unix_ns=asked.interval.end_ns + _OVERRUN_NS,
        )
        if constraints.max_loss_ppm is not None:
            request.constraints.max_loss_fraction = constraints.max_loss_ppm / PPM
        if asked.path:
            request.explicit_route.link_ids.extend(asked.path)
        return request

    def _ttl_ms(self, asked: Hold, trade: Trade) -> int:
        """From when holding began: the same each time it is asked, or it would be another request."""
        until_ns = asked.interval.start_ns if trade.until_ns is None else trade.until_ns
        return ceil((asked.until_ns - until_ns + self._times.hold_ns) / NS_PER_MS)

    async def _learn_tolls(self, circuit: pb.Circuit) -> None:
        """A trade keeps the tolls of when its circuit was held."""
        is_old = time.monotonic() - self._tolls_learnt_s > _TOLLS_FRESH_S
        if is_old or any(link.link_id not in self._tolls for link in circuit.links):
            await self._topology()

    def _held(self, circuit: pb.Circuit, trade: Trade) -> Held | Refusal:
        """Tolls are rounded down: they are the operator's, who gains by them."""
        toll = sum(self._tolls.get(each.link_id, 0.0) * each.received_w for each in circuit.links)
        toll_price = toll / circuit.power_w * _MICRO_PER_KWH
        lost_mj = (circuit.injected_w - circuit.power_w) * trade.interval.length_ns / NS_PER_MS
        if not (isfinite(toll_price) and isfinite(lost_mj)):
            return Refusal(
                MarketReason.PATH_OUT_OF_RANGE.value,
                f"tolls of the path come to {toll_price:g} micro per kWh, its losses to {lost_mj:g} mJ",
            )
        return Held(
            str(circuit.circuit_id),
            max(PPM, round(circuit.injected_w / circuit.power_w * PPM)),
            MicroPerKwh(max(0, floor(toll_price))),
            Millijoule(ceil(max(0.0, lost_mj) * _LOSS_TOLERANCE) + MJ_PER_WH),
        )

    async def activate(self, asked: Activate, trade: Trade) -> Activated | HoldLost | Refusal:
        if await self._circuit(asked.key, trade) is None:
            return HoldLost()
        answer = await self._asked(self._client.activate_circuit(int(trade.circuit_id)))
        if not isinstance(answer, Refusal):
            return Activated()
        return HoldLost() if answer.reason in _GONE else answer

    async def _circuit(self, request_id: str, trade: Trade) -> pb.Circuit | None:
        """The circuit of a trade; None if the controller has forgotten it.

        One that has lost its store counts circuits anew: the number may be another's by now, and the request tells.
        """
        answer = await self._asked(self._client.get_circuit(int(trade.circuit_id)))
        if isinstance(answer, pb.Circuit):
            return answer if answer.request_id == request_id else None
        if answer.reason in _GONE:
            return None
        raise Unreachable(f"circuit {trade.circuit_id} is not told: {answer.detail}")

    async def release(self, asked: Release, trade: Trade) -> Released:
        """Returns once no router holds anything of it: then its registers are final."""
        if asked.key in self._holding:
            await self._holding[asked.key].wait()
        ended = self._ending.setdefault(asked.key, asyncio.Event())
        try:
            standing = await self._standing(asked.key)
            for circuit in standing:
                if circuit.admin_up:
                    await self._let_go(circuit.circuit_id)
            if standing:
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), _LET_GO_S)
                if await self._standing(asked.key):
                    raise Unreachable(f"routers hold the circuit of request {asked.key!r} yet")
        finally:
            self._ending.pop(asked.key, None)
        return Released()

    async def _standing(self, request_id: str) -> list[pb.Circuit]:
        listed = await self._answer(self._client.list_circuits(request_id))
        return [each for each in listed.circuits if each.state not in _ENDED]

    async def _let_go(self, circuit_id: int) -> None:
        answer = await self._asked(self._client.release_circuit(circuit_id))
        if isinstance(answer, Refusal) and answer.reason not in _GONE:
            raise Unreachable(f"circuit {circuit_id} is not released: {answer.detail}")

    async def read(self, asked: AskMeters, trade: Trade) -> Read:
        registers = await self._answer(self._client.list_registers(request_id=asked.key))
        ends = tuple([_ends(each, trade) for each in registers])
        circuit = await self._circuit(asked.key, trade) if trade.circuit_id else None
        if circuit is None:
            # The controller has forgotten it.
            return Read(ends)
        return Read(ends, _missed(circuit, trade), _last_mj(circuit, trade))

    async def network(self) -> MarketNetwork:
        return network_of(await self._topology(), self._meters.values())

    async def _topology(self) -> pb.Topology:
        topology = await self._answer(self._client.get_topology())
        self._tolls = {link.link_id: link.cost_per_mwh for link in topology.links}
        self._tolls_learnt_s = time.monotonic()
        return topology

    async def watch(self, heard: Callable[[str, Watched | HoldLost], None]) -> None:
        try:
            async for event in self._client.watch_circuits(self._prefix):
                self._found()
                if event.HasField("circuit"):
                    self._hear(event.circuit, heard)
        except PowerError as error:
            self._lost()
            raise Unreachable(str(error)) from error

    def _hear(self, circuit: pb.Circuit, heard: Callable[[str, Watched | HoldLost], None]) -> None:
        if circuit.state in _ENDED:
            if circuit.request_id in self._ending:
                self._ending[circuit.request_id].set()
            heard(circuit.request_id, HoldLost())
        elif circuit.state == pb.CIRCUIT_STATE_REROUTING:
            heard(circuit.request_id, Watched(Delivery.REROUTING))
        elif circuit.HasField("curtailed") or circuit.state in _CURTAILED:
            heard(circuit.request_id, Watched(Delivery.CURTAILED))
        elif circuit.state == pb.CIRCUIT_STATE_ACTIVE:
            heard(circuit.request_id, Watched(Delivery.ACTIVE))

    async def _answer(self, call: Awaitable[T]) -> T:
        """Of what is refused only in passing, or by mistake."""
        answer = await self._asked(call)
        if isinstance(answer, Refusal):
            raise Unreachable(f"the controller refuses: {answer.reason}: {answer.detail}")
        return answer

    async def _asked(self, call: Awaitable[T]) -> T | Refusal:
        try:
            answer = await call
        except ControllerUnreachable as error:
            self._lost()
            raise Unreachable(str(error)) from error
        except PowerError as error:
            self._found()
            if error.retry_after_s > 0.0:
                raise Unreachable(str(error)) from error
            return Refusal(error.reason or error.code.name, _detail(error))
        self._found()
        return answer

    def _found(self) -> None:
        if self.lost_unix_ns:
            _log.info("the controller answers again")
        self.lost_unix_ns = 0

    def _lost(self) -> None:
        if not self.lost_unix_ns:
            _log.warning("the controller does not answer; trades wait for it")
            self.lost_unix_ns = time.time_ns()


def _missed(circuit: pb.Circuit, trade: Trade) -> tuple[Missed, ...]:
    told = [
        Missed(
            each.from_unix_ns,
            each.to_unix_ns,
            _CAUSES[each.cause],
            Millijoule(each.missing_mj),
        )
        for each in circuit.shortfalls
        if each.cause in _CAUSES and each.missing_mj > 0
    ]
    return (*told, *_not_promised(trade, circuit))


def _last_mj(circuit: pb.Circuit, trade: Trade) -> Millijoule | None:
    """What the router of its load said last that had arrived: promised less missing. None where it never said, or said
    what no circuit can have carried.
    """
    if not circuit.HasField("missing"):
        return None
    of = circuit.missing
    missing_mj = of.start_mj + of.fault_mj + of.move_mj + of.curtailment_mj + of.refused_mj
    last_mj = Millijoule(of.promised_mj - missing_mj)
    return last_mj if 0 <= last_mj <= most_register(trade.terms.contract) else None


def _ends(register: pb.FinalRegister, trade: Trade) -> Ends:
    """Of one generation. What a router never said is no reading of 0."""
    source = register.injected_mj if register.HasField("injected_mj") else None
    sink = register.delivered_mj if register.HasField("delivered_mj") else None
    return Ends(
        _readings(source, trade),
        _readings(sink, trade),
        trade.injected_ppm,
        generation=register.generation,
    )


def _readings(register_mj: int | None, trade: Trade) -> tuple[Reading, ...]:
    """A final register is said once, and for good. One that no circuit can have carried is none."""
    if register_mj is None:
        return ()
    if not 0 <= register_mj <= most_register(trade.terms.contract):
        _log.error(
            "trade %s: a register of %d mJ cannot be, and is not counted",
            trade.trade_id,
            register_mj,
        )
        return ()
    return (Reading(0, 0, Millijoule(register_mj)),)


def _detail(error: PowerError) -> str:
    """What binds, in the controller's words, and the ids that it names."""
    named = ", ".join(f"{key} {value}" for key, value in error.metadata.items() if value)
    return f"{error.message} ({named})" if named else error.message


def _not_promised(trade: Trade, circuit: pb.Circuit) -> list[Missed]:
    """What a circuit that began to carry late could not bring within its time, though nothing of it was short.

    Its load's router counts what is missing from when it is told of the circuit, and not from when that was due.
    """
    if not circuit.HasField("missing"):
        return []
    late_mj = trade.terms.contract - circuit.missing.promised_mj
    start_ns = trade.interval.start_ns
    return (
        [Missed(start_ns, start_ns, Cause.LATE_START, Millijoule(late_mj))] if late_mj > 0 else []
    )
