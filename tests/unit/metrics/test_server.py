"""What Prometheus reads of a controller with routers and clients."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from controller.core.circuits.circuit import CircuitEvent, CircuitState
from controller.metrics.reference import BY_NAME, PREFIX
from controller.metrics.server import serving_metrics
from controller.store.protocol import LeadershipLost
from digitalgrid.client import power_request
from digitalgrid.client.errors import RequestRefused
from digitalgrid.model import MissingEnergy
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.metrics import Figures, ask, labels_that_differ, scraped
from tests.support.northbound import Northbound, balanced, in_loop, northbound, until


@asynccontextmanager
async def metered(
    now_ns: Callable[[], int] = time.monotonic_ns,
) -> AsyncIterator[tuple[Northbound, int]]:
    async with (
        northbound() as api,
        serving_metrics(api.runtime, api.gate, balanced(api), "127.0.0.1:0", now_ns) as port,
    ):
        yield api, port


async def fresh(port: int) -> Figures:
    """Not what was told half a second ago."""
    await asyncio.sleep(0.6)
    return await scraped(port)


def of(figures: Figures, name: str, **labels: str) -> float:
    return figures[PREFIX + name, tuple(sorted(labels.items()))]


@in_loop
async def test_what_a_controller_does_is_told_in_figures() -> None:
    async with metered() as (api, port):
        answer = await api.client.request_power(power_request("town", 1e6))
        await api.client.wait_until_active([answer.circuits[0].circuit_id])
        with pytest.raises(RequestRefused):
            await api.client.request_power(power_request("town", 1e9))
        await api.client.drain(pb.DrainRequest(id="r1-r3", keep=True))
        api.grid.cut("r3-r4")
        figures = await scraped(port)
        assert of(figures, "leader") == 1
        assert of(figures, "leadership_changes_total", event="elected") == 1
        assert of(figures, "circuits", state="active") == 1
        assert of(figures, "circuit_power_watts", state="active") == 1e6
        assert of(figures, "decisions_total", kind="request", reason="DONE") == 1
        refused = [
            value
            for (name, labels), value in figures.items()
            if name == "dgc_decisions_total" and dict(labels)["kind"] == "request"
        ]
        assert sorted(refused) == [1, 1]
        asked = "PowerService/RequestPower"
        assert of(figures, "rpc_requests_total", method=asked, code="OK") == 1
        assert of(figures, "rpc_requests_total", method=asked, code="FAILED_PRECONDITION") == 1
        assert of(figures, "rpc_duration_seconds_count", method=asked) == 2
        assert of(figures, "routers", state="connected") == 4
        assert of(figures, "links", state="down") == 1
        assert of(figures, "links", state="up") == 3
        assert sum(v for (name, _), v in figures.items() if name == "dgc_drains") == 1
        for step in ("stored", "staged", "committed", "actuated"):
            assert of(figures, "circuit_setup_duration_seconds_count", step=step) == 1
        assert of(figures, "store_commit_duration_seconds_count") > 0
        # What the cut led to is on its way to the store for a moment.
        await until(lambda: api.runtime.unwritten == 0)
        assert of(await fresh(port), "store_unwritten") == 0
        assert figures["process_resident_memory_bytes", ()] > 0


@in_loop
async def test_all_that_is_told_is_documented_and_more_of_everything_adds_no_series() -> None:
    async with metered() as (api, port):
        await api.client.request_power(power_request("town", 1e3))
        await api.client.get_topology()
        before = await scraped(port)
        for _ in range(30):
            answer = await api.client.request_power(power_request("town", 1e3))
        await api.client.wait_until_active([answer.circuits[0].circuit_id])
        await api.client.get_topology()
        after = await fresh(port)
        watched = {"PowerService/WatchCircuits", "watches", "active"}
        more = set(after.keys() - before.keys())
        assert not {key for key in more if not watched & set(dict(key[1]).values())}
        assert labels_that_differ(after, PREFIX, BY_NAME) == []


@in_loop
async def test_a_controller_that_does_not_know_the_state_tells_what_it_can() -> None:
    async with metered() as (api, port):
        api.store.fail(LeadershipLost("another leads"))
        await until(lambda: not api.runtime.leads)
        figures = await scraped(port)
        assert of(figures, "leader") == 0
        assert of(figures, "leadership_changes_total", event="lost") == 1
        assert not [name for name, _ in figures if name == "dgc_circuits"]


@in_loop
async def test_interruptions_are_counted_once_and_not_those_of_before() -> None:
    async with northbound() as api:
        answer = await api.client.request_power(power_request("town", 1e6))
        await api.client.wait_until_active([answer.circuits[0].circuit_id])
        circuit = api.runtime.questions.circuit(answer.circuits[0].circuit_id)
        circuit.interruptions = 3
        async with serving_metrics(api.runtime, api.gate, balanced(api), "127.0.0.1:0") as port:
            circuit.interruptions = 5
            for _ in range(2):
                api.runtime.feeds.circuits.publish(circuit.circuit_id)
            assert of(await scraped(port), "circuit_interruptions_total") == 2
            api.runtime.feeds.circuits.publish(circuit.circuit_id)
            assert of(await fresh(port), "circuit_interruptions_total") == 2
        assert not api.watched


@in_loop
async def test_what_a_load_lacked_is_one_gap_until_its_circuit_is_active_again() -> None:
    async with metered() as (api, port):
        answer = await api.client.request_power(power_request("town", 1e3))
        circuit_id = answer.circuits[0].circuit_id
        await api.client.wait_until_active([circuit_id])
        circuit, publish = (
            api.runtime.questions.circuit(circuit_id),
            api.runtime.feeds.circuits.publish,
        )
        publish(circuit_id)
        before = await scraped(port)
        circuit.apply(CircuitEvent.STARVED)
        for promised_mj, fault_mj in ((10_000_000, 20_000), (20_000_000, 50_000)):
            circuit.note_missing("r4", MissingEnergy(promised_mj, fault_mj=fault_mj))
            publish(circuit_id)
            figures = await fresh(port)
            assert (
                of(figures, "circuit_missing_energy_joules_total", cause="fault") == fault_mj / 1e3
            )
            assert of(figures, "circuit_missing_power_seconds_count", cause="fault") == 0
        circuit.apply(CircuitEvent.ACTUATED)
        publish(circuit_id)
        figures = await fresh(port)
        assert of(figures, "circuit_missing_power_seconds_count", cause="fault") == 1
        assert of(figures, "circuit_missing_power_seconds_sum", cause="fault") == pytest.approx(
            0.05
        )
        assert of(figures, "circuit_missing_energy_joules_total", cause="move") == 0
        name = "circuit_promised_energy_joules_total"
        assert of(figures, name) - of(before, name) == pytest.approx(20_000, rel=0.01)


@in_loop
async def test_energies_are_told_as_routers_measure_them() -> None:
    async with metered() as (_, port):
        figures = await fresh(port)
        assert of(figures, "injected_energy_joules_total") == 10
        assert of(figures, "delivered_energy_joules_total") == 9
        assert of(figures, "converter_loss_energy_joules_total") == 1
        assert of(figures, "lost_in_transit_energy_joules_total") == 0
        assert of(figures, "books_imbalance_joules") == 0
        assert of(figures, "routers_unread") == 0


@in_loop
async def test_how_long_a_circuit_waits_is_told_until_it_waits_no_more() -> None:
    async with metered() as (api, port):
        answer = await api.client.request_power(power_request("town", 1e3))
        circuit_id = answer.circuits[0].circuit_id
        await api.client.wait_until_active([circuit_id])
        assert of(await fresh(port), "circuits_waiting_seconds") == 0
        for link_id in ("r3-r4", "r2-r4"):
            api.grid.cut(link_id)
        circuit = api.runtime.questions.circuit(circuit_id)
        await until(lambda: circuit.state is CircuitState.WAITING)
        await fresh(port)
        assert 0.5 < of(await fresh(port), "circuits_waiting_seconds") < 30
        for link_id in ("r3-r4", "r2-r4"):
            api.grid.mend(link_id)
        await api.client.wait_until_active([circuit_id])
        assert of(await fresh(port), "circuits_waiting_seconds") == 0


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "404 Not Found"),
        (b"POST /metrics HTTP/1.0\r\n\r\n", "405 Method Not Allowed"),
        (b"\x16\x03\x01\x00\r\n\r\n", "400 Bad Request"),
        (b"\xff\xff\r\n\r\n", "400 Bad Request"),
        (b"GET /metrics?name[]=x HTTP/1.0\r\nAccept: \xff\r\n\r\n", "200 OK"),
        (b"GET /metrics HTTP/1.1\r\nX: " + 40_000 * b"x" + b"\r\n\r\n", "400 Bad Request"),
    ],
)
def test_odd_requests_get_an_answer_and_nobody_is_disturbed(said: bytes, status: str) -> None:
    @in_loop
    async def story() -> None:
        async with metered() as (_, port):
            line, _ = await ask(port, said)
            assert line.partition(" ")[2] == status
            assert of(await scraped(port), "leader") == 1

    story()


@in_loop
async def test_an_address_that_is_taken_is_named_with_what_to_do() -> None:
    async with metered() as (api, port):
        with pytest.raises(OSError, match=r"for metrics: .*in use.*metrics\.listen"):
            async with serving_metrics(api.runtime, api.gate, balanced(api), f"127.0.0.1:{port}"):
                pass


@in_loop
async def test_a_name_that_is_pointed_at_loopback_reads_nothing() -> None:
    async with metered() as (_, port), aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{port}/metrics"
        async with http.get(url, headers={"Host": f"evil.example:{port}"}) as answer:
            assert answer.status == 403
            assert "dgc_" not in await answer.text()
        async with http.get(url, headers={"Host": f"localhost:{port}"}) as answer:
            assert answer.status == 200
