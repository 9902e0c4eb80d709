"""The shipped dashboard and alerts, asked of a Prometheus that reads a controller with routers and clients.

Of each alert the cause is made here, and it fires; that it does not fire for less is for promtool's cases.
"""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from controller.core.access import Action
from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.protection import Protection
from controller.metrics import store_look
from controller.metrics.network_map import EDGES, NODES
from controller.metrics.panels import ANNOTATIONS, expressions
from controller.metrics.server import serving_metrics
from controller.runtime import runtime as runtime_module
from controller.store.protocol import LeadershipLost
from controller.watching.meter_look import MeterLook
from digitalgrid.client import power_request
from digitalgrid.client.errors import RequestRefused
from digitalgrid.counters import COUNTERS
from digitalgrid.model import MissingEnergy
from digitalgrid.supervision import start_once
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import LinkMeter, RouterMeters
from router_agent.config import LinkConfig, LoadConfig, RouterConfig, SourceConfig
from tests.support.agents import AgentProcess
from tests.support.calls import call
from tests.support.northbound import (
    Northbound,
    balanced_meters,
    free_port,
    in_loop,
    northbound,
    until,
)
from tests.support.prometheus import Prometheus, prometheus
from topologies.emulator.ports import free_ports

ALERTS = Path(__file__).resolve().parents[3] / "docs" / "monitoring" / "alerts.yaml"
# More than one a second in the five minutes of which the rate is taken.
MANY = 400
# Changes that wait for the store, of which an alert tells before requests are turned away.
BEHIND = 2100
# The loop, and the store, are late by more than what an alert allows (50 ms).
LATE_S = 0.12


@dataclass
class Drilled:
    """A controller whose metrics are read, and what may be done to it; ``later_ns`` makes circuits wait longer."""

    api: Northbound
    serving: AsyncExitStack
    monkeypatch: pytest.MonkeyPatch
    address: str = ""
    server: Prometheus = field(init=False)
    later_ns: int = 0
    circuit_id: int = 0
    waiting: asyncio.Future[Any] | None = None
    # What routers say when they are asked for their meters.
    meters: list[RouterMeters] = field(default_factory=list)

    async def read_meters(self) -> tuple[list[RouterMeters], list[str]]:
        balanced, missing = await balanced_meters()
        return balanced + self.meters, missing

    def now_ns(self) -> int:
        return time.monotonic_ns() + self.later_ns

    async def answers(self, expression: str) -> None:
        await asyncio.to_thread(self.server.wait_for, expression)

    async def fires(self, alert: str) -> None:
        await self.answers(f'ALERTS{{alertname="{alert}", alertstate="firing"}}')

    def load_lacks_power(self, promised_mj: int = 10**12, fault_mj: int = 0) -> None:
        circuit = self.api.runtime.questions.circuit(self.circuit_id)
        if fault_mj:
            circuit.interruptions, circuit.last_interruption_ns = 1, 20_000_000
        circuit.note_missing("r9", MissingEnergy(promised_mj, fault_mj=fault_mj))
        self.api.runtime.feeds.circuits.publish(self.circuit_id)


@asynccontextmanager
async def drilled(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Drilled]:
    """A controller that serves a protected circuit, and has refused a request."""
    monkeypatch.setattr(store_look, "LOOK_S", 0.2)
    async with northbound() as api, AsyncExitStack() as serving:
        here = Drilled(api, serving, monkeypatch)
        look = MeterLook(here.read_meters, lambda: api.runtime.view)
        await api.client.place_routers({"r1": (0.0, 0.0), "r4": (2.0, 1.0)})
        metrics = serving_metrics(
            api.runtime, api.gate, look, "127.0.0.1:0", here.now_ns, of_links=True
        )
        here.address = f"127.0.0.1:{await serving.enter_async_context(metrics)}"
        with prometheus(directory, here.address, ALERTS) as here.server:
            answer = await api.client.request_power(power_request("town", 1e6, protect="link"))
            here.circuit_id = answer.circuits[0].circuit_id
            await api.client.wait_until_active([here.circuit_id])
            circuit = api.runtime.questions.circuit(here.circuit_id)
            await until(lambda: circuit.guard.word is Protection.PROTECTED)
            await refused(api)
            here.load_lacks_power(promised_mj=10**6)
            yield here


