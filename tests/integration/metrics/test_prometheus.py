"""The shipped dashboard and alerts, asked of a Prometheus that reads a controller with routers and clients."""

import asyncio
from pathlib import Path

import pytest

from controller.core.circuits.circuit import CircuitState
from controller.metrics.panels import expressions
from controller.metrics.server import serving_metrics
from controller.store.protocol import LeadershipLost
from digitalgrid.client import power_request
from digitalgrid.client.errors import RequestRefused
from digitalgrid.model import MissingEnergy
from tests.support.northbound import Northbound, balanced, in_loop, northbound, until
from tests.support.prometheus import Prometheus, prometheus

ALERTS = Path(__file__).resolve().parents[3] / "docs" / "monitoring" / "alerts.yaml"


def asked(expression: str) -> str:
    """As Grafana asks it, with all controllers chosen."""
    for name, value in (("job", ".*"), ("instance", ".*"), ("__rate_interval", "30s")):
        expression = expression.replace(f"${name}", value)
    return expression


class Asked:
    """A server that is asked beside the test's loop, which it reads."""

    def __init__(self, server: Prometheus) -> None:
        self._server = server

    async def answers(self, expression: str) -> None:
        await asyncio.to_thread(self._server.wait_for, expression)

    async def fires(self, alert: str) -> None:
        await self.answers(f'ALERTS{{alertname="{alert}", alertstate="firing"}}')


async def active_circuit(api: Northbound) -> int:
    answer = await api.client.request_power(power_request("town", 1e6))
    circuit_id = answer.circuits[0].circuit_id
    await api.client.wait_until_active([circuit_id])
    load_lacks_power(api, circuit_id, promised_mj=10**6)
    return circuit_id


def load_lacks_power(
    api: Northbound, circuit_id: int, promised_mj: int = 10**12, fault_mj: int = 0
) -> None:
    circuit = api.runtime.questions.circuit(circuit_id)
    if fault_mj:
        circuit.interruptions, circuit.last_interruption_ns = 1, 20_000_000
    circuit.note_missing("r9", MissingEnergy(promised_mj, fault_mj=fault_mj))
    api.runtime.feeds.circuits.publish(circuit_id)


async def refused(api: Northbound) -> None:
    with pytest.raises(RequestRefused):
        await api.client.request_power(power_request("town", 1e9))


async def drills(api: Northbound, server: Asked) -> None:
    """Each is the cause of an alert."""
    circuit_id = await active_circuit(api)
    await refused(api)
    await server.answers("dgc_circuit_promised_energy_joules_total > 0")
    # Once more, so that Prometheus sees it grow.
    load_lacks_power(api, circuit_id, fault_mj=10**9)
    await refused(api)
    await server.answers("dgc_circuit_interruptions_total == 1")
    for expression in expressions():
        await server.answers(asked(expression))
    await server.fires("DgcSwitchingSlow")
    for link_id in ("r3-r4", "r2-r4"):
        api.grid.cut(link_id)
    await server.fires("DgcLinkDown")
    circuit = api.runtime.questions.circuit(circuit_id)
    await until(lambda: circuit.state is CircuitState.WAITING)
    await server.answers("dgc_circuits_waiting_seconds > 0")
    api.runtime.detach("r1")
    await server.fires("DgcRouterGone")
    api.store.fail(LeadershipLost("another leads"))
    await server.fires("DgcNoLeader")


def test_every_query_of_the_dashboard_has_an_answer_and_alerts_fire_when_they_should(
    tmp_path: Path,
) -> None:
    @in_loop
    async def story() -> None:
        async with (
            northbound() as api,
            serving_metrics(api.runtime, api.gate, balanced(api), "127.0.0.1:0") as port,
        ):
            with prometheus(tmp_path, f"127.0.0.1:{port}", ALERTS) as server:
                await Asked(server).answers("dgc_leader == 1")
                assert not server.ask('ALERTS{alertstate="firing"}')
                await drills(api, Asked(server))

    story()
