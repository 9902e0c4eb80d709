"""What markets make of the controller's answers: a register that was never said is none; who lets go is waited for."""

import asyncio
from collections.abc import Callable, Coroutine
from math import inf, nan
from typing import Any

import grpc
import pytest

from digitalgrid.client.errors import ControllerUnreachable, RequestRefused
from digitalgrid.limits import MAX_INT64
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import MissingEnergy
from tests.support.exchanges import market_file
from tests.support.sagas import trade
from trading.core.attribution import Cause
from trading.core.orders import Constraints, Interval
from trading.core.readings import most_register
from trading.core.trades import (
    Activate,
    Activated,
    AskMeters,
    Held,
    Hold,
    HoldLost,
    Refusal,
    Release,
    Released,
    Times,
    Trade,
)
from trading.core.units import MJ_PER_WH, MicroPerKwh, Millijoule, Wh
from trading.exchange.config import ExchangeConfig, load_config
from trading.exchange.controller_port import _CAUSES, ControllerPort
from trading.exchange.ports import Unreachable
from trading.reasons import MarketReason

S = 1_000_000_000
INTERVAL = Interval(1_000 * S, 10 * S)


class Asked:
    """A client that answers what the test says, in order, and remembers what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append((name, (*arguments, *named.values())))
            answer = self.answers[name]
            answer = answer.pop(0) if isinstance(answer, list) else answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def port(config: ExchangeConfig, client: Asked) -> ControllerPort:
    made = ControllerPort(["127.0.0.1:1"], config.meters, Times())
    made._client = client  # type: ignore[assignment]
    return made


@pytest.fixture
def config(tmp_path: Any) -> ExchangeConfig:
    (tmp_path / "market.yaml").write_text(market_file())
    return load_config(tmp_path / "market.yaml")


def holding(**changes: Any) -> Trade:
    made = trade()
    made.interval, made.until_ns, made.circuit_id = INTERVAL, 997 * S, "7"
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def hold(**changes: Any) -> Hold:
    asked: dict[str, Any] = {"constraints": Constraints()} | changes
    return Hold("t/1", "bob", "ann", Wh(1000), INTERVAL, 1_005 * S, ("r1-r2", "r2-r3"), **asked)


def circuit(**changes: Any) -> pb.Circuit:
    return pb.Circuit(
        circuit_id=7,
        request_id="t/1",
        state=changes.pop("state", pb.CIRCUIT_STATE_RESERVED),
        power_w=360_000,
        injected_w=378_000,
        links=[
            pb.PathLink(link_id="r1-r2", received_w=370_000),
            pb.PathLink(link_id="r2-r3", received_w=360_000),
        ],
        admin_up=True,
        **changes,
    )


def run(call: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(call)


def test_a_hold_is_the_same_request_each_time_and_names_meters_as_the_grid_does(
    config: ExchangeConfig,
) -> None:
    topology = pb.Topology(
        links=[
            pb.LinkState(link_id="r1-r2", cost_per_mwh=1.0),
            pb.LinkState(link_id="r2-r3", cost_per_mwh=2.5),
        ]
    )
    answer = pb.RequestPowerResponse(circuits=[circuit()])
    client = Asked(request_power=answer, get_topology=topology)
    limits = Constraints(max_loss_ppm=50_000, avoid_ids=("r9",))
    asked = port(config, client)
    held = [run(asked.hold(hold(constraints=limits), holding())) for _ in range(2)]
    (first, second) = [args[0] for name, args in client.calls if name == "request_power"]
    assert first == second
    assert (first.sink_id, list(first.source_ids), first.power_w) == ("town", ["pv1"], 360_000)
    assert first.constraints.max_loss_fraction == 0.05
    assert list(first.constraints.avoid_ids) == ["r9"]
    assert list(first.explicit_route.link_ids) == ["r1-r2", "r2-r3"]
    # From two seconds before 997 s until five into the interval.
    assert first.hold.ttl_ms == 10_000
    # Whether or not anybody releases it.
    assert first.until_unix_ns == INTERVAL.end_ns + 5 * S
    # 370 kW at 1 and 360 kW at 2.5 per MWh, of 360 kW delivered, rounded down; what is lost, and a tolerance.
    assert held[0] == Held(
        "7", 1_050_000, MicroPerKwh(3_527), Millijoule(180_000_000 * 1_005 // 1_000 + MJ_PER_WH)
    )


@pytest.mark.parametrize("toll", [inf, nan, 1e308])
def test_tolls_that_are_no_numbers_are_refused(config: ExchangeConfig, toll: float) -> None:
    topology = pb.Topology(
        links=[pb.LinkState(link_id=name, cost_per_mwh=toll) for name in ("r1-r2", "r2-r3")]
    )
    answer = pb.RequestPowerResponse(circuits=[circuit()])
    asked = port(config, Asked(request_power=answer, get_topology=topology))
    refused = run(asked.hold(hold(), holding()))
    assert isinstance(refused, Refusal) and refused.reason == MarketReason.PATH_OUT_OF_RANGE


def test_what_cannot_be_held_says_what_binds(config: ExchangeConfig) -> None:
    refused = RequestRefused(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "links r1-r3 are full",
        reason="INSUFFICIENT_CAPACITY",
        metadata={"bottleneck_links": "r1-r3"},
    )
    answer = run(port(config, Asked(request_power=refused)).hold(hold(), holding()))
    assert answer == Refusal(
        "INSUFFICIENT_CAPACITY", "links r1-r3 are full (bottleneck_links r1-r3)"
    )


@pytest.mark.parametrize("is_passing", [True, False])
def test_who_does_not_answer_or_only_in_a_moment_is_asked_again(
    is_passing: bool, config: ExchangeConfig
) -> None:
    error = (
        RequestRefused(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", retry_after_s=0.1)
        if is_passing
        else ControllerUnreachable(grpc.StatusCode.UNAVAILABLE, "gone")
    )
    asked = port(config, Asked(request_power=error))
    with pytest.raises(Unreachable):
        run(asked.hold(hold(), holding()))
    assert bool(asked.lost_unix_ns) is not is_passing


def test_a_hold_that_has_expired_meanwhile_is_none(config: ExchangeConfig) -> None:
    expired = circuit(hold=pb.CircuitHold(state=pb.HOLD_STATE_EXPIRED))
    for circuits in ([], [expired], [circuit(state=pb.CIRCUIT_STATE_WITHDRAWN)]):
        client = Asked(request_power=pb.RequestPowerResponse(circuits=circuits))
        answer = run(port(config, client).hold(hold(), holding()))
        assert isinstance(answer, Refusal) and answer.reason == "HOLD_EXPIRED"


def test_a_circuit_that_is_gone_cannot_be_activated_and_its_hold_is_lost(
    config: ExchangeConfig,
) -> None:
    error = RequestRefused(grpc.StatusCode.FAILED_PRECONDITION, "late", reason="HOLD_EXPIRED")
    asked = port(config, Asked(get_circuit=circuit(), activate_circuit=error))
    assert run(asked.activate(Activate("t/1"), holding())) == HoldLost()


def test_a_held_circuit_is_activated_by_its_number(config: ExchangeConfig) -> None:
    client = Asked(get_circuit=circuit(), activate_circuit=circuit())
    assert run(port(config, client).activate(Activate("t/1"), holding())) == Activated()
    assert client.calls[-1] == ("activate_circuit", (7,))


def test_of_a_controller_that_lost_its_store_anothers_circuit_of_the_same_number_is_let_be(
    config: ExchangeConfig,
) -> None:
    short = pb.Shortfall(from_unix_ns=1, to_unix_ns=2, cause=pb.SHORT_CAUSE_OPERATOR, missing_mj=4)
    anothers = circuit(shortfalls=[short], missing=MissingEnergy(promised_mj=0))
    anothers.request_id = "of-somebody-else"
    client = Asked(get_circuit=anothers, activate_circuit=anothers, list_registers=[[]])
    asked = port(config, client)
    assert run(asked.activate(Activate("t/1"), holding())) == HoldLost()
    assert "activate_circuit" not in [name for name, _ in client.calls]
    assert run(asked.read(AskMeters("t/1"), holding())).missed == ()


def test_while_it_is_not_told_whose_a_circuit_is_the_market_asks_again(
    config: ExchangeConfig,
) -> None:
    error = RequestRefused(grpc.StatusCode.PERMISSION_DENIED, "no", reason="PERMISSION_DENIED")
    asked = port(config, Asked(get_circuit=error))
    with pytest.raises(Unreachable, match="circuit 7"):
        run(asked.activate(Activate("t/1"), holding()))


def test_it_is_released_once_no_router_holds_it(config: ExchangeConfig) -> None:
    withdrawing = circuit(state=pb.CIRCUIT_STATE_WITHDRAWING)
    lists = [pb.ListCircuitsResponse(circuits=[each] if each else []) for each in (circuit(), None)]
    client = Asked(list_circuits=lists, release_circuit=withdrawing)
    asked = port(config, client)

    async def released() -> Released:
        asyncio.get_running_loop().call_later(
            0.01, asked._hear, circuit(state=pb.CIRCUIT_STATE_WITHDRAWN), lambda name, event: None
        )
        answer: Released = await asked.release(Release("t/1"), holding())
        return answer

    assert run(released()) == Released()
    assert ("release_circuit", (7,)) in client.calls


def test_of_a_circuit_that_never_was_there_is_nothing_to_release(config: ExchangeConfig) -> None:
    client = Asked(list_circuits=pb.ListCircuitsResponse())
    assert run(port(config, client).release(Release("t/1"), holding())) == Released()


def test_registers_of_all_generations_count_and_one_that_was_never_said_is_none(
    config: ExchangeConfig,
) -> None:
    registers = [
        pb.FinalRegister(circuit_id=7, generation=1, injected_mj=0, delivered_mj=5),
        pb.FinalRegister(circuit_id=7, generation=2, delivered_mj=9),
    ]
    short = [
        pb.Shortfall(from_unix_ns=1, to_unix_ns=2, cause=pb.SHORT_CAUSE_LINK_DOWN, missing_mj=4),
        pb.Shortfall(from_unix_ns=2, to_unix_ns=3, cause=pb.SHORT_CAUSE_UNSPECIFIED, missing_mj=4),
        pb.Shortfall(from_unix_ns=3, to_unix_ns=4, cause=pb.SHORT_CAUSE_SINK_REFUSED, missing_mj=6),
    ]
    client = Asked(list_registers=[registers, registers], get_circuit=circuit(shortfalls=short))
    read = run(port(config, client).read(AskMeters("t/1"), holding()))
    first, second = read.ends
    assert [each.register for each in (*first.source, *first.sink)] == [0, 5]
    assert second.source == () and second.sink[0].register == 9
    assert [(each.cause, each.missing_mj) for each in read.missed] == [
        (Cause.LINK_DOWN, 4),
        (Cause.SINK_REFUSED, 6),
    ]
    # The same reading again is no second one.
    assert run(port(config, client).read(AskMeters("t/1"), holding())) == read


def test_a_register_that_no_circuit_can_have_carried_is_none(config: ExchangeConfig) -> None:
    most = most_register(holding().terms.contract)
    registers = [
        pb.FinalRegister(circuit_id=7, generation=1, injected_mj=MAX_INT64, delivered_mj=most),
        pb.FinalRegister(circuit_id=7, generation=2, injected_mj=-1, delivered_mj=most + 1),
    ]
    client = Asked(list_registers=[registers], get_circuit=circuit())
    (first, second) = run(port(config, client).read(AskMeters("t/1"), holding())).ends
    assert (first.source, first.sink[0].register) == ((), most)
    assert (second.source, second.sink) == ((), ())


def test_every_cause_that_the_controller_has_is_known() -> None:
    assert set(_CAUSES) | {pb.SHORT_CAUSE_UNSPECIFIED} == set(pb.ShortCause.values())


@pytest.mark.parametrize(
    ("missing", "last"),
    [
        (MissingEnergy(promised_mj=100, start_mj=1, fault_mj=2, move_mj=3, refused_mj=4), 90),
        (MissingEnergy(promised_mj=100, curtailment_mj=100), 0),
        (MissingEnergy(promised_mj=MAX_INT64), None),
        (MissingEnergy(promised_mj=1, fault_mj=2), None),
        (None, None),
    ],
)
def test_what_the_controller_heard_last_of_a_load_is_what_was_promised_less_what_was_missing(
    config: ExchangeConfig, missing: MissingEnergy | None, last: int | None
) -> None:
    client = Asked(list_registers=[[]], get_circuit=circuit(missing=missing))
    assert run(port(config, client).read(AskMeters("t/1"), holding())).last_mj == last


@pytest.mark.parametrize(("short_mj", "late"), [(7, [(Cause.LATE_START, 7)]), (0, []), (-9, [])])
def test_what_a_circuit_that_began_late_could_not_bring_is_the_networks(
    config: ExchangeConfig, short_mj: int, late: list[tuple[Cause, int]]
) -> None:
    asks = holding()
    missing = MissingEnergy(promised_mj=asks.terms.contract - short_mj)
    client = Asked(list_registers=[[]], get_circuit=circuit(missing=missing))
    read = run(port(config, client).read(AskMeters("t/1"), asks))
    assert [(each.cause, each.missing_mj) for each in read.missed] == late
