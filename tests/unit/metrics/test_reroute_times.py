"""How long reroutes take: what is timed, from when and until when."""

import time

import pytest

from controller.core.circuits.circuit import Circuit, CircuitState
from controller.core.network.lateness import MAX_PATIENCE_NS
from digitalgrid.client import power_request
from digitalgrid.model import DownCause
from digitalgrid.units import NS_PER_S
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.metrics import Figures
from tests.support.northbound import Northbound, in_loop, until
from tests.unit.metrics.test_server import fresh, metered, of

# Both lines to the town.
LINES = {"r2-r4", "r3-r4"}
INTERRUPTED_S = 0.04


class Clock:
    """Stands, but for what a test puts it on by."""

    def __init__(self) -> None:
        self._now_ns = time.monotonic_ns()

    def put_on(self, by_s: float) -> None:
        self._now_ns += round(by_s * NS_PER_S)

    def __call__(self) -> int:
        return self._now_ns


async def served(api: Northbound) -> tuple[Circuit, str, str]:
    """A circuit whose sink says how long it was without power; the last line of its way, and that of the other way."""
    answer = await api.client.request_power(power_request("town", 1e6))
    await api.client.wait_until_active([answer.circuits[0].circuit_id])
    api.grid.interrupted_ns = round(INTERRUPTED_S * 1e9)
    circuit = api.runtime.questions.circuit(answer.circuits[0].circuit_id)
    newest = circuit.newest()
    assert newest is not None
    line = newest.route.links[-1].link_id
    (other,) = LINES - {line}
    return circuit, line, other


async def rerouted(circuit: Circuit, times: int) -> None:
    await until(lambda: circuit.interruptions == times and circuit.state is CircuitState.ACTIVE)


def counted(figures: Figures) -> dict[DownCause, float]:
    name = "reroute_duration_seconds_count"
    each = {cause: of(figures, name, cause=cause.name.lower()) for cause in DownCause}
    return {cause: count for cause, count in each.items() if count}


def took_s(figures: Figures) -> float:
    return of(figures, "reroute_duration_seconds_sum", cause="carrier_lost")


@in_loop
async def test_a_reroute_takes_from_the_fault_on_and_counts_by_why_the_line_was_down() -> None:
    clock = Clock()
    async with metered(clock) as (api, port):
        circuit, line, other = await served(api)
        api.grid.cut(line)
        await rerouted(circuit, 1)
        figures = await fresh(port)
        assert counted(figures) == {DownCause.CARRIER_LOST: 1}
        # The sink felt it before anybody had said so.
        assert took_s(figures) == pytest.approx(INTERRUPTED_S)
        # Nothing is left to go over, until the first line is mended.
        api.grid.cut(other)
        await until(lambda: circuit.state is CircuitState.WAITING and not circuit.generations)
        clock.put_on(7.0)
        api.grid.mend(line)
        await rerouted(circuit, 2)
        figures = await fresh(port)
        assert counted(figures) == {DownCause.CARRIER_LOST: 2}
        assert took_s(figures) == pytest.approx(INTERRUPTED_S + 7.0)


@in_loop
async def test_power_that_comes_back_over_the_same_lines_is_no_reroute() -> None:
    async with metered() as (api, port):
        circuit, line, other = await served(api)
        api.grid.cut(other)
        api.grid.cut(line)
        await until(lambda: circuit.state is CircuitState.WAITING and not circuit.generations)
        api.grid.mend(line)
        await rerouted(circuit, 1)
        assert counted(await fresh(port)) == {}


@in_loop
async def test_a_sink_that_says_what_cannot_be_adds_no_more_than_could() -> None:
    clock = Clock()
    async with metered(clock) as (api, port):
        circuit, line, _ = await served(api)
        api.grid.interrupted_ns = 2**63 - 1
        clock.put_on(5.0)
        api.grid.cut(line)
        await rerouted(circuit, 1)
        figures = await fresh(port)
        assert counted(figures) == {DownCause.CARRIER_LOST: 1}
        assert took_s(figures) == MAX_PATIENCE_NS / NS_PER_S
        assert of(figures, "circuit_first_packet_seconds_count") == 1
        assert of(figures, "circuit_first_packet_seconds_sum") <= 5.0


@in_loop
async def test_what_is_moved_with_its_line_up_or_never_lacked_power_is_not_timed() -> None:
    async with metered() as (api, port):
        circuit, line, other = await served(api)
        await api.client.drain(pb.DrainRequest(id=line))
        await api.client.wait_until_drained(line)
        assert circuit.interruptions == 1
        # What was in store bridged it.
        api.grid.interrupted_ns = 0
        await api.client.undrain(line)
        api.grid.cut(other)
        await until(lambda: circuit.state is CircuitState.ACTIVE)
        assert counted(await fresh(port)) == {}
