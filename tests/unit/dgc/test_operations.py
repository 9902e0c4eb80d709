"""`dgc reconcile` and `dgc forget-router` against a real northbound server: what they say, and their exit codes."""

import asyncio
import json

from click.testing import CliRunner, Result

from controller.core.messages import Commit, Stage
from dgc.cli import main
from digitalgrid.model import ElectionId, HopSnapshot
from tests.support.northbound import Northbound, free_port, in_loop, northbound, until

ORPHAN = HopSnapshot(*(77, 2, 1, 1e6, 1.1e6, 1e6, 1e6), source_id="solar", load_id="pump")


async def dgc(*words: str) -> Result:
    """In a thread of its own, as the server lives in this one."""
    return await asyncio.to_thread(CliRunner().invoke, main, list(words))


def run_orphan(api: Northbound) -> None:
    for message in (Stage(1, 2000, (ORPHAN,)), Commit(1)):
        api.grid.simulated.routers["r1"].apply(message, ElectionId(0, 1), 0)


@in_loop
async def test_nothing_to_do_is_success() -> None:
    async with northbound() as api:
        result = await dgc("reconcile", "--dry-run", "--server", api.address)
        assert result.exit_code == 0, result.output
        assert [line.split() for line in result.stdout.splitlines()[1:]] == [
            [router_id, *["0"] * 8] for router_id in ("r1", "r2", "r3", "r4")
        ]


@in_loop
async def test_differences_are_shown_as_by_diff_and_then_repaired() -> None:
    async with northbound() as api:
        run_orphan(api)
        result = await dgc("reconcile", "--dry-run", "--router", "r1", "--server", api.address)
        assert result.exit_code == 1
        lines = [line.split() for line in result.stdout.splitlines()]
        assert ["r1", "0", "0", "0", "1", "0", "0", "0", "0"] in lines
        assert ["r1", "excess", "77", "2"] in lines
        assert "repaired" not in result.stdout

        result = await dgc("reconcile", "--dry-run", "-o", "json", "--server", api.address)
        assert result.exit_code == 1
        (router,) = [each for each in json.loads(result.stdout)["routers"] if each["excess"]]
        assert router["routerId"] == "r1"
        assert router["excess"] == [{"circuitId": "77", "generation": "2", "contrast": ""}]
        assert api.grid.simulated.held() == {("r1", ORPHAN.key)}

        result = await dgc("reconcile", "--server", api.address)
        assert (result.exit_code, "all of this is being repaired" in result.stdout) == (0, True)
        await until(lambda: api.grid.simulated.held() == set())


@in_loop
async def test_a_router_that_is_away_is_shown() -> None:
    async with northbound() as api:
        api.runtime.detach("r2")
        result = await dgc("reconcile", "--dry-run", "--server", api.address)
        assert result.exit_code == 0
        assert ["r2", "not", "connected"] in [line.split() for line in result.stdout.splitlines()]


@in_loop
async def test_refusals_say_why_and_end_with_3() -> None:
    async with northbound() as api:
        result = await dgc("reconcile", "--router", "r9", "--server", api.address)
        assert result.exit_code == 3
        assert result.stderr.startswith(
            "dgc: refused (NOT_FOUND, UNKNOWN_ROUTER): no router 'r9' is known"
        )
        result = await dgc("forget-router", "r1", "-o", "json", "--server", api.address)
        assert result.exit_code == 3
        assert json.loads(result.stderr)["reason"] == "ROUTER_CONNECTED"


@in_loop
async def test_a_router_that_is_gone_is_forgotten() -> None:
    async with northbound() as api:
        api.grid.simulated.routers["r3"].alive = False
        api.runtime.detach("r3")
        for link_id in ("r1-r3", "r3-r4"):
            api.grid.cut(link_id)
        # The first is nobody; the next is asked instead.
        servers = f"127.0.0.1:{free_port()},{api.address}"
        result = await dgc("forget-router", "r3", "--server", servers)
        assert result.exit_code == 0, result.output
        assert result.stdout == "router r3 is forgotten; it held 0 hops\n"
        assert "r3" not in api.runtime.view.routers


@in_loop
async def test_nobody_there_ends_with_4() -> None:
    result = await dgc("reconcile", "--dry-run", "--server", f"127.0.0.1:{free_port()}")
    assert result.exit_code == 4
    assert result.stderr.startswith("dgc: controller unreachable (UNAVAILABLE): ")
    assert "is `dgc serve` running?" in result.stderr


def test_an_address_that_is_none_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["reconcile", "--server", ","])
    assert result.exit_code == 2
    assert "Invalid value for '--server': '' is no address" in result.output
