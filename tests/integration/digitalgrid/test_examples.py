"""The examples below ``examples/`` do what they say, with a real controller over real gRPC."""

import asyncio
import json
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from digitalgrid.client import PowerClient
from digitalgrid.v1 import northbound_pb2 as pb
from examples import cheapest_power, follow_the_sun
from tests.support.northbound import in_loop, northbound, until
from tests.support.patience import PATIENCE_S

NOTEBOOK = Path(__file__).parents[3] / "examples" / "a_day.ipynb"


@in_loop
async def test_a_load_follows_the_sun() -> None:
    async with northbound() as api:
        with PowerClient(api.address, timeout_s=PATIENCE_S) as client:
            follower = follow_the_sun.Follower(client, "town", "solar", 100e3)

            async def power_w(sun_w: float) -> float:
                api.grid.dim("solar", sun_w)
                await until(lambda: api.runtime.view.sources["solar"][1].max_power_w == sun_w)
                topology = await asyncio.to_thread(client.get_topology)
                has_w = await asyncio.to_thread(follower.look, topology)
                if follower.circuit:
                    await api.client.wait_until_active([follower.circuit.circuit_id])
                return has_w

            assert await power_w(4e6) == pytest.approx(3.6e6)
            first = follower.circuit
            assert first is not None
            # The same circuit has less, and more again; what is hardly another is left alone.
            assert await power_w(1e6) == pytest.approx(0.9e6)
            assert await power_w(1.02e6) == pytest.approx(0.9e6)
            assert await power_w(2e6) == pytest.approx(1.8e6)
            assert follower.circuit and follower.circuit.circuit_id == first.circuit_id
            # While its source is not there it keeps what it has; what somebody released is asked for anew.
            topology = await asyncio.to_thread(client.get_topology)
            del topology.sources[:]
            assert await asyncio.to_thread(follower.look, topology) == pytest.approx(1.8e6)
            await api.client.release_circuit(first.circuit_id)
            assert await power_w(3e6) == pytest.approx(2.7e6)
            assert follower.circuit and follower.circuit.circuit_id != first.circuit_id
            assert (await power_w(50e3), follower.circuit) == (0.0, None)


@in_loop
async def test_a_buyer_takes_the_cheapest_and_changes_to_what_is_cheaper_by_enough() -> None:
    async with northbound() as api:
        with PowerClient(api.address, timeout_s=PATIENCE_S) as client:
            api.grid.dim("solar", 1e6)
            dear = await asyncio.to_thread(cheapest_power.buy, client, "town", 2e6, 100.0)
            assert dear is not None and dear.source_id == "gas"
            # Losses are bought too.
            assert dear.cost_per_mwh > 60.0
            assert (
                await asyncio.to_thread(cheapest_power.buy, client, "town", 2e6, 1.0, dear) is dear
            )
            api.grid.dim("solar", 9e6)
            found = await asyncio.to_thread(cheapest_power.offers, client, "town", 2e6)
            # Of the gas there is not as much again beside what it has.
            assert [each.source_id for each in found] == ["solar"]
            cheap = await asyncio.to_thread(cheapest_power.buy, client, "town", 2e6, 100.0, dear)
            assert cheap is not None and cheap.source_id == "solar"
            assert cheap.circuit.state == pb.CIRCUIT_STATE_ACTIVE
            assert not (await api.client.get_circuit(dear.circuit.circuit_id)).admin_up
            assert (
                await asyncio.to_thread(cheapest_power.buy, client, "town", 2e6, 9.0, cheap)
                is cheap
            )


@in_loop
async def test_the_buyer_says_what_it_buys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with northbound() as api:
        words = f"buy --server {api.address} --load town --power 2MW --most 100"
        monkeypatch.setattr(sys, "argv", words.split())
        await asyncio.to_thread(cheapest_power.main)
        assert "bought 2 MW from solar at 0.00: circuit 1" in capsys.readouterr().out


@in_loop
async def test_the_notebook_plots_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("Agg")
    async with northbound() as api:
        monkeypatch.setenv("DGCTL_SERVER", api.address)
        monkeypatch.setenv("LOAD", "town")
        notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
        assert not any(cell.get("outputs") for cell in notebook["cells"])
        names: dict[str, object] = {}
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                # As a kernel would, one cell after another in one namespace.
                code = compile("".join(cell["source"]), f"{NOTEBOOK}:{cell['id']}", "exec")
                await asyncio.to_thread(exec, code, names)
        day, figure = names["day"], names["figure"]
        assert (len(day), names["unserved"]) == (24, {})  # type: ignore[arg-type]
        # No sun by night.
        assert list(day.source_id[[3, 12, 22]]) == ["gas", "solar", "gas"]  # type: ignore[attr-defined]
        assert next(axes.get_ylabel() for axes in figure.axes) == "delivered (MW)"  # type: ignore[attr-defined]