async def refused(api: Northbound, count: int = 1) -> None:
    for _ in range(count):
        with pytest.raises(RequestRefused):
            await api.client.request_power(power_request("town", 1e9))


async def turned_away(api: Northbound) -> None:
    """As by a client that does not try again by itself."""
    request = pb.RequestPowerRequest(request=power_request("town", 1e3))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.power.RequestPower(request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def power_is_missing(here: Drilled) -> None:
    here.load_lacks_power(fault_mj=10**9)
    await here.answers("dgc_circuit_interruptions_total == 1")
    here.load_lacks_power(promised_mj=2 * 10**12, fault_mj=10**11)


async def much_is_refused(here: Drilled) -> None:
    await refused(here.api, MANY)


async def a_task_fails(here: Drilled) -> None:
    async def fail() -> None:
        raise ValueError("a mistake")

    await start_once("drill", fail)


async def the_loop_is_late(here: Drilled) -> None:
    # Longer than from one look at the loop to the next, or each could come just in time; and more than a hundredth of
    # all looks, however long the drills before took.
    for _ in range(20):
        time.sleep(3 * LATE_S)  # noqa: ASYNC251 - that is the fault
        await asyncio.sleep(0.11)


async def books_do_not_balance(here: Drilled) -> None:
    lost = LinkMeter(link_id="r1-r2", lost_in_transit_mj=4_000)
    here.meters.append(RouterMeters(router_id="r2", links=[lost], converter_loss_mj=1_000))


async def a_line_bears_too_much(here: Drilled) -> None:
    here.meters.append(RouterMeters(router_id="r3", oversubscribed_instants=3))


async def routers_differ(here: Drilled) -> None:
    # As the inbox of a session notes what was repaired; these routers have none.
    COUNTERS.add("reconcile_differences", "missing", 2)


async def the_disk_fills(here: Drilled) -> None:
    here.api.store.free_bytes = 10**6
    await here.answers("dgc_store_free_bytes == 1e6")


async def the_lease_is_renewed_late(here: Drilled) -> None:
    here.api.store.least_lease_s = 0.3


async def the_store_stands_still(here: Drilled) -> None:
    api = here.api
    here.monkeypatch.setattr(runtime_module, "MAX_UNWRITTEN", BEHIND)
    api.store.hold()
    late = power_request("works", 1e3)
    here.waiting = asyncio.ensure_future(api.client.request_power(late))
    await until(lambda: api.runtime.unwritten > 0)
    for number in range(BEHIND):
        api.runtime.handle(call(Action.CHANGE, str(number)), lambda core, now_ns: None)
    await turned_away(api)
    await here.answers('dgc_rpc_requests_total{code="RESOURCE_EXHAUSTED"} > 0')
    await turned_away(api)


async def the_store_catches_up_late(here: Drilled) -> None:
    here.api.store.flush()
    assert here.waiting is not None
    await here.waiting


async def a_standby_is_lost(here: Drilled) -> None:
    circuit = here.api.runtime.questions.circuit(here.circuit_id)
    here.api.grid.cut("r3-r4")
    await until(lambda: circuit.guard.word is Protection.LOST)


async def a_circuit_waits(here: Drilled) -> None:
    circuit = here.api.runtime.questions.circuit(here.circuit_id)
    here.api.grid.cut("r2-r4")
    await until(lambda: circuit.state is CircuitState.WAITING)
    await here.answers("dgc_circuits_waiting_seconds > 0")
    here.later_ns = 31 * NS_PER_S


async def a_router_goes(here: Drilled) -> None:
    here.api.runtime.detach("r1")


async def two_lead(here: Drilled) -> None:
    here.server.read(here.address, here.address.replace("127.0.0.1", "localhost"))


async def nobody_leads(here: Drilled) -> None:
    here.api.store.fail(LeadershipLost("another leads"))


async def nobody_answers(here: Drilled) -> None:
    await here.serving.aclose()


# Each cause, and the alerts that it makes fire. Later ones find what earlier ones left: a slow commit would be lost
# among those of many refusals.
DRILLS: tuple[tuple[Callable[[Drilled], Awaitable[None]], set[str]], ...] = (
    (power_is_missing, {"DgcSwitchingSlow", "DgcPowerMissing"}),
    (a_task_fails, {"DgcMistake"}),
    (the_loop_is_late, {"DgcLoopLate"}),
    (books_do_not_balance, {"DgcBooksImbalance", "DgcEnergyLostInTransit"}),
    (a_line_bears_too_much, {"DgcOverSubscribed"}),
    (routers_differ, {"DgcDrift"}),
    (the_disk_fills, {"DgcDiskFills"}),
    (the_lease_is_renewed_late, {"DgcLeaseShort"}),
    (the_store_stands_still, {"DgcStoreBehind", "DgcOverloaded"}),
    (the_store_catches_up_late, {"DgcStoreSlow", "DgcSetUpSlow"}),
    (much_is_refused, {"DgcRefusals"}),
    (a_standby_is_lost, {"DgcLinkDown", "DgcUnprotected"}),
    (a_circuit_waits, {"DgcCircuitsWaiting"}),
    (a_router_goes, {"DgcRouterGone"}),
    (two_lead, {"DgcTwoLeaders"}),
    (nobody_leads, {"DgcNoLeader"}),
    (nobody_answers, {"DgcDown"}),
)


@asynccontextmanager
async def a_router(directory: Path) -> AsyncIterator[str]:
    """One that is alone, and where it tells what it does."""
    ours, theirs = (f"127.0.0.1:{port}" for port in free_ports(2, socket.SOCK_DGRAM))
    links = (LinkConfig("r-s", "s", local=ours, remote=theirs),)
    config = RouterConfig(
        *("r", str(directory / "r"), ("127.0.0.1:9",)),
        links=links,
        sources=(SourceConfig("pv", 1e6),),
        loads=(LoadConfig("town", 1e6),),
    )
    address = f"127.0.0.1:{free_port()}"
    router = AgentProcess(config, directory, "--metrics", address)
    await router.start()
    try:
        yield address
    finally:
        await router.end(signal.SIGKILL)


def asked(expression: str) -> str:
    """As Grafana asks it, with all controllers chosen."""
    chosen = (("job", ".*"), ("instance", ".*"), ("routers", ".*"), ("__rate_interval", "30s"))
    for name, value in chosen:
        expression = expression.replace(f"${name}", value)
    return expression


async def every_router_and_link_is_drawn_once(here: Drilled) -> None:
    """An edge that leads to no node would fail the whole panel."""
    answers = [
        await asyncio.to_thread(here.server.ask, asked(of.expression)) for of in (NODES, EDGES)
    ]
    nodes, edges = ([each["metric"] for each in answer] for answer in answers)
    view = here.api.runtime.view
    assert sorted(each["id"] for each in nodes) == sorted(view.routers)
    assert {each["id"] for each in nodes if "fixedX" in each} == {"r1", "r4"}
    assert sorted(each["id"] for each in edges) == sorted(view.links)
    for each in edges:
        link = view.links[each["id"]]
        assert {each["source"], each["target"]} == {link.a, link.b}
        assert 1 <= float(each["thickness"]) <= 8
        assert each["mainstat"].endswith(" %")


def test_every_alert_has_a_drill() -> None:
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} == set().union(*(alerts for _, alerts in DRILLS))


def test_every_query_of_the_dashboard_has_an_answer_and_every_alert_fires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @in_loop
    async def story() -> None:
        async with drilled(tmp_path, monkeypatch) as here, a_router(tmp_path) as router:
            here.server.read(here.address, routers=[router])
            await here.answers("dgc_leader == 1")
            assert not here.server.ask('ALERTS{alertstate="firing"}')
            await here.answers("dgc_circuit_promised_energy_joules_total > 0")
            for cause, alerts in DRILLS:
                await cause(here)
                if cause is power_is_missing:
                    await refused(here.api)
                    for expression in expressions():
                        await here.answers(asked(expression))
                    await every_router_and_link_is_drawn_once(here)
                if cause is a_standby_is_lost:
                    (down,) = [each for each in ANNOTATIONS if each.name == "Line down"]
                    await here.answers(asked(down.expression).replace("1m", "3s"))
                for alert in alerts:
                    await here.fires(alert)

    story()
